"""Paired tests of an aligned model against its base: exact McNemar and Wilcoxon's signed ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, ndtr

from aes_audit.statistics.bootstrap import Floats, Interval, bootstrap
from aes_audit.statistics.signed_rank import Variant, doubled_ranks, rank_sums, resampled_effects, sign_groups

__all__ = [
    "Discordant",
    "SignedRank",
    "against_half",
    "bca_effect",
    "discordant",
    "mcnemar",
    "mcnemar_two_sided",
    "wilcoxon",
]

MAX_EXACT = 50
"""Up to this many pairs the `pratt` variant is exact (STATISTICS section 5)."""


class Discordant(NamedTuple):
    """The pairs on which two models differ; swapped, every regression would read as an improvement."""

    regressed: int
    """Items where the base succeeded and the aligned model did not (b)."""
    improved: int
    """Items where only the aligned model succeeded (c)."""


def discordant(base: npt.NDArray[np.bool_], aligned: npt.NDArray[np.bool_]) -> Discordant:
    """Count discordant pairs of two success vectors of equal shape (n,)."""
    return Discordant(int(np.sum(base & ~aligned)), int(np.sum(~base & aligned)))


def mcnemar(pairs: Discordant) -> float:
    """Exact one-sided p of "the aligned model succeeds less": P(X >= regressed), X ~ Binomial(b + c, 1/2).

    1 if no pair is discordant. Source: McNemar (1947), exact form; STATISTICS section 5.
    """
    return _at_least(pairs.regressed, sum(pairs))


def mcnemar_two_sided(pairs: Discordant) -> float:
    """Exact two-sided p: twice the smaller tail, at most 1. The published p = .57 is of this kind."""
    return against_half(pairs.improved, sum(pairs))


def against_half(successes: int, trials: int) -> float:
    """Exact two-sided p of "a success is as likely as not": twice the smaller tail, at most 1; 1 without a trial."""
    return min(1.0, 2 * _at_least(max(successes, trials - successes), trials))


def _at_least(count: int, tosses: int) -> float:
    """P(X >= count) for X ~ Binomial(tosses, 1/2)."""
    return 1.0 if count <= 0 else float(betainc(count, tosses - count + 1, 0.5))


@dataclass(frozen=True, slots=True)
class SignedRank:
    """Wilcoxon's signed-rank test of aligned minus base."""

    n: int
    """Complete pairs, zeros included."""
    zeros: int
    """Pairs with equal scores."""
    plus: float
    """Rank sum of the pairs in which the aligned model scores higher."""
    minus: float
    """Rank sum of the pairs in which it scores lower."""
    z: float
    """Standardised `plus`, no continuity correction; 0 if nothing differs."""
    p_greater: float
    """One-sided p of "aligned higher"; 1 if nothing differs."""
    p_two_sided: float
    """Two-sided p; 1 if nothing differs."""
    method: str
    """How the p-values were computed: `normal` or `exact`."""

    @property
    def effect_r(self) -> float:
        """-Z / sqrt(n): negative when the aligned model scores higher."""
        return -self.z / math.sqrt(self.n)

    @property
    def rank_biserial(self) -> float:
        """(minus - plus) / (minus + plus), in [-1, 1], signed like `effect_r`; 0 if nothing differs."""
        total = self.minus + self.plus
        return (self.minus - self.plus) / total if total else 0.0


def wilcoxon(differences: Floats, variant: Variant = "wilcox") -> SignedRank:
    """Signed-rank test of `differences` = aligned - base, shape (n,), rounded to 9 decimals.

    `wilcox` is the paper's variant: zeros dropped, normal approximation, no continuity correction. `pratt` keeps
    zeros as evidence of no change and is exact up to 50 pairs, also with ties. Raises ValueError for no pairs.
    Source: PROTOCOL section 6, STATISTICS section 5.
    """
    if len(differences) == 0:
        raise ValueError("a signed-rank test needs at least one pair")
    signs = sign_groups(differences)
    sums = rank_sums(signs.counts(np.arange(len(differences))[np.newaxis]), signs, variant)
    plus, minus, z = float(sums.plus[0]), float(sums.minus[0]), float(sums.z[0])
    zeros, method = int(np.sum(signs.sign[signs.bins] == 0)), "normal"
    greater, two_sided = float(ndtr(-z)), float(2 * ndtr(-abs(z)))
    if variant == "pratt" and len(differences) <= MAX_EXACT:
        method = "exact"
        greater, two_sided = _exact(doubled_ranks(signs, variant), plus)
    if zeros == len(differences):
        greater = two_sided = 1.0
    return SignedRank(len(differences), zeros, plus, minus, z, greater, min(1.0, two_sided), method)


def _exact(doubled: npt.NDArray[np.int64], plus: float) -> tuple[float, float]:
    """One- and two-sided p from the full distribution of the rank sum under fair signs.

    Adding one rank at a time enumerates all 2**n sign patterns exactly, ties included, in n steps.
    """
    chance = np.zeros(int(doubled.sum()) + 1)
    chance[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(chance)
        shifted[rank:] = chance[:-rank]
        chance = (chance + shifted) / 2
    observed = round(2 * plus)
    upper, lower = float(chance[observed:].sum()), float(chance[: observed + 1].sum())
    return min(1.0, upper), min(1.0, 2 * min(upper, lower))


def bca_effect(differences: Floats, *, seed: int, confidence: float = 0.95) -> Interval:
    """Bootstrap ladder for effect_r of the paper's variant over items, shape (n,)."""
    signs = sign_groups(differences)
    return bootstrap(partial(resampled_effects, signs), len(differences), seed=seed, confidence=confidence)
