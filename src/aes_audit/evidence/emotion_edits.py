"""Tuples that an editor makes: a happy face drawn from a template, and three edits of it by the same model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aes_audit.evidence.bench import Bench
from aes_audit.evidence.emotion import HAPPY, tuple_rows
from aes_audit.evidence.emotion_tuples import EmotionTuple
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.images import image_columns, told_apart
from aes_audit.evidence.keys import digest, item_seed
from aes_audit.evidence.measuring import until_intact
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.evidence.stored_image import StoredImage
from aes_audit.evidence.table import Evidence
from aes_audit.generators.editing import EditRequest, ResolvedEditor
from aes_audit.generators.protocol import ImageRequest
from aes_audit.prompts.emotion import EmotionTemplate, EmotionTemplates
from aes_audit.rewards.protocol import ResolvedReward

__all__ = ["EditedTuples", "collect_edited_emotion", "edit_jobs", "happy_jobs", "made_tuples"]


@dataclass(frozen=True, slots=True)
class EditedTuples:
    """Tuples that are not made yet."""

    editor: ResolvedEditor
    """Draws the happy faces as the text-to-image model it is, and edits them."""
    templates: EmotionTemplates
    """One tuple each; a template with its emotion is the caption."""
    repeat: int = 0
    """Counts the runs of a calibration that draws everything again."""

    @property
    def digest(self) -> str:
        """Of model, settings and captions."""
        return digest({"editor": dict(self.editor.identity), "templates": self.templates.digest})

    def seed(self, template: EmotionTemplate, image: str) -> int:
        """Of an image: the edits of one face share theirs, which is not the one that the face was drawn with."""
        made = "tuples" if image == HAPPY else "tuples, edits"
        return item_seed(f"{self.templates.name}, {made}", template.id, self.repeat)


def collect_edited_emotion(
    tuples: EditedTuples, model: str, rewards: Sequence[ResolvedReward], store: Store, engine: Engine
) -> Evidence:
    """The `emotion` evidence of rewards on edited faces, which are called `model`.

    Touches a model only for what the store does not hold. Raises InfrastructureError or StoreUnusable, MissingScores
    where the model cannot edit.
    """
    bench = Bench.of(tuples.digest, rewards, store)

    def attempt(relied_on: list[ImageRecord]) -> list[Mapping[str, Any]]:
        made = made_tuples(tuples, store, engine, relied_on)
        return list(tuple_rows(model, made, bench, engine))

    return Evidence.from_rows(until_intact(model, store, attempt), source=model)


def made_tuples(tuples: EditedTuples, store: Store, engine: Engine, relied_on: list[ImageRecord]) -> list[EmotionTuple]:
    """Faces and edits, made where the store lacks them; `relied_on` learns which images they are."""
    happy = _happy(tuples, store, engine)
    relied_on += happy.values()
    edited = _edited(tuples, happy, store, engine)
    relied_on += edited.values()
    records = {**{(item, HAPPY): record for item, record in happy.items()}, **edited}
    return [_tuple(tuples, one, records, store) for one in tuples.templates.templates]


def happy_jobs(tuples: EditedTuples) -> list[ImageJob]:
    """The happy faces, as they are drawn."""
    return [
        ImageJob(one.id, HAPPY, ImageRequest(one.prompt(HAPPY), tuples.seed(one, HAPPY)))
        for one in tuples.templates.templates
    ]


def edit_jobs(tuples: EditedTuples, happy: Mapping[str, ImageRecord], store: Store) -> list[ImageJob]:
    """The edits of the faces that there are; `happy` are they by item."""
    return [
        ImageJob(
            one.id,
            emotion,
            EditRequest(one.prompt(emotion), tuples.seed(one, emotion), StoredImage(store, happy[one.id])),
        )
        for one, emotion in _asked(tuples)
        if happy[one.id].sha256 is not None
    ]


def _asked(tuples: EditedTuples) -> list[tuple[EmotionTemplate, str]]:
    return [(one, emotion) for one in tuples.templates.templates for emotion in EMOTIONS if emotion != HAPPY]


def _happy(tuples: EditedTuples, store: Store, engine: Engine) -> dict[str, ImageRecord]:
    """Item -> its happy image."""
    jobs = happy_jobs(tuples)
    records = told_apart(jobs, generate_images(tuples.editor.model, jobs, store, engine))
    return {job.item: record for job, record in zip(jobs, records, strict=True)}


def _edited(
    tuples: EditedTuples, happy: Mapping[str, ImageRecord], store: Store, engine: Engine
) -> dict[tuple[str, str], ImageRecord]:
    """Item and emotion -> the edit; one without a happy image is missing for that image's reason."""
    jobs = edit_jobs(tuples, happy, store)
    records = told_apart(jobs, generate_images(tuples.editor, jobs, store, engine))
    made = {(job.item, job.image): record for job, record in zip(jobs, records, strict=True)}
    return {
        (one.id, emotion): made.get((one.id, emotion))
        or replace(happy[one.id], error=f"its happy image is missing: {happy[one.id].error}")
        for one, emotion in _asked(tuples)
    }


def _tuple(
    tuples: EditedTuples, template: EmotionTemplate, made: Mapping[tuple[str, str], ImageRecord], store: Store
) -> EmotionTuple:
    records = {emotion: made[template.id, emotion] for emotion in EMOTIONS}
    columns = {
        emotion: {"seed": tuples.seed(template, emotion), "strength": tuples.editor.strength, **image_columns(record)}
        for emotion, record in records.items()
    }
    pictures = {emotion: StoredImage(store, record) for emotion, record in records.items()}
    return EmotionTuple(template.id, template.text, pictures, columns)
