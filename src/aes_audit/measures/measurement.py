"""One measurement: what the results file holds for one (metric, subject, scorer, group)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Measurement"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """An estimate with its uncertainty, computed from evidence by a pure function."""

    audit: str
    """Name of the audit that asked, for instance `quality_shift` or `reward_discrimination`."""
    metric: str
    """Name of the metric as in the evidence contract."""
    model: str
    """The generator under audit, as in the evidence's `model` column; pooled generators are joined by `+`."""
    set: str
    """Evidence set: `pairs`, `art`, `emotion`, `edits` or `ratings`."""
    scorer: str | None
    """The scorer that was read; for metrics of a reward, the reward."""
    n: int
    """Items with every needed value."""
    missing: int
    """Expected items without one."""
    estimate: float | None
    """The value in the metric's own unit; None when not measured."""
    interval: tuple[float, float] | None = None
    """Two-sided interval at `confidence`, None where none is defined."""
    confidence: float = 0.95
    """Two-sided level of `interval`."""
    base_model: str | None = None
    """The model compared against; None for per-model metrics."""
    group: str | None = None
    """A sub-group (an emotion, a dimension, a style), None when there is none."""
    statistic: float | None = None
    """Test statistic where the metric has a test."""
    p_value: float | None = None
    """p-value of that test, sidedness as in the evidence contract, unadjusted."""
    effect_r: float | None = None
    """-Z/sqrt(n) of the Wilcoxon test: negative when the aligned model scores higher."""
    rank_biserial: float | None = None
    """Rank-biserial correlation, same sign as `effect_r`."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else a reader needs (class counts, successes, interval method, ties): JSON values only."""
    reason: str | None = None
    """Why `estimate` or `interval` is None, in words; None otherwise."""
