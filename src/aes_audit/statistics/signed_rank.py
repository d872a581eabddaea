"""Signed-rank arithmetic on counts, so that one test and ten thousand resamples run the same code.

Items are grouped by |d|. A resample is how often each group was drawn with plus, with minus, and how many zeros;
mid-ranks follow from running totals, and nothing is sorted again.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from aes_audit.statistics.bootstrap import Floats, Positions, resampled_counts

__all__ = ["DECIMALS", "RankSums", "Signs", "Variant", "doubled_ranks", "rank_sums", "resampled_effects", "sign_groups"]

Variant = Literal["wilcox", "pratt"]
"""`wilcox` drops zero differences; `pratt` ranks them with the others and then leaves them out of the sums."""

DECIMALS = 9
"""Differences are rounded to this many decimals: float noise would break ties."""


class Signs(NamedTuple):
    """The items as bins: 0 for zero, then one bin per group for plus, then one per group for minus."""

    bins: npt.NDArray[np.int64]
    """Bin of each item, shape (n,)."""
    groups: int
    """Distinct non-zero |d|, ascending."""


class RankSums(NamedTuple):
    """Rank sums per resample, with mean and variance of `plus` if signs were fair coins."""

    plus: Floats
    """Rank sum of the positive differences."""
    minus: Floats
    """Rank sum of the negative differences."""
    mean: Floats
    """Expected `plus` under the null."""
    variance: Floats
    """Variance of `plus` under the null, corrected for ties."""

    @property
    def z(self) -> Floats:
        """(plus - mean) / sd without continuity correction; 0 where every difference is zero."""
        sd = np.sqrt(self.variance)
        return np.divide(self.plus - self.mean, sd, out=np.zeros_like(sd), where=sd > 0)


def sign_groups(differences: Floats) -> Signs:
    """Bins of differences of shape (n,), rounded to `DECIMALS`."""
    rounded = np.round(differences, DECIMALS)
    size, group = np.unique(np.abs(rounded), return_inverse=True)
    first = int(size.size > 0 and size[0] == 0)  # zeros, where there are any, are the first size
    groups = int(size.size) - first
    nonzero = group - first + 1
    return Signs(np.where(rounded == 0, 0, np.where(rounded > 0, nonzero, nonzero + groups)), groups)


def rank_sums(counts: npt.NDArray[np.int64], groups: int, variant: Variant) -> RankSums:
    """Rank sums of bin counts, shape (resamples, 1 + 2 * groups). Source: Wilcoxon (1945), Pratt (1959)."""
    drawn = counts.astype(np.float64)
    zeros, plus, minus = drawn[:, 0], drawn[:, 1 : 1 + groups], drawn[:, 1 + groups :]
    tied = plus + minus
    skipped = zeros if variant == "pratt" else np.zeros_like(zeros)
    midranks = np.cumsum(tied, axis=1) - (tied - 1) / 2 + skipped[:, np.newaxis]
    last = tied.sum(axis=1) + skipped
    mean = (last * (last + 1) - skipped * (skipped + 1)) / 4
    squares = last * (last + 1) * (2 * last + 1) - skipped * (skipped + 1) * (2 * skipped + 1)
    cubes = np.einsum("ij,ij,ij->i", tied, tied, tied)
    variance = squares / 24 - (cubes - last + skipped) / 48
    return RankSums(_dot(plus, midranks), _dot(minus, midranks), mean, variance)


def resampled_effects(signs: Signs, positions: Positions) -> Floats:
    """effect_r = -Z / sqrt(n) of the paper's variant, for positions (resamples, n); all items count in n."""
    sums = rank_sums(resampled_counts(positions, signs.bins, 1 + 2 * signs.groups), signs.groups, "wilcox")
    effects: Floats = -sums.z / np.sqrt(positions.shape[1])
    return effects


def doubled_ranks(counts: npt.NDArray[np.int64], groups: int, variant: Variant) -> npt.NDArray[np.int64]:
    """Twice the mid-rank of every non-zero difference, whole numbers, for one row of bin counts (1 + 2 * groups,)."""
    tied = counts[1 : 1 + groups] + counts[1 + groups :]
    skipped = int(counts[0]) if variant == "pratt" else 0
    return np.repeat(2 * np.cumsum(tied) - tied + 1 + 2 * skipped, tied)


def _dot(left: Floats, right: Floats) -> Floats:
    """Row by row; einsum holds no product of the two tables."""
    return np.asarray(np.einsum("ij,ij->i", left, right), dtype=np.float64)
