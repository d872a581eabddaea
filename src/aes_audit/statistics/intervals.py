"""Intervals of proportions, means and paired differences of proportions."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from aes_audit.statistics.bootstrap import MIN_ITEMS, RESAMPLES, Floats, Interval, Positions, bootstrap

__all__ = ["bca_mean", "bonett_price", "clopper_pearson", "mean_interval", "proportion", "student_t", "wilson"]

MIN_BCA_ITEMS = 100
"""From this many items a mean gets BCa; below, Student t covers better (STATISTICS section 3)."""


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a proportion; coverage is at least `confidence` for every true rate and n.

    No trials say nothing: (0, 1). Raises ValueError unless 0 <= successes <= trials.
    Source: Clopper and Pearson (1934); statsmodels calls it `beta`.
    """
    _check_counts(successes, trials)
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1 - tail))
    return low, high


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion, never of zero width; overshoots near 1, so it serves plots.

    No trials say nothing: (0, 1). Raises ValueError unless 0 <= successes <= trials. Source: Wilson (1927).
    """
    _check_counts(successes, trials)
    if trials == 0:
        return 0.0, 1.0
    z2 = float(ndtri((1 + confidence) / 2)) ** 2
    centre = (successes + z2 / 2) / (trials + z2)
    half = math.sqrt(z2 * (successes * (trials - successes) / trials + z2 / 4)) / (trials + z2)
    # At the ends the bound is 0 or 1 by algebra; rounding must not move it past or short of that.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high


def proportion(successes: int, trials: int, confidence: float = 0.95, kind: str = "exact") -> Interval:
    """The interval named by `kind`: `exact` (Clopper-Pearson, the default for verdicts) or `wilson`.

    Raises ValueError for another kind or impossible counts.
    """
    if kind not in ("exact", "wilson"):
        raise ValueError(f"interval {kind!r}: must be 'exact' or 'wilson'")
    bounds = (clopper_pearson if kind == "exact" else wilson)(successes, trials, confidence)
    return Interval(bounds, kind)


def student_t(values: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """t interval of the mean of item values, shape (n,). Raises ValueError for fewer than two."""
    if len(values) < 2:
        raise ValueError(f"a t interval needs at least two values, got {len(values)}")
    mean = float(np.mean(values))
    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2) * np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean - half, mean + half


def bca_mean(values: Floats, *, seed: int, confidence: float = 0.95, resamples: int = RESAMPLES) -> Interval:
    """Bootstrap ladder for the mean of item values, shape (n,); see `bootstrap` for its rungs."""

    def means(positions: Positions) -> Floats:
        return np.asarray(values.take(positions).mean(axis=-1), dtype=np.float64)

    if len(values) >= MIN_ITEMS and np.ptp(values) == 0:
        return Interval(None, reason="no variation")
    return bootstrap(means, len(values), seed=seed, confidence=confidence, resamples=resamples)


def mean_interval(values: Floats, *, seed: int, confidence: float = 0.95) -> Interval:
    """Interval of a mean over items: none below 20, Student t for 20 to 99, BCa from 100.

    Equal values give no interval ("no variation"). Source: STATISTICS section 3.
    """
    if len(values) < MIN_ITEMS:
        return Interval(None, reason=f"n < {MIN_ITEMS}")
    if len(values) >= MIN_BCA_ITEMS or np.ptp(values) == 0:
        return bca_mean(values, seed=seed, confidence=confidence)
    return Interval(student_t(values, confidence), "student_t")


def bonett_price(regressed: int, improved: int, pairs: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the paired difference of two rates, aligned minus base: (improved - regressed) / pairs.

    `regressed` pairs succeeded only with the base, `improved` only with the aligned model. Never of zero width.
    Raises ValueError for impossible counts. Source: Bonett and Price (2012).
    """
    if pairs < 1 or min(regressed, improved) < 0 or regressed + improved > pairs:
        raise ValueError(f"{regressed} regressed and {improved} improved of {pairs} pairs is impossible")
    p, q = (regressed + 1) / (pairs + 2), (improved + 1) / (pairs + 2)
    half = float(ndtri((1 + confidence) / 2)) * math.sqrt((p + q - (q - p) ** 2) / (pairs + 2))
    return max(-1.0, q - p - half), min(1.0, q - p + half)


def _check_counts(successes: int, trials: int) -> None:
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials is impossible")
