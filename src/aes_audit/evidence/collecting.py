"""Images and scores of one generator, collected into evidence rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from math import lcm
from typing import Any, TypeVar

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.batches import fixed_batches
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.keys import item_seed
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.scoring import BATCH, NO_SCORE, Question, Scorer, judge_scorer, reward_scorer, score_images
from aes_audit.evidence.store import CorruptObject, ImageRecord, Store
from aes_audit.evidence.table import Evidence
from aes_audit.generators.protocol import Generator, ImageRequest, ResolvedGenerator
from aes_audit.judges.protocol import PairScores, PreferenceJudge, ResolvedJudge
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.pairs import PromptPair, PromptSet
from aes_audit.rewards.protocol import Answer, ResolvedReward

__all__ = ["Instruments", "Stop", "collect_pairs"]

Stop = Callable[[Mapping[str, list[bool | None]]], bool]
"""Told, per preference judge, which pairs succeeded so far; says whether that is enough."""

IMAGES = ("original", "wide")
ATTEMPTS = 3
"""How often an image that changed on disk is made again before the run gives up."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """What measures the images of a generator."""

    rewards: tuple[ResolvedReward, ...]
    """Every reward answers the four scores r(I, p)."""
    judge: ResolvedJudge | None
    """Answers J(I, d) for all dimensions."""
    preferences: tuple[PreferenceJudge, ...]
    """Decide which image follows p_a, from the scores above."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """Everything known about one image."""

    record: ImageRecord
    rewards: Mapping[str, Mapping[str, Answer]]
    """reward -> text -> score"""
    judged: Mapping[str, Answer]
    """dimension -> J"""


def collect_pairs(
    generator: ResolvedGenerator,
    prompts: PromptSet,
    instruments: Instruments,
    store: Store,
    progress: Progress,
    stop: Stop | None = None,
) -> Evidence:
    """The `pairs` evidence of one generator; touches a model only for what the store does not hold.

    I_o and I_a share the seed and every setting (rules R4 and R6). An image that cannot be made, or whose
    bytes changed on disk more than ATTEMPTS times, never becomes a score. With `stop`, pairs are collected in
    rounds until it says that no more are needed; the pairs collected are those of the full run, pixel by pixel.
    Raises InfrastructureError or StoreUnusable.
    """
    bench = _Bench.of(generator, instruments, keep=stop is not None)
    if stop is None:
        return Evidence.from_rows(_collected(bench, prompts, store, progress), source=generator.name)
    rows: list[Mapping[str, Any]] = []
    with progress.bar(f"{generator.name}: pairs", done=0, total=len(prompts.pairs), unit="pair") as tick:
        for pairs in fixed_batches(prompts.pairs, bench.pairs_per_round):
            rows += _collected(bench, replace(prompts, pairs=tuple(pairs)), store, Progress())
            tick(len(pairs))
            if stop(_successes(rows, instruments)):
                break
    return Evidence.from_rows(rows, source=generator.name)


@dataclass(frozen=True, slots=True)
class _Bench:
    """A generator and its instruments, ready to be loaded when something is missing."""

    generator: ResolvedGenerator
    load: Callable[[], Generator]
    instruments: Instruments
    rewards: Mapping[str, Scorer]
    judge: Scorer | None

    @classmethod
    def of(cls, generator: ResolvedGenerator, instruments: Instruments, *, keep: bool) -> _Bench:
        """With `keep`, what was loaded stays in memory, for rounds; otherwise one model is there at a time."""
        kept = cache if keep else _as_it_is
        scorers = {reward.name: reward_scorer(reward) for reward in instruments.rewards}
        judge = judge_scorer(instruments.judge) if instruments.judge else None
        return cls(
            generator,
            kept(generator.load),
            instruments,
            {name: replace(scorer, load=kept(scorer.load)) for name, scorer in scorers.items()},
            replace(judge, load=kept(judge.load)) if judge else None,
        )

    @property
    def pairs_per_round(self) -> int:
        """Whole batches of every stage: a round's batches are batches of the full run."""
        return lcm(self.generator.batch_size, BATCH, len(IMAGES)) // len(IMAGES)


T = TypeVar("T")


def _as_it_is(load: Callable[[], T]) -> Callable[[], T]:
    return load


def _successes(rows: Sequence[Mapping[str, Any]], instruments: Instruments) -> Mapping[str, list[bool | None]]:
    """Preference judge -> whether each pair succeeded, in plan order; None where that is missing."""
    found: dict[str, list[bool | None]] = {preference.name: [] for preference in instruments.preferences}
    for row in rows:
        if row["image"] == "pair":
            found[row["scorer"]].append(None if row["value"] is None else row["value"] == 1)
    return found


def _collected(bench: _Bench, prompts: PromptSet, store: Store, progress: Progress) -> list[Mapping[str, Any]]:
    name, jobs = bench.generator.name, _jobs(prompts)
    for _ in range(ATTEMPTS):
        records = generate_images(bench.generator, jobs, store, progress, bench.load)
        try:
            measured = _measure(bench, prompts, jobs, records, store, progress)
        except CorruptObject:
            # The store drops an image when it finds it changed, so that the next round makes it again.
            _drop_changed(store, records)
            continue
        return list(_rows(name, prompts, jobs, measured, bench.instruments))
    raise InfrastructureError(
        f"{name}: images in the store keep changing on disk; check the disk, or give another --audit-store."
    )


def _drop_changed(store: Store, records: Sequence[ImageRecord]) -> None:
    """Look at every image now: a bad disk seldom spoils only one, and each round is one of few."""
    for record in records:
        if record.sha256 is not None:
            with suppress(CorruptObject):
                store.read_image(record)


def _jobs(prompts: PromptSet) -> list[ImageJob]:
    return [
        ImageJob(pair.id, image, ImageRequest(text, item_seed(prompts.name, pair.id, prompts.repeat)))
        for pair in prompts.pairs
        for image, text in zip(IMAGES, (pair.original, pair.wide), strict=True)
    ]


def _measure(
    bench: _Bench,
    prompts: PromptSet,
    jobs: Sequence[ImageJob],
    records: Sequence[ImageRecord],
    store: Store,
    progress: Progress,
) -> list[_Measured]:
    texts = {pair.id: (pair.original, pair.wide) for pair in prompts.pairs}
    about_texts = [Question(record, texts[job.item]) for record, job in zip(records, jobs, strict=True)]
    about_dimensions = [Question(record, DIMENSIONS) for record in records]
    rewards = {name: score_images(scorer, about_texts, store, progress) for name, scorer in bench.rewards.items()}
    judged: Sequence[Mapping[str, Answer]] = [{}] * len(records)
    if bench.judge:
        judged = score_images(bench.judge, about_dimensions, store, progress)
    return [
        _Measured(record, {name: answers[index] for name, answers in rewards.items()}, judged[index])
        for index, record in enumerate(records)
    ]


def _rows(
    model: str,
    prompts: PromptSet,
    jobs: Sequence[ImageJob],
    measured: Sequence[_Measured],
    instruments: Instruments,
) -> Iterator[Mapping[str, Any]]:
    by_image = {(job.item, job.image): found for job, found in zip(jobs, measured, strict=True)}
    seeds = {job.item: job.request.seed for job in jobs}
    for pair in prompts.pairs:
        images = {image: by_image[pair.id, image] for image in IMAGES}
        common = {"model": model, "set": "pairs", "item": pair.id, "seed": seeds[pair.id]}
        for image, found in images.items():
            about = {**common, "image": image, "image_sha256": found.record.sha256}
            yield from ({**about, **row} for row in _reward_rows(pair, found))
            if instruments.judge:
                yield from ({**about, **row} for row in _judge_rows(pair, found))
        for preference in instruments.preferences:
            yield {**common, "image": "pair", "prompt": "wide", **_preference(preference, pair, images)}


def _reward_rows(pair: PromptPair, found: _Measured) -> Iterator[Mapping[str, Any]]:
    for reward, scores in found.rewards.items():
        for prompt, text in zip(IMAGES, (pair.original, pair.wide), strict=True):
            yield {"prompt": prompt, "scorer": reward, **_outcome(scores.get(text), found)}


def _judge_rows(pair: PromptPair, found: _Measured) -> Iterator[Mapping[str, Any]]:
    for dimension in DIMENSIONS:
        outcome = _outcome(found.judged.get(dimension), found)
        selected = dimension in pair.dimensions
        yield {"prompt": None, "scorer": f"judge/{dimension}", "selected": selected, **outcome}


def _outcome(answer: Answer | None, found: _Measured) -> Mapping[str, Any]:
    if answer is None:
        return {"value": None, "error": found.record.error or NO_SCORE}
    return {**answer.extra, "value": answer.value, "error": answer.error}


def _preference(preference: PreferenceJudge, pair: PromptPair, images: Mapping[str, _Measured]) -> Mapping[str, Any]:
    texts = dict(zip(IMAGES, (pair.original, pair.wide), strict=True))
    rewards = {
        (reward, image, prompt): answer.value
        for image, found in images.items()
        for reward, scores in found.rewards.items()
        for prompt, text in texts.items()
        if (answer := scores.get(text)) and answer.value is not None
    }
    judged = {
        (image, name): answer.value
        for image, found in images.items()
        for name, answer in found.judged.items()
        if answer.value is not None
    }
    try:
        value = preference.decide(PairScores(rewards, judged, pair.dimensions))
    except KeyError as missing:
        reasons = [f"{image}: {found.record.error}" for image, found in images.items() if found.record.error]
        reason = "; ".join(reasons) or f"no score for {missing.args[0]}"
        return {"scorer": preference.name, "value": None, "error": reason}
    return {"scorer": preference.name, "value": value, "error": None}
