"""The set `pairs`: images and scores of one generator, collected into evidence rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import lcm
from typing import Any

from aes_audit.evidence.batches import WHOLE, Part, fixed_batches
from aes_audit.evidence.drawing import ImageOperator
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.images import image_columns, told_apart
from aes_audit.evidence.keys import item_seed
from aes_audit.evidence.measuring import Instruments, Measured, Scorers, image_rows, measure, until_intact
from aes_audit.evidence.preferring import Columns, PairJob, prefer, shown_orders
from aes_audit.evidence.rounds import Stop, collect_rounds
from aes_audit.evidence.scorers import BATCH, Kept
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.evidence.table import Evidence
from aes_audit.generators.protocol import Generator, ImageRequest, ResolvedGenerator
from aes_audit.judges.protocol import PairScores, PreferenceJudge
from aes_audit.prompts.pairs import PromptPair, PromptSet

__all__ = ["IMAGES", "Instruments", "collect_pairs", "image_jobs", "pair_jobs", "pairs_per_round"]

IMAGES = ("original", "wide")
"""The images of a pair, in the order in which they are drawn."""


def collect_pairs(
    generator: ResolvedGenerator,
    prompts: PromptSet,
    instruments: Instruments,
    store: Store,
    engine: Engine,
    stop: Stop | None = None,
    part: Part = WHOLE,
) -> Evidence:
    """The `pairs` evidence of one generator; touches a model only for what the store does not hold.

    I_o and I_a share the seed and every setting (rules R4 and R6). An image that cannot be made, or whose
    bytes changed on disk more than ATTEMPTS times, never becomes a score. With `stop`, pairs are collected in
    rounds until it says that no more are needed; the pairs collected are those of the full run, pixel by pixel. So
    are those of a `part` of the plan.
    Raises InfrastructureError or StoreUnusable.
    """
    bench = _Bench.of(generator, instruments, keep=stop is not None)
    step = pairs_per_round(generator)
    prompts = replace(prompts, pairs=tuple(part.of(prompts.pairs, step)))
    if stop is None:
        return Evidence.from_rows(_collected(bench, prompts, store, engine), source=generator.name)

    def collect(some: PromptSet, by: Engine) -> Iterator[Mapping[str, Any]]:
        return _collected(bench, some, store, by)

    def collect_ahead(some: PromptSet, by: Engine) -> Iterator[Mapping[str, Any]]:
        return _collected(bench.unpaid, some, store, by)

    rows = collect_rounds(
        collect,
        prompts,
        engine,
        stop,
        step=step,
        deciding=instruments.deciding,
        title=f"{generator.name}: pairs",
        ahead=collect_ahead if bench.draws_unpaid else None,
    )
    return Evidence.from_columns(rows, source=generator.name)


@dataclass(frozen=True, slots=True)
class _Bench:
    """A generator and its instruments, ready to be loaded when something is missing."""

    generator: ResolvedGenerator
    load: Callable[[], Generator]
    instruments: Instruments
    scorers: Scorers

    @classmethod
    def of(cls, generator: ResolvedGenerator, instruments: Instruments, *, keep: bool) -> _Bench:
        """With `keep`, what was loaded stays in memory, for rounds; otherwise one model is there at a time."""
        load = Kept(generator.load) if keep else generator.load
        return cls(generator, load, instruments, Scorers.of(instruments, keep=keep))

    @property
    def draws_unpaid(self) -> bool:
        """Whether nobody is paid for the images."""
        return ImageOperator(self.generator, self.load).portable

    @property
    def unpaid(self) -> _Bench:
        """The same without the instruments that somebody is paid for."""
        return replace(self, instruments=replace(self.instruments, onlookers=()), scorers=self.scorers.unpaid)


def pairs_per_round(generator: ResolvedGenerator) -> int:
    """Whole batches of every stage: a round's batches are batches of the full run."""
    return lcm(generator.batch_size, BATCH, len(IMAGES)) // len(IMAGES)


def _collected(bench: _Bench, prompts: PromptSet, store: Store, engine: Engine) -> Iterator[Mapping[str, Any]]:
    jobs = image_jobs(prompts)
    by_id = {pair.id: pair for pair in prompts.pairs}

    def attempt(relied_on: list[ImageRecord]) -> Iterator[Mapping[str, Any]]:
        relied_on += generate_images(bench.generator, jobs, store, engine, bench.load)
        images = [(by_id[job.item], record) for job, record in zip(jobs, told_apart(jobs, relied_on), strict=True)]
        measured = measure(bench.scorers, images, store, engine)
        seen = _seen(bench, prompts, [record for _, record in images], store, engine)
        return _rows(bench.generator.name, prompts, jobs, measured, bench.instruments, seen)

    return until_intact(bench.generator.name, store, attempt)


def image_jobs(prompts: PromptSet) -> list[ImageJob]:
    """Every image of the pairs, in the order in which they are drawn."""
    return [
        ImageJob(pair.id, image, ImageRequest(text, item_seed(prompts.name, pair.id, prompts.repeat)))
        for pair in prompts.pairs
        for image, text in zip(IMAGES, (pair.original, pair.wide), strict=True)
    ]


def pair_jobs(prompts: PromptSet, records: Sequence[ImageRecord], orders: str) -> list[PairJob]:
    """What a judge is shown of every pair; `records` are those of `image_jobs`, in order."""
    images = dict(zip(((job.item, job.image) for job in image_jobs(prompts)), records, strict=True))
    return [
        PairJob(
            pair.id,
            pair.wide,
            images[pair.id, "original"],
            images[pair.id, "wide"],
            shown_orders(orders, prompts.name, pair.id, prompts.repeat),
        )
        for pair in prompts.pairs
    ]


def _seen(
    bench: _Bench, prompts: PromptSet, records: Sequence[ImageRecord], store: Store, engine: Engine
) -> list[tuple[str, Columns]]:
    """Item and row of every pair, of one judge after the other: what those say that look at the images."""
    found: list[tuple[str, Columns]] = []
    for judge in bench.instruments.onlookers:
        answered = prefer(
            judge,
            pair_jobs(prompts, records, judge.orders),
            store,
            engine.progress,
            bench.scorers.onlookers[judge.name],
        )
        rows = ({"scorer": judge.name, **columns} for columns in answered)
        found += zip((pair.id for pair in prompts.pairs), rows, strict=True)
    return found


def _rows(
    model: str,
    prompts: PromptSet,
    jobs: Sequence[ImageJob],
    measured: Sequence[Measured],
    instruments: Instruments,
    seen: Sequence[tuple[str, Columns]],
) -> Iterator[Mapping[str, Any]]:
    seeds = {job.item: job.request.seed for job in jobs}
    for pair, both in zip(prompts.pairs, fixed_batches(measured, len(IMAGES)), strict=True):
        images = dict(zip(IMAGES, both, strict=True))
        common = {"model": model, "set": "pairs", "item": pair.id, "seed": seeds[pair.id]}
        for image, found in images.items():
            about = {**common, "image": image, **image_columns(found.record)}
            yield from ({**about, **row} for row in image_rows(pair, found, instruments.judge))
        for preference in instruments.preferences:
            yield {**common, "image": "pair", "prompt": "wide", **_preference(preference, pair, images)}
    for item, row in seen:
        about = {"model": model, "set": "pairs", "item": item, "seed": seeds[item]}
        yield {**about, "image": "pair", "prompt": "wide", **row}


def _preference(preference: PreferenceJudge, pair: PromptPair, images: Mapping[str, Measured]) -> Mapping[str, Any]:
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
