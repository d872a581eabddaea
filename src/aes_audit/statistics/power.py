"""What a gate can see: minimal n, verdict counts, detectable effects. Printed before anything is generated."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr, betainc, gammaln, ndtr, ndtri, xlog1py, xlogy

from aes_audit.statistics.intervals import clopper_pearson, wilson

__all__ = [
    "Chances",
    "Cutoffs",
    "chance_without_change",
    "cutoffs",
    "detectable_drop",
    "detectable_mean",
    "detectable_rank_shift",
    "detectable_rate",
    "minimal_n",
    "minimal_regressed",
    "verdict_chances",
]

POWER = 0.80
"""The chance of seeing an effect that the word "detectable" stands for."""
SIGNED_RANK_EFFICIENCY = 3 / math.pi  # of Wilcoxon against t on normal data (Hodges and Lehmann)


class Cutoffs(NamedTuple):
    """Successes at which an evidential rate gate decides."""

    pass_from: int | None
    """Fewest successes whose interval lies wholly above the threshold; None if even all do not."""
    fail_up_to: int | None
    """Most successes whose interval lies wholly below it; None if even none do not."""


class Chances(NamedTuple):
    """Chances of the three verdicts at one true rate; they sum to 1."""

    passes: float
    inconclusive: float
    fails: float


def minimal_n(threshold: float, confidence: float = 0.95, interval: str = "exact") -> int:
    """Fewest items, all successful, whose lower bound reaches `threshold` in (0, 1).

    Raises ValueError for a threshold that no number of items reaches. Source: STATISTICS section 6.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold {threshold}: no interval can decide at or beyond 0 and 1")
    if interval == "exact":
        guess = math.ceil(math.log((1 - confidence) / 2) / math.log(threshold))
    else:
        guess = math.ceil(float(ndtri((1 + confidence) / 2)) ** 2 * threshold / (1 - threshold))
    bounds = _interval(interval)
    # The closed form may miss by one where rounding meets a whole number; the gate's own interval decides.
    while guess > 1 and bounds(guess - 1, guess - 1, confidence)[0] >= threshold:
        guess -= 1
    while bounds(guess, guess, confidence)[0] < threshold:
        guess += 1
    return guess


def minimal_regressed(alpha: float = 0.05) -> int:
    """Fewest discordant pairs, all regressed, whose exact McNemar p can reach `alpha` (.05/.025/.01: 5/6/7)."""
    return math.ceil(math.log(alpha) / math.log(0.5))


def cutoffs(trials: int, threshold: float, confidence: float = 0.95, interval: str = "exact") -> Cutoffs:
    """Where an evidential gate "rate above `threshold`" turns; between the two it is inconclusive."""
    bounds = _interval(interval)
    # Both bounds rise with the successes, so the turning points are found by bisection.
    passing = _first(trials, lambda successes: bounds(successes, trials, confidence)[0] > threshold)
    not_failing = _first(trials, lambda successes: bounds(successes, trials, confidence)[1] >= threshold)
    return Cutoffs(passing if passing <= trials else None, not_failing - 1 if not_failing > 0 else None)


def verdict_chances(
    truth: float, trials: int, threshold: float, confidence: float = 0.95, interval: str = "exact"
) -> Chances:
    """How such a gate behaves when the true rate is `truth`; enumerated, not simulated."""
    turn = cutoffs(trials, threshold, confidence, interval)
    passes = 0.0 if turn.pass_from is None else _at_least(turn.pass_from, trials, truth)
    fails = 0.0 if turn.fail_up_to is None else float(bdtr(turn.fail_up_to, trials, truth))
    return Chances(passes, max(0.0, 1.0 - passes - fails), fails)


def detectable_rate(
    trials: int, threshold: float, confidence: float = 0.95, interval: str = "exact", power: float = POWER
) -> float | None:
    """True rate at which such a gate passes with `power`; None if it can never pass."""
    turn = cutoffs(trials, threshold, confidence, interval)
    if turn.pass_from is None:
        return None
    needed = turn.pass_from
    return _bisect(lambda truth: _at_least(needed, trials, truth) >= power, threshold, 1.0)


def detectable_mean(n: int, sd: float = 1.0, confidence: float = 0.95, power: float = POWER) -> float:
    """Distance from the threshold at which the interval of a mean excludes it with `power`: 2.80 sd / sqrt(n)."""
    return float(ndtri((1 + confidence) / 2) + ndtri(power)) * sd / math.sqrt(n)


def detectable_rank_shift(n: int, sd: float = 1.0, alpha: float = 0.05, power: float = POWER) -> float:
    """Mean paired difference that a one-sided signed-rank test sees with `power`, for normal differences."""
    return float(ndtri(1 - alpha) + ndtri(power)) * sd / math.sqrt(n * SIGNED_RANK_EFFICIENCY)


def detectable_drop(n: int, discordant: float, alpha: float = 0.05, power: float = POWER) -> float | None:
    """Drop of the success rate that exact one-sided McNemar sees with `power`.

    `discordant` is the share of pairs that differ, in (0, 1]. None if even a drop of that whole share stays unseen.
    """
    pairs = np.arange(n + 1)
    weight = np.exp(
        gammaln(n + 1)
        - gammaln(pairs + 1)
        - gammaln(n - pairs + 1)
        + xlogy(pairs, discordant)
        + xlog1py(n - pairs, -discordant)
    )
    critical = np.array([_fewest_regressed(differing, alpha) for differing in range(n + 1)])
    possible = critical <= pairs

    def seen(drop: float) -> bool:
        share = min(1.0, (discordant + drop) / (2 * discordant))
        reach = np.where(possible, betainc(np.maximum(critical, 1), np.maximum(pairs - critical, 0) + 1, share), 0.0)
        return float(np.sum(weight * reach)) >= power

    return _bisect(seen, 0.0, discordant)


def chance_without_change(margin: float, standard_error: float) -> float:
    """Chance that a paired gate passes when nothing changed: 1.96/2.80/3.24 standard errors give .50/.80/.90."""
    return float(ndtr(margin / standard_error - ndtri(0.975)))


def _interval(name: str) -> Callable[[int, int, float], tuple[float, float]]:
    """The gate's own interval by name; ValueError for another."""
    if name not in ("exact", "wilson"):
        raise ValueError(f"interval {name!r}: must be 'exact' or 'wilson'")
    return clopper_pearson if name == "exact" else wilson


def _at_least(count: int, trials: int, rate: float) -> float:
    """P(X >= count) for X ~ Binomial(trials, rate); 0 for more than `trials`."""
    if count > trials:
        return 0.0
    return 1.0 if count <= 0 else float(betainc(count, trials - count + 1, rate))


def _fewest_regressed(differing: int, alpha: float) -> int:
    """Fewest regressed pairs among `differing` that exact McNemar rejects; one more than possible if none."""
    return _first(differing, lambda count: _at_least(count, differing, 0.5) <= alpha)


def _first(trials: int, holds: Callable[[int], bool]) -> int:
    """Smallest count in 0..trials for which a monotone condition holds; trials + 1 if none."""
    low, high = 0, trials + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _bisect(holds: Callable[[float], bool], low: float, high: float) -> float | None:
    """Smallest number in [low, high] for which a monotone condition holds, to 1e-12; None if it never does."""
    if not holds(high):
        return None
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
