"""The set `edits`: what an editor makes of wide images that are already what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.collecting import image_jobs
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.images import image_columns, told_apart
from aes_audit.evidence.keys import item_seed
from aes_audit.evidence.measuring import Instruments, Measured, Scorers, image_rows, measure, until_intact
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.evidence.stored_image import StoredImage
from aes_audit.evidence.table import Evidence
from aes_audit.generators.editing import EditRequest, ResolvedEditor
from aes_audit.generators.protocol import ResolvedGenerator
from aes_audit.prompts.pairs import PromptPair, PromptSet

__all__ = ["EditSources", "choose_sources", "collect_edits", "edit_jobs", "source_records"]


@dataclass(frozen=True, slots=True)
class EditSources:
    """The wide images that are edited."""

    generator: ResolvedGenerator
    """Who drew them."""
    plan: PromptSet
    """All pairs of its run, in the order in which they were drawn."""
    pairs: tuple[PromptPair, ...]
    """The pairs whose wide images are edited, in that order."""


def choose_sources(
    generator: ResolvedGenerator, plan: PromptSet, evidence: Evidence, *, truth: str, limit: int
) -> EditSources:
    """The first `limit` pairs of the plan whose wide image the preference judge `truth` finds to follow p_a.

    `evidence` holds the generator's pairs, complete. A tie or a missing image does not follow. The paper took wide
    images with HPSv3(I_a, p_o) below 10; choosing by the score that is measured afterwards would let every editor
    seem to lift it, since what was low by chance is less low when it is drawn again. Raises InfrastructureError when
    no image follows.
    """
    followed = evidence.values(generator.name, "pairs", truth, "pair", "wide")
    right = set(followed.index[followed == 1])
    chosen = tuple(pair for pair in plan.pairs if pair.id in right)[:limit]
    if not chosen:
        raise InfrastructureError(
            f"{truth} finds none of the {len(plan.pairs)} wide images of {generator.name} to be what was asked for: "
            "there is nothing to edit; name another --audit-edit-source."
        )
    return EditSources(generator, plan, chosen)


def collect_edits(
    editor: ResolvedEditor, sources: EditSources, instruments: Instruments, store: Store, engine: Engine
) -> Evidence:
    """The `edits` evidence of one editor; touches a model only for what the store does not hold.

    Every source is edited towards its p_a and scored beside the result. The seeds are not those the sources were
    drawn with, and the same for every editor. Raises InfrastructureError or StoreUnusable, MissingScores where the
    model cannot edit.
    """
    scorers = Scorers.of(instruments)

    def attempt(relied_on: list[ImageRecord]) -> list[Mapping[str, Any]]:
        found = source_records(sources, store, engine)
        relied_on += found
        relied_on += (edited := _edited(editor, sources, found, store, engine))
        # Apart, because the sources have their scores already: in one batch they would be scored again.
        before, after = (
            measure(scorers, list(zip(sources.pairs, records, strict=True)), store, engine)
            for records in (found, edited)
        )
        return list(_rows(editor, sources, instruments, before, after))

    return Evidence.from_rows(until_intact(editor.name, store, attempt), source=editor.name)


def source_records(sources: EditSources, store: Store, engine: Engine) -> list[ImageRecord]:
    """The wide images that are edited, in order; what the store lacks is made by the engine."""
    # All images of the run, in its own batches: where one has to be made again it becomes the very picture it was.
    jobs = image_jobs(sources.plan)
    records = generate_images(sources.generator, jobs, store, engine)
    wide = {job.item: record for job, record in zip(jobs, records, strict=True) if job.image == "wide"}
    return [wide[pair.id] for pair in sources.pairs]


def edit_jobs(sources: EditSources, found: Sequence[ImageRecord], store: Store) -> list[ImageJob]:
    """What an editor is asked: every source that there is; `found` are those of `source_records`."""
    return [
        ImageJob(pair.id, "edited", EditRequest(pair.wide, _seed(sources.plan, pair), StoredImage(store, record)))
        for pair, record in zip(sources.pairs, found, strict=True)
        if record.sha256 is not None
    ]


def _edited(
    editor: ResolvedEditor, sources: EditSources, found: Sequence[ImageRecord], store: Store, engine: Engine
) -> list[ImageRecord]:
    """One record per source, in order; an edit without a source is missing for the source's reason."""
    jobs = edit_jobs(sources, found, store)
    made = iter(told_apart(jobs, generate_images(editor, jobs, store, engine)))
    return [
        next(made) if record.sha256 is not None else replace(record, error=f"its source is missing: {record.error}")
        for record in found
    ]


def _seed(plan: PromptSet, pair: PromptPair) -> int:
    # With the noise that the source was drawn from, a model would only be led back to its source.
    return item_seed(f"{plan.name}, edits", pair.id, plan.repeat)


def _rows(
    editor: ResolvedEditor,
    sources: EditSources,
    instruments: Instruments,
    before: Sequence[Measured],
    after: Sequence[Measured],
) -> Iterator[Mapping[str, Any]]:
    model = {"model": editor.model.name, "set": "edits"}
    how = {"edit_source": sources.generator.name, "strength": editor.strength}
    for pair, source, edited in zip(sources.pairs, before, after, strict=True):
        item = {**model, "item": pair.id, "seed": _seed(sources.plan, pair), **how}
        for image, found in (("source", source), ("edited", edited)):
            about = {**item, "image": image, **image_columns(found.record)}
            yield from ({**about, **row} for row in image_rows(pair, found, instruments.judge))
