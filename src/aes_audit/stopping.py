"""When a generator's images are enough: every verdict that reads them is settled. Images not needed are not made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING

from aes_audit.gates.curtailment import Seen, Settled, can_settle, look
from aes_audit.planning import Case

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence

__all__ = ["EarlyStop", "Outcomes", "early_stop", "outcomes_of"]

Outcomes = Mapping[str, Sequence[bool | None]]
"""Preference judge -> success of every item seen, in plan order; None where that is missing."""


@dataclass
class EarlyStop:
    """Watches the cases that read one generator's images and says when all of them are settled."""

    cases: tuple[Case, ...]
    """Cases whose gates can be settled before the last item."""
    planned: int
    """Items of the full run."""
    base: Mapping[str, Outcomes]
    """Base model -> its outcomes, complete, for cases that compare."""
    family_sizes: Mapping[Case, int]
    """Gates in the Holm family of each case."""
    anytime: bool
    """Whether a bettor may settle a gate, besides lossless curtailment."""
    settled: dict[Case, Settled] = field(default_factory=dict)
    """What has been settled so far; a verdict is never taken back."""

    def __call__(self, outcomes: Outcomes) -> bool:
        """Look at what was seen; true when nothing that is still to come can change a verdict."""
        for case in self.cases:
            if case not in self.settled and (found := self._look(case, outcomes)):
                self.settled[case] = found
        return len(self.settled) == len(self.cases)

    def _look(self, case: Case, outcomes: Outcomes) -> Settled | None:
        assert case.gate is not None
        hits = tuple(outcomes[case.scorer])
        base = tuple(self.base[case.base_model][case.scorer][: len(hits)]) if case.base_model else None
        seen = Seen(self.planned, hits, base)
        return look(case.gate, seen, family=self.family_sizes.get(case, 1), anytime=self.anytime)


def early_stop(
    model: str,
    cases: Sequence[Case],
    *,
    planned: int,
    base: Mapping[str, Outcomes],
    families: Mapping[Case, int],
    anytime: bool,
) -> EarlyStop | None:
    """The rule for one generator, None when a case needs every item: a mean, a pooled reward, a base model."""
    reading = tuple(case for case in cases if model in case.pairs_of)
    # A case without a gate of its own cannot change a verdict, but its number would be cut short.
    if not reading or not all(_may_stop(case, model) for case in reading):
        return None
    return EarlyStop(reading, planned, base, families, anytime)


def outcomes_of(evidence: Evidence, model: str, scorers: Collection[str], items: Sequence[str]) -> Outcomes:
    """Successes by preference judge, in the order of `items`; a tie is none, an absent or error row is None."""
    found = {}
    for scorer in scorers:
        values = evidence.values(model, "pairs", scorer, "pair", "wide").reindex(list(items))
        found[scorer] = [None if isnan(value) else bool(value == 1) for value in values]
    return found


def _may_stop(case: Case, model: str) -> bool:
    judged_by_preference = case.scorer.startswith("preference/")
    return can_settle(case.gate) and judged_by_preference and case.models == (model,) and case.base_model != model
