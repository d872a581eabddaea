"""Any pictures under any texts: scored in fixed batches, every picture decoded once for all rewards.

A batch of pictures is all that is in memory, and every score is kept at once, so that a run that was cut short goes on
where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aes_audit.evidence.art_pictures import Picture, Unopened, Unreadable
from aes_audit.evidence.keys import score_key
from aes_audit.evidence.scorers import NO_SCORE, Kept, Scorer, reward_scorer
from aes_audit.evidence.store import Store
from aes_audit.rewards.protocol import Answer, ResolvedReward

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PIXELS", "Bench", "Known", "Shown"]

PIXELS = 1 << 26
"""Pixels that are decoded at a time, unless one picture alone has more."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture and everything that is asked about it."""

    picture: Picture
    """Not decoded yet."""
    texts: Mapping[str, str]
    """`prompt` of the evidence -> text"""


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows about one picture."""

    key: str | None
    """The picture's key; None when it cannot be read."""
    error: str | None
    """Why there is no picture."""
    scores: Mapping[str, Mapping[str, Answer] | None]
    """reward -> text -> answer; None for a reward that has not been asked"""


@dataclass(frozen=True, slots=True)
class Bench:
    """Rewards that stay in memory once they are loaded, and the store."""

    name: str
    """What is scored, for the lock."""
    scorers: Mapping[str, Scorer]
    """reward -> what asks it"""
    store: Store
    """Keeps every answer."""

    @classmethod
    def of(cls, name: str, rewards: Sequence[ResolvedReward], store: Store) -> Bench:
        """None of the rewards is loaded before an answer is missing."""
        scorers = {reward.name: reward_scorer(reward) for reward in rewards}
        return cls(name, {key: replace(each, load=Kept(each.load)) for key, each in scorers.items()}, store)

    def outcome(self, shown: Shown, known: Known, scorer: str, prompt: str) -> Mapping[str, Any]:
        """Value or error of a picture by one reward under one of its texts, and what the reward tells besides."""
        answer = (known.scores.get(scorer) or {}).get(shown.texts[prompt])
        if answer is None:
            return {"value": None, "error": known.error or NO_SCORE}
        return {**answer.extra, "value": answer.value, "error": answer.error}

    def known(self, shown: Shown) -> Known:
        """What is stored about a picture, without decoding it."""
        try:
            key = shown.picture.key()
        except Unreadable as error:
            return Known(None, str(error), {})
        record = self.store.scores(_fault_key(key))
        if record is not None:
            return Known(None, str(record["error"]), {})
        texts = tuple(shown.texts.values())
        scores = {name: self._recorded(scorer, key, texts) for name, scorer in self.scorers.items()}
        return Known(key, None, scores)

    def _recorded(self, scorer: Scorer, key: str, texts: Sequence[str]) -> Mapping[str, Answer] | None:
        record = self.store.scores(score_key(scorer.identity, key, texts))
        values = record.get("values") if record else None
        if record is None or not isinstance(values, list) or len(values) != len(texts):
            return None
        errors, extras = (record.get(name) or {} for name in ("errors", "extra"))
        return {
            text: Answer(None, errors.get(text, NO_SCORE))
            if value is None
            else Answer(value, None, extras.get(text, {}))
            for text, value in zip(texts, values, strict=True)
        }

    def score(self, batch: Sequence[Shown]) -> list[Known]:
        """Everything about a batch; decodes it where an answer is missing."""
        found = [self.known(shown) for shown in batch]
        if not any(None in known.scores.values() for known in found):
            return found
        with self.store.lock(f"art {self.name}"):
            found = [self.known(shown) for shown in batch]
            if any(None in known.scores.values() for known in found):
                self._answer(list(zip(batch, found, strict=True)))
        return [self.known(shown) for shown in batch]

    def _answer(self, batch: Sequence[tuple[Shown, Known]]) -> None:
        # The parts of a batch depend on its pictures alone and not on what is stored: a score never depends on
        # which run it was made in.
        for part in _parts([(shown, known.key) for shown, known in batch if known.key is not None], self.store):
            wanted = [name for name in self.scorers if any(_lacks(batch, shown, name) for shown, _, _ in part)]
            for name in wanted:
                self._ask(self.scorers[name], part)

    def _ask(self, scorer: Scorer, part: Sequence[tuple[Shown, str, Image]]) -> None:
        questions = [tuple(shown.texts.values()) for shown, _, _ in part]
        answered = scorer.load()([image for _, _, image in part], questions)
        for (_, key, _), texts, answers in zip(part, questions, answered, strict=True):
            by_text = dict(zip(texts, answers, strict=True))
            notes = {
                "errors": {text: each.error for text, each in by_text.items() if each.error},
                "extra": {text: dict(each.extra) for text, each in by_text.items() if each.extra},
            }
            record: dict[str, Any] = {
                "scorer": dict(scorer.identity),
                "image_sha256": key,
                "queries": list(texts),
                "values": [each.value for each in answers],
                **{name: found for name, found in notes.items() if found},
            }
            self.store.put_scores(score_key(scorer.identity, key, texts), record)


def _lacks(batch: Sequence[tuple[Shown, Known]], shown: Shown, name: str) -> bool:
    """Whether a reward has still to be asked about a picture of the batch."""
    return any(known.scores.get(name, {}) is None for other, known in batch if other is shown)


def _parts(batch: Sequence[tuple[Shown, str]], store: Store) -> Iterator[list[tuple[Shown, str, Image]]]:
    """The decoded pictures in runs of at most PIXELS; those that cannot be decoded are remembered as missing.

    One that could be read a moment ago, for its key, and cannot now is left out and tried again by the next run.
    """
    part: list[tuple[Shown, str, Image]] = []
    held = 0
    for shown, key in batch:
        try:
            size = shown.picture.size()
            if part and held + size > PIXELS:
                yield part
                part, held = [], 0
            part.append((shown, key, shown.picture.open()))
            held += size
        except Unopened:
            continue
        except Unreadable as error:
            store.put_scores(_fault_key(key), {"error": str(error)})
    if part:
        yield part


def _fault_key(key: str) -> str:
    return score_key({"art": "faults"}, key, ())
