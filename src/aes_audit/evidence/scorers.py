"""Rewards and dimension judges at work: both answer questions about images, a batch at a time."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from PIL import Image

from aes_audit.evidence.engines.protocol import Batch
from aes_audit.evidence.rates import ELSEWHERE, Rate, Stopwatch, device_of
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.judges.protocol import DetailedJudge, DimensionJudge, ResolvedJudge
from aes_audit.rewards.protocol import Answer, ResolvedReward, answers

__all__ = [
    "BATCH",
    "NO_SCORE",
    "Kept",
    "Question",
    "Scorer",
    "judge_scorer",
    "judged",
    "recorded",
    "reward_scorer",
    "score_record",
]

NO_SCORE = "the scorer returned no finite score"

BATCH = 32
"""Images per call of a scorer."""

Ask = Callable[[Sequence[Image.Image], Sequence[Sequence[str]]], list[list[Answer]]]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """One image with everything that is asked about it."""

    record: ImageRecord
    """The image; a missing one is not asked about."""
    queries: tuple[str, ...]
    """Texts for a reward, dimensions for a judge."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """An Operator: a reward or a dimension judge, seen as something that answers questions about images."""

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
    portable: bool = True
    """Whether nobody is paid for it: what is paid for is counted in one place."""

    draws = False

    def left(self, store: Store, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches in which an image has no answers yet."""
        asked = list(batches)
        found = store.all_scores(key for batch in asked for key, _ in batch.entries)
        for batch in asked:
            missing = frozenset(key for key, question in batch.entries if recorded(next(found), question) is None)
            if wanted := missing & batch.wanted:
                yield Batch(batch.entries, wanted)

    def start(self, store: Store) -> _ScoringHands:
        """Begin; the model is loaded with the first batch."""
        return _ScoringHands(self, store)


class _ScoringHands:
    """Shows a batch of images with all questions about them, and stores the answers before the next."""

    def __init__(self, scorer: Scorer, store: Store) -> None:
        """Load nothing yet."""
        self._scorer = scorer
        self._store = store
        self._ask: Ask | None = None
        self._watch = Stopwatch()

    def __enter__(self) -> _ScoringHands:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    @property
    def timed(self) -> Rate:
        """What was answered and stored so far."""
        return self._watch.rate

    def take(self, batch: Batch) -> None:
        """Ask about every image of the batch. Raises CorruptObject for one whose bytes have changed."""
        if self._ask is None:
            self._ask = self._scorer.load()
        self._watch.start()
        self._watch.items += len(batch.entries)
        questions = [question for _, question in batch.entries]
        files = self._store.read_images(question.record for question in questions)
        images = [Image.open(io.BytesIO(png)) for png in files]
        results = self._ask(images, [question.queries for question in questions])
        found = zip(batch.entries, results, strict=True)
        self._store.put_all_scores(
            {
                key: score_record(self._scorer, asked, answered)
                for (key, asked), answered in found
                if key in batch.wanted
            }
        )

    def finish(self) -> None:
        """Everything is stored already."""
        self._watch.stop()


def recorded(record: Mapping[str, Any] | None, question: Question) -> Mapping[str, Answer] | None:
    """The answers in a record of the store, by query; None where it does not answer the question."""
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


def score_record(scorer: Scorer, question: Question, answered: Sequence[Answer]) -> Mapping[str, Any]:
    """What the store keeps of a scorer's answers, one per query in order."""
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


def reward_scorer(reward: ResolvedReward) -> Scorer:
    """Ask a reward: the queries are texts."""
    load = partial(_asking_reward, reward)
    return Scorer(reward.name, reward.identity, load, device=device_of(reward), portable=not hasattr(reward, "price"))


def _asking_reward(reward: ResolvedReward) -> Ask:
    loaded = reward.load()

    def ask(images: Sequence[Image.Image], queries: Sequence[Sequence[str]]) -> list[list[Answer]]:
        repeated = [image for image, texts in zip(images, queries, strict=True) for _ in texts]
        found = iter(answers(loaded, repeated, [text for texts in queries for text in texts]))
        return [[next(found) for _ in texts] for texts in queries]

    return ask


def judge_scorer(judge: ResolvedJudge) -> Scorer:
    """Ask a dimension judge: the queries are dimensions, the same for every image."""
    load = partial(_asking_judge, judge)
    batch = judge.batch_size or BATCH
    return Scorer(judge.name, judge.identity, load, batch, device_of(judge), portable=not hasattr(judge, "price"))


def _asking_judge(judge: ResolvedJudge) -> Ask:
    loaded = judge.load()

    def ask(images: Sequence[Image.Image], queries: Sequence[Sequence[str]]) -> list[list[Answer]]:
        return judged(loaded, images, queries[0])

    return ask


def judged(judge: DimensionJudge, images: Sequence[Image.Image], dimensions: Sequence[str]) -> list[list[Answer]]:
    """J of every image and dimension; a score that is no finite number becomes an error."""
    if isinstance(judge, DetailedJudge):
        return judge.answers(images, dimensions)
    return [[_finite(float(value)) for value in row] for row in judge.score(images, dimensions)]


def _finite(value: float) -> Answer:
    return Answer(value) if math.isfinite(value) else Answer(None, f"the judge gave {value}")


class Kept(Generic[T]):
    """The same loader, which loads once and remembers; sent to another process it loads there for itself."""

    def __init__(self, load: Callable[[], T]) -> None:
        """Load nothing yet."""
        self._load = load
        self._loaded: T | None = None

    def __call__(self) -> T:
        """What was loaded."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def __reduce__(self) -> tuple[type[Kept[T]], tuple[Callable[[], T]]]:
        return Kept, (self._load,)
