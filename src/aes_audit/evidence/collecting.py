"""The set `pairs`: images and scores of one generator, collected into evidence rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import lcm
from typing import Any

from aes_audit.evidence.batches import WHOLE, Part, fixed_batches
from aes_audit.evidence.columns import RowColumns
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.images import image_columns, repeats_earlier, told_apart
from aes_audit.evidence.keys import item_seed
from aes_audit.evidence.measuring import Instruments, Measured, Scorers, image_rows, kept, measure, until_intact
from aes_audit.evidence.preferring import Columns, PairJob, prefer, shown_orders
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.scoring import BATCH
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.evidence.table import Evidence
from aes_audit.generators.protocol import Generator, ImageRequest, ResolvedGenerator
from aes_audit.judges.protocol import PairScores, PreferenceJudge
from aes_audit.prompts.pairs import PromptPair, PromptSet

__all__ = ["IMAGES", "Instruments", "Stop", "collect_pairs", "image_jobs", "pair_jobs", "pairs_per_round"]

Stop = Callable[[Mapping[str, list[bool | None]]], bool]
"""Told, per preference judge, which pairs succeeded so far; says whether that is enough."""

IMAGES = ("original", "wide")
"""The images of a pair, in the order in which they are drawn."""


def collect_pairs(
    generator: ResolvedGenerator,
    prompts: PromptSet,
    instruments: Instruments,
    store: Store,
    progress: Progress,
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
        return Evidence.from_rows(_collected(bench, prompts, store, progress), source=generator.name)
    gathered, drawn = _Gathered.of(instruments), dict[str, str]()
    with progress.bar(f"{generator.name}: pairs", done=0, total=len(prompts.pairs), unit="pair") as tick:
        for count, pairs in enumerate(fixed_batches(prompts.pairs, step), 1):
            found = list(_collected(bench, replace(prompts, pairs=tuple(pairs)), store, Progress()))
            if repeats_earlier(found, drawn):
                # A picture of an earlier round came again: then neither of the two answers its prompt.
                so_far = replace(prompts, pairs=prompts.pairs[: count * step])
                gathered = _Gathered.of(instruments)
                gathered.add(_collected(bench, so_far, store, Progress()))
            else:
                gathered.add(found)
            tick(len(pairs))
            if stop(gathered.successes):
                break
    return Evidence.from_columns(gathered.columns, source=generator.name)


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
        load = kept(generator.load) if keep else generator.load
        return cls(generator, load, instruments, Scorers.of(instruments, keep=keep))


def pairs_per_round(generator: ResolvedGenerator) -> int:
    """Whole batches of every stage: a round's batches are batches of the full run."""
    return lcm(generator.batch_size, BATCH, len(IMAGES)) // len(IMAGES)


@dataclass(frozen=True, slots=True)
class _Gathered:
    """The rounds so far."""

    successes: Mapping[str, list[bool | None]]
    """Preference judge -> whether each pair succeeded, in plan order; None where that is missing."""
    columns: RowColumns = field(default_factory=RowColumns)
    """Their rows."""

    @classmethod
    def of(cls, instruments: Instruments) -> _Gathered:
        """Nothing yet."""
        return cls({name: [] for name in instruments.deciding})

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take over one more round."""
        self.columns.extend(map(self._noted, rows))

    def _noted(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        if row["image"] == "pair":
            self.successes[row["scorer"]].append(None if row["value"] is None else row["value"] == 1)
        return row


def _collected(bench: _Bench, prompts: PromptSet, store: Store, progress: Progress) -> Iterator[Mapping[str, Any]]:
    jobs = image_jobs(prompts)
    by_id = {pair.id: pair for pair in prompts.pairs}

    def attempt(relied_on: list[ImageRecord]) -> Iterator[Mapping[str, Any]]:
        relied_on += generate_images(bench.generator, jobs, store, progress, bench.load)
        images = [(by_id[job.item], record) for job, record in zip(jobs, told_apart(jobs, relied_on), strict=True)]
        measured = measure(bench.scorers, images, store, progress)
        seen = _seen(bench, prompts, [record for _, record in images], store, progress)
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
    bench: _Bench, prompts: PromptSet, records: Sequence[ImageRecord], store: Store, progress: Progress
) -> list[tuple[str, Columns]]:
    """Item and row of every pair, of one judge after the other: what those say that look at the images."""
    found: list[tuple[str, Columns]] = []
    for judge in bench.instruments.onlookers:
        answered = prefer(
            judge, pair_jobs(prompts, records, judge.orders), store, progress, bench.scorers.onlookers[judge.name]
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
