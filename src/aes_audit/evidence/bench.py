"""Any pictures under any texts: what is known about them, and how rewards are asked for the rest.

Every picture is decoded once for all rewards. A batch of pictures is all that is in memory, and every score is kept at
once, so that a run that was cut short goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aes_audit.evidence.art_pictures import Picture, Unopened, Unreadable
from aes_audit.evidence.keys import score_key
from aes_audit.evidence.rates import Stopwatch
from aes_audit.evidence.scorers import NO_SCORE, Kept, Question, Scorer, recorded, reward_scorer, score_record
from aes_audit.evidence.store import ImageRecord, Store
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

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to ask."""
        return None not in self.scores.values()


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

    def known(self, batch: Sequence[Shown]) -> list[Known]:
        """What is stored about pictures, without decoding them."""
        keys = [_key(shown) for shown in batch]
        asked = [self._keys(key, shown) for key, shown in zip(keys, batch, strict=True)]
        found = self.store.all_scores(one for each in asked for one in each)
        records = [[next(found) for _ in each] for each in asked]
        return [self._known(*each) for each in zip(keys, batch, records, strict=True)]

    def _keys(self, key: str | Unreadable, shown: Shown) -> list[str]:
        if isinstance(key, Unreadable):
            return []
        texts = tuple(shown.texts.values())
        return [_fault_key(key), *(score_key(scorer.identity, key, texts) for scorer in self.scorers.values())]

    def _known(self, key: str | Unreadable, shown: Shown, records: Sequence[Mapping[str, Any] | None]) -> Known:
        if isinstance(key, Unreadable):
            return Known(None, str(key), {})
        fault, *scores = records
        if fault is not None:
            return Known(None, str(fault["error"]), {})
        asked = _question(key, shown)
        return Known(key, None, {name: recorded(each, asked) for name, each in zip(self.scorers, scores, strict=True)})

    def to_show(self, batch: Sequence[tuple[Shown, Known]]) -> Iterator[tuple[str, Sequence[Shown]]]:
        """What `answer` would show: a reward, and a part of the batch of which it has not answered everything.

        Nothing is decoded; a picture that turns out to be unreadable is counted.
        """
        there = [(shown, found.key) for shown, found in batch if found.key is not None]
        for name in self.scorers:
            lacking = [found.scores[name] is None for _, found in batch if found.key is not None]
            if not any(lacking):
                continue
            for part in [there] if all(lacking) else _sized(there):
                if any(_lacks(batch, shown, name) for shown, _ in part):
                    yield name, [shown for shown, _ in part]

    def answer(self, batch: Sequence[Shown], watches: Mapping[str, Stopwatch]) -> None:
        """Ask what is not known about a batch, which is decoded for that, and keep it; `watches` time each reward."""
        known = list(zip(batch, self.known(batch), strict=True))
        # The parts of a batch depend on its pictures alone and not on what is stored: a score never depends on
        # which run it was made in.
        for part in _parts([(shown, found.key) for shown, found in known if found.key is not None], self.store):
            wanted = [name for name in self.scorers if any(_lacks(known, shown, name) for shown, _, _ in part)]
            for name in wanted:
                self._ask(self.scorers[name], part, watches[name])

    def _ask(self, scorer: Scorer, part: Sequence[tuple[Shown, str, Image]], watch: Stopwatch) -> None:
        questions = [_question(key, shown) for shown, key, _ in part]
        ask = scorer.load()
        watch.start()
        answered = ask([image for _, _, image in part], [question.queries for question in questions])
        self.store.put_all_scores(
            {
                score_key(scorer.identity, key, question.queries): score_record(scorer, question, answers)
                for (_, key, _), question, answers in zip(part, questions, answered, strict=True)
            }
        )
        watch.stop()
        watch.items += len(part)


def _key(shown: Shown) -> str | Unreadable:
    try:
        return shown.picture.key()
    except Unreadable as error:
        return error


def _question(key: str, shown: Shown) -> Question:
    return Question(ImageRecord(key, key, None, {}), tuple(shown.texts.values()))


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


def _sized(batch: Sequence[tuple[Shown, str]]) -> Iterator[list[tuple[Shown, str]]]:
    """The runs that `_parts` gives where every picture can be decoded."""
    part: list[tuple[Shown, str]] = []
    held = 0
    for shown, key in batch:
        try:
            size = shown.picture.size()
        except (Unopened, Unreadable):
            continue
        if part and held + size > PIXELS:
            yield part
            part, held = [], 0
        part.append((shown, key))
        held += size
    if part:
        yield part


def _fault_key(key: str) -> str:
    return score_key({"art": "faults"}, key, ())
