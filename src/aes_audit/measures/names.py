"""The names of the metrics and what each needs, without importing anything heavy: planning reads them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["LIVE", "METRIC_NEEDS", "PAIRED", "REWARD_SUBJECT", "SCORED_BY", "TRUTH_NEEDED", "Needs"]


class Needs(NamedTuple):
    """What a metric reads."""

    set: str
    """Evidence set."""
    scorer: str
    """Kind of scorer: `preference`, `reward`, `matcher`, `judge`, or `images` for rows about images by any scorer."""
    paired: bool = False
    """Whether two models are compared."""
    of_scorer: bool = False
    """Whether the verdict is about the scorer and not about the model."""
    truth: bool = False
    """Whether the scorer is held against a preference judge, which may itself be one."""
    also_judge: bool = False
    """Whether the sum of the dimension judge is read beside the rewards, as the paper's tables do."""
    groups: tuple[str | None, ...] = (None,)
    """Sub-groups that are measured apart; None is the whole."""


_EMOTIONS = ("sad", "angry", "fearful")

METRIC_NEEDS: Mapping[str, Needs] = MappingProxyType(
    {
        "image_faults": Needs("pairs", "images"),
        "success_rate": Needs("pairs", "preference"),
        "quality_shift": Needs("pairs", "reward"),
        "wide_quality": Needs("pairs", "reward"),
        "dimension_shift": Needs("pairs", "judge"),
        "dimension_shift_all": Needs("pairs", "judge"),
        "concept_kept": Needs("pairs", "matcher"),
        "realignment_quality": Needs("pairs", "reward", paired=True, also_judge=True),
        "realignment_success": Needs("pairs", "preference", paired=True),
        "preference_agreement": Needs("pairs", "preference", truth=True),
        "reward_auroc": Needs("pairs", "reward", of_scorer=True, truth=True),
        "reward_accuracy": Needs("pairs", "reward", of_scorer=True, truth=True),
        "reward_balanced_accuracy": Needs("pairs", "reward", of_scorer=True, truth=True),
        "reward_f1": Needs("pairs", "reward", of_scorer=True, truth=True),
        "prefers_wide": Needs("pairs", "reward", of_scorer=True),
        "art_z": Needs("art", "reward", of_scorer=True),
        "emotion_accuracy": Needs("emotion", "reward", of_scorer=True, groups=_EMOTIONS),
        "emotion_accuracy_happy": Needs("emotion", "reward", of_scorer=True, groups=_EMOTIONS),
        "emotion_rendering": Needs("emotion", "matcher", groups=("happy", *_EMOTIONS)),
        "positivity_shift": Needs("emotion", "matcher"),
        "realignment_emotion": Needs("emotion", "matcher", paired=True),
        "edit_shift": Needs("edits", "reward", also_judge=True),
        "judge_agreement_accuracy": Needs("ratings", "judge", of_scorer=True),
        "judge_agreement_mae": Needs("ratings", "judge", of_scorer=True),
        "judge_agreement_weighted_mae": Needs("ratings", "judge", of_scorer=True),
        "judge_agreement_weighted_f1": Needs("ratings", "judge", of_scorer=True),
        "judge_agreement_quadratic_kappa": Needs("ratings", "judge", of_scorer=True),
    }
)
"""Every metric of the evidence contract."""

SCORED_BY: Mapping[str, str] = MappingProxyType(
    {name: needs.scorer for name, needs in METRIC_NEEDS.items() if needs.set == "pairs"}
)
"""Metrics of the set `pairs`, which a live run collects, and the kind of scorer each reads."""

LIVE = frozenset(name for name, needs in METRIC_NEEDS.items() if needs.set != "ratings")
"""Metrics of the sets that a live run can collect."""

PAIRED = frozenset(name for name, needs in METRIC_NEEDS.items() if needs.paired)
"""Metrics that compare a model with a base model."""

REWARD_SUBJECT = frozenset(name for name, needs in METRIC_NEEDS.items() if needs.of_scorer)
"""Metrics whose subject is the scorer and not the generator."""

TRUTH_NEEDED = frozenset(name for name, needs in METRIC_NEEDS.items() if needs.truth)
"""Metrics that hold a reward, or a preference judge, against a preference judge."""
