"""People as judges: how far they agree with each other, and what becomes of ties when a judge is held against them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aes_audit.statistics.bootstrap import bootstrap, statistic_of_sums
from aes_audit.statistics.krippendorff import coincidences, ordinal_alpha

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence

__all__ = ["PEOPLE", "RATER_RULE", "RATER_VALUES", "TIE_RULES", "rater_agreement", "tie_figures"]

PEOPLE = "preference/people"
"""The scorer that people are, as one more preference judge."""
RATER_VALUES = "rater_values"
"""Extra column of people's rows: JSON object, rater -> the value that this rater gave, in the scorer's unit."""
RATER_RULE = "rater_rule"
"""Extra column of people's rows: how the value was made of the ratings."""

TIE_RULES: Mapping[str, str] = {
    "kappa": "ties are the middle of three ordered classes",
    "untied_accuracy": "pairs that either calls a tie are left out",
    "accuracy_ties_original": "a tie counts as the original",
}
"""What becomes of ties in each figure (PROTOCOL R19)."""


def rater_agreement(
    evidence: Evidence, model: str, set: str, scorers: Collection[str], *, seed: int, confidence: float = 0.95
) -> dict[str, Any] | None:
    """Krippendorff's alpha between the raters behind these scorers' rows, with a bootstrap interval over items.

    Classes are ordered; rows of one item (several dimensions) are drawn together. None where the rows do not hold
    what every rater said. Source: Krippendorff (2018), chapter 12; PROTOCOL R19.
    """
    rows = evidence.rows(model, set, ("item", "scorer", RATER_VALUES, RATER_RULE))
    if RATER_VALUES not in rows:
        return None
    rows = rows[rows["scorer"].isin(list(scorers)) & rows[RATER_VALUES].notna()]
    given = [_classes(cell, scorer) for cell, scorer in zip(rows[RATER_VALUES], rows["scorer"], strict=True)]
    raters = {rater for classes in given for rater in classes}
    if not raters:
        return None
    counts = np.array([np.bincount(list(classes.values()), minlength=3) for classes in given], dtype=np.int64)
    return {
        "raters": len(raters),
        "ratings": int(counts.sum()),
        "rows_of_several": int((counts.sum(axis=1) > 1).sum()),
        **_alpha(counts, rows["item"].to_numpy(), seed, confidence),
        **({"rule": str(rows[RATER_RULE].iloc[0])} if RATER_RULE in rows else {}),
    }


def tie_figures(table: Sequence[Sequence[int]]) -> dict[str, Any]:
    """What a 3x3 table of two judges' answers about pairs (original, tie, wide) says besides kappa.

    `mae` in classes; `accuracy_ties_original` is the share of pairs that both or neither call wide; `tie_rules` says
    what became of ties in every figure. A figure of no pair is None. Source: PROTOCOL section 9, R19.
    """
    counts = np.asarray(table, dtype=np.float64)
    pairs = counts.sum()
    steps = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    wide_or_not = counts[:2, :2].sum() + counts[2, 2]
    return {
        "mae": float((steps * counts).sum() / pairs) if pairs else None,
        "accuracy_ties_original": float(wide_or_not / pairs) if pairs else None,
        "tie_rules": dict(TIE_RULES),
    }


def _alpha(counts: npt.NDArray[np.int64], items: npt.NDArray[Any], seed: int, confidence: float) -> dict[str, Any]:
    _, places = np.unique(items.astype(str), return_inverse=True)
    sums = np.zeros((places.max() + 1, counts.shape[1] ** 2))
    np.add.at(sums, places, coincidences(counts))
    # A unit that one person saw holds no pair of ratings, so drawing it would say nothing.
    sums = sums[sums.sum(axis=1) > 0]
    estimate = _number(ordinal_alpha(sums.sum(axis=0)))
    interval = bootstrap(statistic_of_sums(sums, ordinal_alpha), len(sums), seed=seed, confidence=confidence)
    told = {"alpha": estimate, "alpha_interval": list(interval.bounds) if interval.bounds else None}
    return told if interval.bounds else {**told, "alpha_note": interval.reason}


def _classes(cell: Any, scorer: str) -> dict[str, int]:
    """Rater -> class of one row; empty for a column of the same name that somebody else keeps for other ends."""
    step = 2 if scorer.startswith("preference/") else 1
    try:
        found = {str(rater): float(value) * step for rater, value in json.loads(cell).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
    return {rater: int(value) for rater, value in found.items()} if {*found.values()} <= {0.0, 1.0, 2.0} else {}


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
