"""The set `emotion` of a generator: faces that were asked to show an emotion, and which one a matcher sees in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

from aes_audit.evidence.batches import WHOLE, Part
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.images import image_columns, told_apart
from aes_audit.evidence.keys import item_seed
from aes_audit.evidence.measuring import until_intact
from aes_audit.evidence.schema import EMOTIONS, FACE
from aes_audit.evidence.scorers import BATCH, NO_SCORE, Question, Scorer, reward_scorer
from aes_audit.evidence.scoring import score_images
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.evidence.table import Evidence
from aes_audit.generators.protocol import ImageRequest, ResolvedGenerator
from aes_audit.prompts.emotion import EmotionTemplates
from aes_audit.rewards.protocol import Answer, ResolvedReward
from aes_audit.rewards.registry import contrastive

__all__ = ["FaceMatcher", "collect_faces", "face_jobs", "statements_about"]


@dataclass(frozen=True, slots=True)
class FaceMatcher:
    """An image-text matcher, asked which of the four statements about a face is true."""

    name: str
    """The `scorer` column of the evidence."""
    scorer: Scorer
    """What answers."""
    chooses: bool
    """Whether the four answers are logits, and the probabilities of the statements follow from all of them."""

    @classmethod
    def of(cls, matcher: ResolvedReward) -> FaceMatcher:
        """A CLIP chooses among the statements, anything else is asked about each by itself.

        Cosines of different images cannot be compared: one that fits any caption a little less would count as one
        that shows less of its emotion.
        """
        logits = contrastive(matcher)
        return cls(f"{matcher.name}{FACE}", reward_scorer(logits or matcher), logits is not None)

    def read(self, answered: Sequence[Answer]) -> Sequence[Answer]:
        """What the evidence says about the four statements, given the answers to them; in the same order."""
        if not self.chooses:
            return answered
        values = [answer.value for answer in answered if answer.value is not None]
        if len(values) < len(answered):
            return [Answer(None, answer.error or "another statement has no score") for answer in answered]
        weights = [math.exp(value - max(values)) for value in values]
        return [
            Answer(weight / sum(weights), None, answer.extra) for weight, answer in zip(weights, answered, strict=True)
        ]


def face_jobs(templates: EmotionTemplates, repeat: int = 0) -> list[ImageJob]:
    """Every template in every emotion, each with a seed of its own (rule R26), the same for every generator."""
    return [
        ImageJob(
            template.id,
            emotion,
            ImageRequest(template.prompt(emotion), item_seed(templates.name, f"{template.id}, {emotion}", repeat)),
        )
        for template in templates.templates
        for emotion in EMOTIONS
    ]


def statements_about(templates: EmotionTemplates, jobs: Sequence[ImageJob]) -> list[tuple[str, ...]]:
    """What is stated about each image: the four emotions, of the face of its template."""
    by_id = {template.id: template for template in templates.templates}
    return [tuple(by_id[job.item].statement(emotion) for emotion in EMOTIONS) for job in jobs]


def collect_faces(
    generator: ResolvedGenerator,
    templates: EmotionTemplates,
    matcher: ResolvedReward,
    store: Store,
    engine: Engine,
    repeat: int = 0,
    part: Part = WHOLE,
) -> Evidence:
    """The faces of one generator, each under all four statements; touches a model only for what the store lacks.

    An item is a template, `image` the emotion that was asked for, `prompt` the one that is stated. An image that
    cannot be made never becomes a score. Raises InfrastructureError, StoreUnusable or BudgetSpent.
    """
    # Whole batches of both stages, so that a part's images and scores are those of the whole.
    jobs = part.of(face_jobs(templates, repeat), lcm(generator.batch_size, BATCH))
    statements = statements_about(templates, jobs)
    asked = FaceMatcher.of(matcher)

    def attempt(relied_on: list[ImageRecord]) -> list[Mapping[str, Any]]:
        relied_on += generate_images(generator, jobs, store, engine)
        records = told_apart(jobs, relied_on)
        questions = [Question(record, said) for record, said in zip(records, statements, strict=True)]
        scores = score_images(asked.scorer, questions, store, engine)
        return [
            {"model": generator.name, **row}
            for job, question, answers in zip(jobs, questions, scores, strict=True)
            for row in _rows(job, question, answers, asked)
        ]

    return Evidence.from_rows(until_intact(generator.name, store, attempt), source=generator.name)


def _rows(
    job: ImageJob, question: Question, answers: Mapping[str, Answer], asked: FaceMatcher
) -> Iterator[Mapping[str, Any]]:
    about = {"set": "emotion", "item": job.item, "image": job.image, "scorer": asked.name, "seed": job.request.seed}
    lost = Answer(None, question.record.error or NO_SCORE)
    found = asked.read([answers.get(said, lost) for said in question.queries])
    for emotion, answer in zip(EMOTIONS, found, strict=True):
        outcome = {**answer.extra, "value": answer.value, "error": answer.error}
        yield {**about, "prompt": emotion, **image_columns(question.record), **outcome}
