"""Second stage: every stored image is shown once to every scorer, with all questions about it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aes_audit.evidence.answered import Answered
from aes_audit.evidence.batches import planned
from aes_audit.evidence.engines.protocol import Batch, Engine
from aes_audit.evidence.keys import score_key
from aes_audit.evidence.scorers import Question, Scorer, recorded
from aes_audit.evidence.store import Store
from aes_audit.rewards.protocol import Answer

__all__ = ["ScoreStage", "score_images"]


@dataclass(frozen=True, slots=True)
class ScoreStage:
    """A Stage: one scorer and everything that it is asked.

    A batch is a fixed run of the plan, for the reason given in `ImageStage`. A missing image leaves its place empty, so
    that it moves no other one into another batch.
    """

    operator: Scorer
    """Who answers."""
    entries: Sequence[tuple[str | None, Question]]
    """Key and question about every image, in the order of the plan; no key for a missing image."""

    unit = "image"

    @classmethod
    def of(cls, scorer: Scorer, questions: Sequence[Question]) -> ScoreStage:
        """What a scorer is asked, with its keys."""
        return cls(scorer, [(_key(scorer, question), question) for question in questions])

    @property
    def title(self) -> str:
        """For the progress bar."""
        return f"{self.operator.name}: scores"

    @property
    def total(self) -> int:
        """Number of images that there are."""
        return sum(key is not None for key, _ in self.entries)

    def left(self, store: Store) -> Sequence[Batch]:
        """The batches in which an image has no answers yet."""
        return list(self.operator.left(store, planned(self.entries, self.operator.batch)))

    def answers(self, store: Store, *, partial: bool = False) -> Answered | None:
        """What the store has, one mapping per question in order, empty for a missing image.

        None where an answer is missing; with `partial` it is left empty.
        """
        found = Answered()
        records = store.all_scores(key for key, _ in self.entries if key is not None)
        for key, question in self.entries:
            known = {} if key is None else recorded(next(records), question)
            if known is None and not partial:
                return None
            found.append(question.queries, known or {})
        return found


def _key(scorer: Scorer, question: Question) -> str | None:
    sha256 = question.record.sha256
    return score_key(scorer.identity, sha256, question.queries) if sha256 else None


def score_images(
    scorer: Scorer, questions: Sequence[Question], store: Store, engine: Engine
) -> Sequence[Mapping[str, Answer]]:
    """One mapping query -> answer per question, in order; empty for a missing image.

    Raises InfrastructureError, StoreUnusable, or CorruptObject for an image whose bytes have changed.
    """
    stage = ScoreStage.of(scorer, questions)
    if (complete := stage.answers(store)) is not None:
        return complete
    engine.run(stage, store)
    return stage.answers(store, partial=True) or Answered()
