"""Bootstrap of items: BCa, else percentile, else no interval and the reason.

Resampling draws positions of item-sorted data, so whatever belongs to one item stays together.
The draws are those of `scipy.stats.bootstrap` with the same generator: a recorded seed reproduces an interval there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

__all__ = [
    "MIN_ITEMS",
    "RESAMPLES",
    "Floats",
    "Interval",
    "Positions",
    "Statistic",
    "bootstrap",
    "resampled_counts",
    "statistic_of_sums",
]

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
Statistic = Callable[[Positions], Floats]
"""Maps positions of shape (resamples, drawn) to one value per resample; NaN where it is undefined."""

RESAMPLES = 9999
"""Resamples per interval (STATISTICS section 3)."""
MIN_ITEMS = 20
"""Below this no bootstrap or t interval is given: measured coverage falls under .90."""
CHUNK_CELLS = 1 << 15  # positions held at once: 256 KiB, stays in the cache and bounds memory at any n


@dataclass(frozen=True, slots=True)
class Interval:
    """Two-sided interval, or the reason why there is none."""

    bounds: tuple[float, float] | None
    """Lower and upper bound in the unit of the statistic."""
    method: str | None = None
    """`bca`, `percentile`, `student_t`, `exact`, `wilson`, `delong_logit` or `bonett_price`."""
    reason: str | None = None
    """Why `bounds` is None, or why a weaker method was used."""
    seed: int | None = None
    """Seed of the resampling; None where nothing was drawn."""
    undefined: int = 0
    """Resamples on which the statistic has no value (for instance: none of one class was drawn)."""


def bootstrap(
    statistic: Statistic, items: int, *, seed: int, confidence: float = 0.95, resamples: int = RESAMPLES
) -> Interval:
    """Interval of `statistic` over `items` items, resampled with `numpy.random.default_rng(seed)`.

    The ladder: fewer than 20 items, none; a statistic that never varies, none ("no variation"); BCa; percentile
    if BCa is NaN or some resamples are undefined. Source: STATISTICS section 3; Efron and Tibshirani, chapter 14.
    """
    if items < MIN_ITEMS:
        return Interval(None, reason=f"n < {MIN_ITEMS}")
    estimate = float(statistic(np.arange(items)[np.newaxis])[0])
    drawn = np.concatenate([statistic(chunk) for chunk in _draws(items, resamples, seed)])
    defined = drawn[~np.isnan(drawn)]
    undefined = int(drawn.size - defined.size)
    # Sums of equal floats differ in the last bit, which is not variation.
    if defined.size == 0 or np.ptp(defined) <= 1e-12 * max(1.0, abs(estimate)):
        return Interval(None, reason="no variation", seed=seed, undefined=undefined)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    levels = np.full(2, np.nan) if undefined else _bca_levels(statistic, items, estimate, defined, tails)
    method, reason = "bca", None
    if np.isnan(levels).any():
        method, reason, levels = "percentile", "BCa is undefined for these items", tails
    low, high = np.percentile(defined, 100 * levels)
    return Interval((float(low), float(high)), method, reason, seed, undefined)


def resampled_counts(positions: Positions, bins: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """How often each bin was drawn, shape (resamples, size); `bins` gives every item's bin in [0, size)."""
    rows = len(positions)
    flat = bins[positions] + size * np.arange(rows)[:, np.newaxis]
    return np.bincount(flat.ravel(), minlength=rows * size).reshape(rows, size)


def statistic_of_sums(values: Floats, reduce: Callable[[Floats], Floats]) -> Statistic:
    """Statistic that depends on the items only through column sums, such as every count in a confusion matrix.

    `values` is (items, columns); `reduce` maps sums (resamples, columns) to one value per resample.
    """
    identity = np.arange(len(values))

    def statistic(positions: Positions) -> Floats:
        return reduce(resampled_counts(positions, identity, len(values)).astype(np.float64) @ values)

    return statistic


def _draws(items: int, resamples: int, seed: int) -> Iterator[Positions]:
    """The resamples in chunks; the stream of numbers does not depend on the chunk size."""
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK_CELLS // items)
    for start in range(0, resamples, rows):
        yield rng.integers(0, items, (min(rows, resamples - start), items))


def _left_out(items: int) -> Iterator[Positions]:
    """Positions with each item left out once, in chunks of shape (k, items - 1)."""
    rows = max(1, CHUNK_CELLS // items)
    others = np.arange(items - 1)
    for start in range(0, items, rows):
        omitted = np.arange(start, min(start + rows, items))[:, np.newaxis]
        yield others + (others >= omitted)


def _bca_levels(statistic: Statistic, items: int, estimate: float, drawn: Floats, tails: Floats) -> Floats:
    """Percentile levels corrected for bias and acceleration; NaN where the correction is undefined."""
    below = (np.count_nonzero(drawn < estimate) + np.count_nonzero(drawn <= estimate)) / (2 * drawn.size)
    bias = ndtri(below)
    jackknife = np.concatenate([statistic(chunk) for chunk in _left_out(items)])
    influence = (items - 1) * (jackknife.mean() - jackknife)
    with np.errstate(divide="ignore", invalid="ignore"):
        skew = np.sum(influence**3) / items**3
        spread = np.sum(influence**2) / items**2
        acceleration = skew / spread**1.5 / 6
        shifted = bias + ndtri(tails)
        levels: Floats = ndtr(bias + shifted / (1 - acceleration * shifted))
    return levels
