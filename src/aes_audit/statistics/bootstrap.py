"""Bootstrap of items: BCa, else percentile, else no interval and the reason.

Resampling draws positions of item-sorted data, so whatever belongs to one item stays together.
The draws are those of `scipy.stats.bootstrap` with the same generator: a recorded seed reproduces an interval there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

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
    "bootstrap_sums",
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
FEW_KINDS = 16
"""Up to so many kinds of items are counted instead of drawn one by one."""
KEPT_CELLS = 1 << 23
"""Up to so many positions (64 MiB) are kept for the next statistic of the same items."""
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

    def left_out() -> Floats:
        return np.concatenate([statistic(chunk) for chunk in _left_out(items)])

    return _ladder(estimate, drawn, left_out, seed, confidence)


def bootstrap_sums(
    values: Floats,
    reduce: Callable[[Floats], Floats],
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """`bootstrap` of a statistic of column sums: `values` is (items, columns), `reduce` as in `statistic_of_sums`.

    Where items come in few kinds, as in a confusion matrix, it is the number of each kind that is drawn: the same
    distribution, from one multinomial draw per resample instead of one draw per item.
    """
    items = len(values)
    kinds, counts = np.unique(values, axis=0, return_counts=True)
    if items < MIN_ITEMS or len(kinds) > FEW_KINDS:
        return bootstrap(
            statistic_of_sums(values, reduce), items, seed=seed, confidence=confidence, resamples=resamples
        )
    total = counts @ kinds
    drawn = reduce(np.random.default_rng(seed).multinomial(items, counts / items, resamples) @ kinds)
    estimate = float(reduce(total[np.newaxis])[0])
    return _ladder(estimate, drawn, lambda: np.repeat(reduce(total - kinds), counts), seed, confidence)


def _ladder(estimate: float, drawn: Floats, left_out: Callable[[], Floats], seed: int, confidence: float) -> Interval:
    """The rungs of `bootstrap`, from the resampled statistics; `left_out` computes them with each item left out."""
    defined = drawn[~np.isnan(drawn)]
    undefined = int(drawn.size - defined.size)
    # Sums of equal floats differ in the last bit, which is not variation.
    if defined.size == 0 or np.ptp(defined) <= 1e-12 * max(1.0, abs(estimate)):
        return Interval(None, reason="no variation", seed=seed, undefined=undefined)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    levels = np.full(2, np.nan) if undefined else _bca_levels(left_out(), estimate, defined, tails)
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
    rows = max(1, CHUNK_CELLS // items)
    if items * resamples <= KEPT_CELLS:
        drawn = _drawn(items, resamples, seed)
        yield from (drawn[start : start + rows] for start in range(0, resamples, rows))
        return
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, rows):
        yield rng.integers(0, items, (min(rows, resamples - start), items))


@lru_cache(maxsize=1)
def _drawn(items: int, resamples: int, seed: int) -> Positions:
    # A measurement may resample several statistics of its items, all from its one seed.
    return np.random.default_rng(seed).integers(0, items, (resamples, items))


def _left_out(items: int) -> Iterator[Positions]:
    """Positions with each item left out once, in chunks of shape (k, items - 1)."""
    rows = max(1, CHUNK_CELLS // items)
    others = np.arange(items - 1)
    for start in range(0, items, rows):
        omitted = np.arange(start, min(start + rows, items))[:, np.newaxis]
        yield others + (others >= omitted)


def _bca_levels(jackknife: Floats, estimate: float, drawn: Floats, tails: Floats) -> Floats:
    """Percentile levels corrected for bias and acceleration; NaN where the correction is undefined."""
    below = (np.count_nonzero(drawn < estimate) + np.count_nonzero(drawn <= estimate)) / (2 * drawn.size)
    bias = ndtri(below)
    items = len(jackknife)
    influence = (items - 1) * (jackknife.mean() - jackknife)
    with np.errstate(divide="ignore", invalid="ignore"):
        skew = np.sum(influence**3) / items**3
        spread = np.sum(influence**2) / items**2
        acceleration = skew / spread**1.5 / 6
        shifted = bias + ndtri(tails)
        levels: Floats = ndtr(bias + shifted / (1 - acceleration * shifted))
    return levels
