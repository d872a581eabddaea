"""Second stage: every stored image is shown once to every scorer, with all questions about it at once."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from aes_audit.evidence.answered import Answered
from aes_audit.evidence.batches import fixed_batches
from aes_audit.evidence.keys import digest, score_key
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.rates import ELSEWHERE, Stopwatch, device_of
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.judges.protocol import DetailedJudge, DimensionJudge, ResolvedJudge
from aes_audit.rewards.protocol import Answer, ResolvedReward, answers

__all__ = ["Question", "Scorer", "judge_scorer", "judged", "reward_scorer", "score_images"]

NO_SCORE = "the scorer returned no finite score"

BATCH = 32
"""Images per call of a scorer; a fixed run of the plan, for the reason given in `generate_images`."""

Ask = Callable[[Sequence[Image.Image], Sequence[Sequence[str]]], list[list[Answer]]]


@dataclass(frozen=True, slots=True)
class Scorer:
    """A reward or a dimension judge, seen as something that answers questions about images."""

    name: str
    """For the progress bar."""
    identity: Mapping[str, Any]
    """Everything that determines an answer besides image and question."""
    load: Callable[[], Ask]
    """Loads the model; the function it gives takes images and, for each, its questions."""
    batch: int = BATCH
    """Images per call; fewer where every answer is paid for, since what is stored is not asked again."""
    device: str = ELSEWHERE
    """The kind of hardware it runs on."""


@dataclass(frozen=True, slots=True)
class Question:
    """One image with everything that is asked about it."""

    record: ImageRecord
    """The image; a missing one is not asked about."""
    queries: tuple[str, ...]
    """Texts for a reward, dimensions for a judge."""


def reward_scorer(reward: ResolvedReward) -> Scorer:
    """Ask a reward: the queries are texts."""

    def load() -> Ask:
        loaded = reward.load()

        def ask(images: Sequence[Image.Image], queries: Sequence[Sequence[str]]) -> list[list[Answer]]:
            repeated = [image for image, texts in zip(images, queries, strict=True) for _ in texts]
            found = iter(answers(loaded, repeated, [text for texts in queries for text in texts]))
            return [[next(found) for _ in texts] for texts in queries]

        return ask

    return Scorer(reward.name, reward.identity, load, device=device_of(reward))


def judge_scorer(judge: ResolvedJudge) -> Scorer:
    """Ask a dimension judge: the queries are dimensions, the same for every image."""

    def load() -> Ask:
        loaded = judge.load()

        def ask(images: Sequence[Image.Image], queries: Sequence[Sequence[str]]) -> list[list[Answer]]:
            return judged(loaded, images, queries[0])

        return ask

    return Scorer(judge.name, judge.identity, load, judge.batch_size or BATCH, device_of(judge))


def judged(judge: DimensionJudge, images: Sequence[Image.Image], dimensions: Sequence[str]) -> list[list[Answer]]:
    """J of every image and dimension; a score that is no finite number becomes an error."""
    if isinstance(judge, DetailedJudge):
        return judge.answers(images, dimensions)
    return [[_finite(float(value)) for value in row] for row in judge.score(images, dimensions)]


def _finite(value: float) -> Answer:
    return Answer(value) if math.isfinite(value) else Answer(None, f"the judge gave {value}")


def score_images(
    scorer: Scorer, questions: Sequence[Question], store: Store, progress: Progress
) -> Sequence[Mapping[str, Answer]]:
    """One mapping query -> answer per question, in order; empty for a missing image.

    Raises InfrastructureError, StoreUnusable, or CorruptObject for an image whose bytes have changed.
    """
    plan = [(_key(scorer, question), question) for question in questions]
    if (found := _all_recorded(plan, store)) is not None:
        return found
    with store.lock(digest(scorer.identity)):
        _answer_missing(scorer, plan, store, progress)
    answered = Answered()
    for key, question in plan:
        answered.append(question.queries, _recorded(store, key, question) or {})
    return answered


def _all_recorded(plan: Sequence[tuple[str | None, Question]], store: Store) -> Answered | None:
    found = Answered()
    for key, question in plan:
        answers = _recorded(store, key, question)
        if answers is None:
            return None
        found.append(question.queries, answers)
    return found


def _key(scorer: Scorer, question: Question) -> str | None:
    sha256 = question.record.sha256
    return score_key(scorer.identity, sha256, question.queries) if sha256 else None


def _recorded(store: Store, key: str | None, question: Question) -> Mapping[str, Answer] | None:
    if key is None:
        return {}
    record = store.scores(key)
    values = record.get("values") if record else None
    if record is None or not isinstance(values, list) or len(values) != len(question.queries):
        return None
    errors, extras = (record.get(name) or {} for name in ("errors", "extra"))
    return {
        query: Answer(None, errors.get(query, NO_SCORE))
        if value is None
        else Answer(value, None, extras.get(query, {}))
        for query, value in zip(question.queries, values, strict=True)
    }


def _answer_missing(
    scorer: Scorer, plan: Sequence[tuple[str | None, Question]], store: Store, progress: Progress
) -> None:
    asked = [(key, question) for key, question in plan if key is not None]
    missing = {key for key, question in asked if _recorded(store, key, question) is None}
    done = len(asked) - sum(key in missing for key, _ in asked)
    ask: Ask | None = None
    watch = Stopwatch(store, scorer.identity, scorer.device)
    with progress.bar(f"{scorer.name}: scores", done=done, total=len(asked), unit="image") as tick:
        # A missing image leaves its place empty, so that it moves no other one into another batch.
        for places in fixed_batches(plan, scorer.batch):
            batch = [(key, question) for key, question in places if key is not None]
            wanted = missing.intersection(key for key, _ in batch)
            if not wanted:
                continue
            ask = ask or scorer.load()
            watch.start()
            watch.items += len(batch)
            images = [_open(store, question.record) for _, question in batch]
            results = ask(images, [question.queries for _, question in batch])
            for (key, question), answered in zip(batch, results, strict=True):
                if key in wanted:
                    store.put_scores(key, _record(scorer, question, answered))
            tick(len(wanted))
    watch.stop()


def _record(scorer: Scorer, question: Question, answered: Sequence[Answer]) -> Mapping[str, Any]:
    by_query = dict(zip(question.queries, answered, strict=True))
    notes = {
        "errors": {query: answer.error for query, answer in by_query.items() if answer.error},
        "extra": {query: dict(answer.extra) for query, answer in by_query.items() if answer.extra},
    }
    return {
        "scorer": dict(scorer.identity),
        "image_sha256": question.record.sha256,
        "queries": list(question.queries),
        "values": [answer.value for answer in answered],
        **{name: found for name, found in notes.items() if found},
    }


def _open(store: Store, record: ImageRecord) -> Image.Image:
    return Image.open(io.BytesIO(store.read_image(record)))
