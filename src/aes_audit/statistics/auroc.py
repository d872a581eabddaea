"""Area under the ROC curve with an interval that respects items (clusters)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtr, ndtri

from aes_audit.statistics.bootstrap import Floats, Interval
from aes_audit.statistics.intervals import clopper_pearson

__all__ = ["AreaChange", "Auroc", "auroc", "clustered_delong", "paired_delong", "placements"]


@dataclass(frozen=True, slots=True)
class Auroc:
    """AUROC with its item-clustered uncertainty."""

    area: float
    """P(score of a positive > score of a negative), ties one half."""
    variance: float | None
    """Clustered DeLong variance; None with fewer than two items of a class."""
    interval: Interval
    """Logit interval; the exact one at 0 or 1."""


@dataclass(frozen=True, slots=True)
class AreaChange:
    """Another score of the same rows: how its area differs."""

    difference: float
    """Area of the second minus that of the first."""
    interval: Interval
    """Normal interval of the difference, within [-1, 1]."""
    p_value: float
    """Two-sided p of "the areas are equal"; 1 where every row is placed alike."""


def auroc(scores: Floats, truth: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve of `scores` (n,) for `truth` (n,), ties one half.

    Raises ValueError if a class is empty. Source: PROTOCOL section 6; Mann and Whitney (1947).
    """
    return float(_placements(scores[truth], scores[~truth]).mean())


def clustered_delong(
    scores: Floats, truth: npt.NDArray[np.bool_], items: npt.NDArray[np.int64] | None = None, confidence: float = 0.95
) -> Auroc:
    """AUROC whose variance treats rows of one item as dependent; `items` None means one row per item.

    Shapes (rows,). With one row per item this is plain DeLong. Interval on the logit scale, back-transformed; at an
    area of 0 or 1 the exact interval of 0 or m successes in m = min(P, N) trials, which is conservative.
    Raises ValueError if a class is empty. Source: STATISTICS section 4; DeLong (1988), Obuchowski (1997).
    """
    area = auroc(scores, truth)
    variance = _clustered(placements(scores, truth) - area, truth, np.arange(len(scores)) if items is None else items)
    if area in (0.0, 1.0):
        trials = int(min(truth.sum(), (~truth).sum()))
        return Auroc(area, variance, Interval(clopper_pearson(trials if area else 0, trials, confidence), "exact"))
    if variance is None:
        return Auroc(area, None, Interval(None, reason="fewer than two items of a class"))
    if variance <= 0:
        return Auroc(area, variance, Interval(None, reason="no variation"))
    half = float(ndtri((1 + confidence) / 2)) * math.sqrt(variance) / (area * (1 - area))
    low, high = expit(logit(area) + np.array([-half, half]))
    return Auroc(area, variance, Interval((float(low), float(high)), "delong_logit"))


def paired_delong(
    before: Floats,
    after: Floats,
    truth: npt.NDArray[np.bool_],
    items: npt.NDArray[np.int64],
    confidence: float = 0.95,
) -> AreaChange:
    """Difference of the areas of two scores of the same rows, shapes (rows,); rows of one item are dependent.

    Raises ValueError if a class is empty. Source: DeLong (1988), for correlated areas; clusters as in STATISTICS
    section 4.
    """
    change = placements(after, truth) - placements(before, truth)
    difference = float(change[truth].mean())
    variance = _clustered(change - difference, truth, items)
    if variance is None:
        return AreaChange(difference, Interval(None, reason="fewer than two items of a class"), 1.0)
    if variance <= 0:
        return AreaChange(difference, Interval(None, reason="no variation"), 0.0 if difference else 1.0)
    error = math.sqrt(variance)
    half = float(ndtri((1 + confidence) / 2)) * error
    bounds = (max(-1.0, difference - half), min(1.0, difference + half))
    return AreaChange(difference, Interval(bounds, "delong"), float(2 * ndtr(-abs(difference) / error)))


def placements(scores: Floats, truth: npt.NDArray[np.bool_]) -> Floats:
    """Per row the share of the other class's rows that it stands on the right side of, ties one half; shape (rows,).

    Its mean over either class is the area. Raises ValueError if a class is empty.
    """
    placed = np.empty(len(scores))
    placed[truth] = _placements(scores[truth], scores[~truth])
    placed[~truth] = 1 - _placements(scores[~truth], scores[truth])
    return placed


def _placements(values: Floats, others: Floats) -> Floats:
    """Share of `others` below each of `values`, ties one half."""
    if len(values) == 0 or len(others) == 0:
        raise ValueError(f"AUROC needs both classes, got {len(values)} positive and {len(others)} negative rows")
    ordered = np.sort(others)
    twice = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(twice / (2 * len(others)), dtype=np.float64)


def _clustered(placed: Floats, truth: npt.NDArray[np.bool_], items: npt.NDArray[np.int64]) -> float | None:
    """Clustered DeLong variance of centred placements: each item sums what its own rows contribute to the area."""
    positives, negatives = int(truth.sum()), int((~truth).sum())
    names, item = np.unique(items, return_inverse=True)
    with_positive, with_negative = len(np.unique(item[truth])), len(np.unique(item[~truth]))
    if min(with_positive, with_negative) < 2:
        return None
    s1 = np.bincount(item[truth], placed[truth], len(names))
    s0 = np.bincount(item[~truth], placed[~truth], len(names))
    return float(
        _correction(with_positive) * np.sum(s1**2) / positives**2
        + _correction(with_negative) * np.sum(s0**2) / negatives**2
        + 2 * _correction(len(names)) * np.sum(s1 * s0) / (positives * negatives)
    )


def _correction(count: int) -> float:
    """Small-sample factor of a variance over `count` items."""
    return count / (count - 1)
