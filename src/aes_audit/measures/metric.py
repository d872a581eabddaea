"""What a metric is, in the words and units that a table of results needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aes_audit.measures.measurement import Measurement
from aes_audit.measures.request import Request

__all__ = ["Metric"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of the registry."""

    name: str
    """Name in the results file."""
    set: str
    """Evidence set it reads."""
    bad: str
    """The direction of the estimate that is worse: `up` or `down`."""
    unit: str
    """Unit of the estimate; `score` is the scorer's own."""
    scorer_kind: str
    """`preference`, `reward`, `judge`, `matcher` or `images`."""
    function: Callable[[Request], Measurement]
    """The metric itself."""
    question: str
    """What it answers, in one plain line."""
    paired: bool = False
    """Whether it compares a model with a base model."""
    needs_truth: bool = False
    """Whether it needs a preference judge beside its scorer."""
    groups: tuple[str | None, ...] = (None,)
    """The sub-groups it is measured for; None is the whole. Agreement also takes any dimension of its table."""
