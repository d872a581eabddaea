"""What measures the images of a set, and the evidence rows that follow: shared by every set that is collected live."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, overload

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.scorers import NO_SCORE, Kept, Question, Scorer, judge_scorer, reward_scorer
from aes_audit.evidence.scoring import score_images
from aes_audit.evidence.store import CorruptObject, ImageRecord, Store
from aes_audit.judges.protocol import ImagePreferenceJudge, PreferenceJudge, ResolvedImagePreference, ResolvedJudge
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.pairs import PromptPair
from aes_audit.rewards.protocol import Answer, ResolvedReward

__all__ = [
    "ATTEMPTS",
    "Instruments",
    "Measured",
    "Measurements",
    "Scorers",
    "image_rows",
    "measure",
    "until_intact",
]

ATTEMPTS = 3
"""How often an image that changed on disk is made again before the run gives up."""

PROMPTS = ("original", "wide")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Instruments:
    """What measures the images of a generator."""

    rewards: tuple[ResolvedReward, ...]
    """Every reward answers the four scores r(I, p)."""
    judge: ResolvedJudge | None
    """Answers J(I, d) for all dimensions."""
    preferences: tuple[PreferenceJudge, ...]
    """Decide which image follows p_a, from the scores above."""
    onlookers: tuple[ResolvedImagePreference, ...] = ()
    """Are shown both images, and say which follows p_a."""

    @property
    def deciding(self) -> tuple[str, ...]:
        """Names of everything that says which image follows p_a."""
        return (*(judge.name for judge in self.preferences), *(judge.name for judge in self.onlookers))


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything known about one image."""

    record: ImageRecord
    rewards: Mapping[str, Mapping[str, Answer]]
    """reward -> text -> score"""
    judged: Mapping[str, Answer]
    """dimension -> J"""


@dataclass(frozen=True, slots=True)
class Measurements(Sequence[Measured]):
    """Everything known about many images, put together for one image while somebody looks at it."""

    records: Sequence[ImageRecord]
    """The images."""
    rewards: Mapping[str, Sequence[Mapping[str, Answer]]]
    """reward -> per image, text -> score"""
    judged: Sequence[Mapping[str, Answer]] | None
    """Per image, dimension -> J; None without a judge."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> Measured: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Measured]: ...

    def __getitem__(self, index: int | slice) -> Measured | Sequence[Measured]:
        """Everything known about an image."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        rewards = {name: answers[index] for name, answers in self.rewards.items()}
        return Measured(self.records[index], rewards, {} if self.judged is None else self.judged[index])


@dataclass(frozen=True, slots=True)
class Scorers:
    """Instruments ready to be loaded when an answer is missing."""

    rewards: Mapping[str, Scorer]
    judge: Scorer | None
    onlookers: Mapping[str, Callable[[], ImagePreferenceJudge]] = field(default_factory=dict)

    @classmethod
    def of(cls, instruments: Instruments, *, keep: bool = False) -> Scorers:
        """With `keep`, what was loaded stays in memory, for rounds; otherwise one model is there at a time."""
        rewards = {reward.name: reward_scorer(reward) for reward in instruments.rewards}
        judge = judge_scorer(instruments.judge) if instruments.judge else None
        onlookers = {judge.name: judge.load for judge in instruments.onlookers}
        if not keep:
            return cls(rewards, judge, onlookers)
        return cls(
            {name: replace(scorer, load=Kept(scorer.load)) for name, scorer in rewards.items()},
            replace(judge, load=Kept(judge.load)) if judge else None,
            {name: Kept(load) for name, load in onlookers.items()},
        )

    @property
    def unpaid(self) -> Scorers:
        """Those that nobody is paid for; judges that are shown two images are not among them."""
        rewards = {name: scorer for name, scorer in self.rewards.items() if scorer.portable}
        return Scorers(rewards, self.judge if self.judge and self.judge.portable else None)


def measure(
    scorers: Scorers, images: Sequence[tuple[PromptPair, ImageRecord]], store: Store, engine: Engine
) -> Measurements:
    """Everything about each image, in order: every reward under both texts of its pair, J in every dimension.

    Raises InfrastructureError, StoreUnusable, or CorruptObject for an image whose bytes have changed.
    """
    about_texts = [Question(record, (pair.original, pair.wide)) for pair, record in images]
    about_dimensions = [Question(record, DIMENSIONS) for _, record in images]
    rewards = {name: score_images(scorer, about_texts, store, engine) for name, scorer in scorers.rewards.items()}
    judged = score_images(scorers.judge, about_dimensions, store, engine) if scorers.judge else None
    return Measurements([record for _, record in images], rewards, judged)


def image_rows(pair: PromptPair, found: Measured, judge: ResolvedJudge | None) -> Iterator[Mapping[str, Any]]:
    """Prompt, scorer and outcome of everything that was asked about one image of a pair."""
    for reward, scores in found.rewards.items():
        for prompt, text in zip(PROMPTS, (pair.original, pair.wide), strict=True):
            yield {"prompt": prompt, "scorer": reward, **_outcome(scores.get(text), found)}
    for dimension in DIMENSIONS if judge else ():
        outcome = _outcome(found.judged.get(dimension), found)
        selected = dimension in pair.dimensions
        yield {"prompt": None, "scorer": f"judge/{dimension}", "selected": selected, **outcome}


def _outcome(answer: Answer | None, found: Measured) -> Mapping[str, Any]:
    if answer is None:
        return {"value": None, "error": found.record.error or NO_SCORE}
    return {**answer.extra, "value": answer.value, "error": answer.error}


def until_intact(name: str, store: Store, attempt: Callable[[list[ImageRecord]], T]) -> T:
    """What an attempt gives, tried again where the store finds an image changed, ATTEMPTS times at most.

    The attempt puts the images it relies on into the list it is given. The store drops an image when it finds it
    changed, so that the next attempt makes it again. Raises InfrastructureError when they keep changing.
    """
    for _ in range(ATTEMPTS):
        relied_on: list[ImageRecord] = []
        try:
            return attempt(relied_on)
        except CorruptObject:
            _drop_changed(store, relied_on)
    raise InfrastructureError(
        f"{name}: images in the store keep changing on disk; check the disk, or give another --audit-store."
    )


def _drop_changed(store: Store, records: Sequence[ImageRecord]) -> None:
    """Look at every image now: a bad disk seldom spoils only one, and each round is one of few."""
    for record in records:
        if record.sha256 is not None:
            with suppress(CorruptObject):
                store.read_image(record)
