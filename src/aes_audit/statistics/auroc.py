"""Area under the ROC curve with an interval that respects items (clusters)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtri

from aes_audit.statistics.bootstrap import Floats, Interval
from aes_audit.statistics.intervals import clopper_pearson

__all__ = ["Auroc", "auroc", "clustered_delong"]


@dataclass(frozen=True, slots=True)
class Auroc:
    """AUROC with its item-clustered uncertainty."""

    area: float
    """P(score of a positive > score of a negative), ties one half."""
    variance: float | None
    """Clustered DeLong variance; None with fewer than two items of a class."""
    interval: Interval
    """Logit interval; the exact one at 0 or 1."""


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
    variance = _variance(scores, truth, np.arange(len(scores)) if items is None else items, area)
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


def _placements(values: Floats, others: Floats) -> Floats:
    """Share of `others` below each of `values`, ties one half."""
    if len(values) == 0 or len(others) == 0:
        raise ValueError(f"AUROC needs both classes, got {len(values)} positive and {len(others)} negative rows")
    ordered = np.sort(others)
    twice = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(twice / (2 * len(others)), dtype=np.float64)


def _variance(scores: Floats, truth: npt.NDArray[np.bool_], items: npt.NDArray[np.int64], area: float) -> float | None:
    """Clustered DeLong variance: each item sums what its own rows contribute to the area."""
    positives, negatives = int(truth.sum()), int((~truth).sum())
    names, item = np.unique(items, return_inverse=True)
    with_positive, with_negative = len(np.unique(item[truth])), len(np.unique(item[~truth]))
    if min(with_positive, with_negative) < 2:
        return None
    above = 1 - _placements(scores[~truth], scores[truth])
    s1 = np.bincount(item[truth], _placements(scores[truth], scores[~truth]) - area, len(names))
    s0 = np.bincount(item[~truth], above - area, len(names))
    return float(
        _correction(with_positive) * np.sum(s1**2) / positives**2
        + _correction(with_negative) * np.sum(s0**2) / negatives**2
        + 2 * _correction(len(names)) * np.sum(s1 * s0) / (positives * negatives)
    )


def _correction(count: int) -> float:
    """Small-sample factor of a variance over `count` items."""
    return count / (count - 1)
