"""The names of the metrics and what each needs, without importing anything heavy: planning reads them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["PAIRED", "REWARD_SUBJECT", "SCORED_BY", "TRUTH_NEEDED"]

SCORED_BY: Mapping[str, str] = MappingProxyType(
    {
        "success_rate": "preference",
        "quality_shift": "reward",
        "wide_quality": "reward",
        "dimension_shift": "judge",
        "dimension_shift_all": "judge",
        "concept_kept": "matcher",
        "realignment_quality": "reward",
        "realignment_success": "preference",
        "reward_auroc": "reward",
        "reward_accuracy": "reward",
        "reward_balanced_accuracy": "reward",
        "reward_f1": "reward",
        "prefers_wide": "reward",
    }
)
"""Metrics of the set `pairs` and the kind of scorer each reads."""

PAIRED = frozenset({"realignment_quality", "realignment_success"})
"""Metrics that compare a model with a base model."""

REWARD_SUBJECT = frozenset({"reward_auroc", "reward_accuracy", "reward_balanced_accuracy", "reward_f1", "prefers_wide"})
"""Metrics whose subject is the reward and not the generator."""

TRUTH_NEEDED = REWARD_SUBJECT - {"prefers_wide"}
"""Metrics that hold a reward against a preference judge."""
