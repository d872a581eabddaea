"""Looking while items come in: a bettor whose gains are evidence at any number of looks, and when a run may stop.

The bettor starts with 1 and stakes on "the rate exceeds p0" before each item, using past items only. If the rate is at
most p0 no bettor expects to gain, so reaching 1/a has probability at most a, however often one looks (Ville, 1939).
Items must come in an order that was shuffled beforehand. All arrays run over items on the last axis, simulated runs
on the axes before it. Source: STATISTICS section 8.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

from aes_audit.statistics.bootstrap import Floats
from aes_audit.statistics.power import cutoffs

__all__ = [
    "EARLY_SHARE",
    "FLOOR",
    "McNemarStops",
    "RateStops",
    "Split",
    "first_reach",
    "mcnemar_stops",
    "mcnemar_wealth",
    "rate_stops",
    "split_level",
    "wealth_above",
    "wealth_below",
]

Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

EARLY_SHARE = 0.2
"""Part of a one-sided level that is spent before the last item."""
FLOOR = 30
"""Fewest items before a run may stop on a bettor's wealth."""
LARGEST_LOSS = 0.9
"""Part of the wealth that one item may cost at most: a bettor who lost everything could never come back."""


class Split(NamedTuple):
    """A one-sided level divided between stopping early and the end."""

    early: float
    """For the bettor: stop when the wealth reaches 1 / early."""
    final: float
    """For the test, or the side of the interval, after the last item."""


class RateStops(NamedTuple):
    """Simulated runs of a rate gate, each array of shape (runs,)."""

    items: Counts
    """Items seen when the verdict was settled."""
    verdict: Counts
    """1 pass, 0 inconclusive, -1 fail."""


class McNemarStops(NamedTuple):
    """Simulated runs of a one-sided test, each array of shape (runs,)."""

    items: Counts
    """Items seen when the answer was settled."""
    rejected: Bools
    """Whether "no change" was rejected."""


def split_level(level: float, family: int = 1) -> Split:
    """One fifth of a one-sided `level` early, four fifths at the end: .05 = .01 + .04, .025 = .005 + .020.

    In a Holm family of `family` gates the early level is shared; the final one is corrected by Holm with the
    unchanged family size. The chance of a false alarm is then at most early + final = `level` for the whole family.
    """
    early = level * EARLY_SHARE
    return Split(early / family, level - early)


def wealth_above(hits: Floats | Bools, null: float, bets: Bools | None = None) -> Floats:
    """Wealth after each item of a bettor on "the rate exceeds `null`"; hits in {0, 1} of shape (..., n).

    `bets` marks the items that are bet on (default all); the others leave wealth and history as they are.
    Raises ValueError unless 0 < null < 1.
    """
    if not 0 < null < 1:
        raise ValueError(f"null rate {null}: there is nothing to bet on at or beyond 0 and 1")
    played = np.ones(np.shape(hits)) if bets is None else np.asarray(bets, dtype=np.float64)
    won = np.asarray(hits, dtype=np.float64) * played
    seen, successes = np.cumsum(played, axis=-1) - played, np.cumsum(won, axis=-1) - won
    guess = (successes + 0.5) / (seen + 1)
    stake = np.clip((guess - null) / (null * (1 - null)), 0, LARGEST_LOSS / null)
    # An overflow is infinite wealth, which is as good as any above the bound.
    with np.errstate(over="ignore"):
        return np.asarray(np.cumprod(1 + stake * (won - null * played), axis=-1), dtype=np.float64)


def wealth_below(hits: Floats | Bools, null: float, bets: Bools | None = None) -> Floats:
    """The mirror of `wealth_above`: a bettor on "the rate is below `null`"."""
    return wealth_above(1.0 - np.asarray(hits, dtype=np.float64), 1.0 - null, bets)


def mcnemar_wealth(base: Bools, aligned: Bools) -> Floats:
    """Wealth after each pair of a bettor on "more pairs regress than improve"; only discordant pairs are bet on."""
    return wealth_above(base & ~aligned, 0.5, base != aligned)


def first_reach(wealth: Floats, level: float, floor: int = FLOOR) -> Counts:
    """Items after which the wealth first stands at 1 / `level` or more, at least `floor`; n + 1 if it never does."""
    reached = wealth >= 1 / level
    reached[..., : floor - 1] = False
    return _first(reached)


def rate_stops(
    hits: Bools,
    threshold: float,
    confidence: float = 0.95,
    interval: str = "exact",
    *,
    anytime: bool = False,
    floor: int = FLOOR,
) -> RateStops:
    """When and how runs `hits` (runs, n) of an evidential gate "rate above `threshold`" end, with a look at every item.

    Without `anytime` only curtailment ends a run: no outcome of the items left can change the verdict. With it, the
    bettors on both sides may end it too, and the interval at the end has the confidence that they leave.
    """
    planned = hits.shape[-1]
    level = split_level((1 - confidence) / 2)
    turn = cutoffs(planned, threshold, 1 - 2 * level.final if anytime else confidence, interval)
    pass_from = planned + 1 if turn.pass_from is None else turn.pass_from
    fail_up_to = -1 if turn.fail_up_to is None else turn.fail_up_to
    least = np.cumsum(hits, axis=-1)
    most = least + planned - np.arange(1, planned + 1)
    passed, failed = least >= pass_from, most <= fail_up_to
    items = _first(passed | failed | ((least > fail_up_to) & (most < pass_from)))
    verdict = _at(passed, items).astype(np.int64) - _at(failed, items)
    if anytime:
        good = first_reach(wealth_above(hits, threshold), level.early, floor)
        bad = first_reach(wealth_below(hits, threshold), level.early, floor)
        early = np.minimum(good, bad)
        verdict = np.where(early <= items, np.where(good < bad, 1, -1), verdict)
        items = np.minimum(early, items)
    return RateStops(items, verdict)


def mcnemar_stops(
    base: Bools, aligned: Bools, alpha: float = 0.05, *, anytime: bool = False, floor: int = FLOOR
) -> McNemarStops:
    """When and how runs of the exact one-sided McNemar test end; base and aligned (runs, n), a look at every item.

    Curtailment ends a run when no outcome of the items left can change the answer at level `alpha`; with `anytime`
    the bettor may reject earlier, at one fifth of it, and the test at the end has the other four fifths.
    """
    planned = base.shape[-1]
    level = split_level(alpha)
    needed = _fewest_regressed(planned, level.final if anytime else alpha)
    left = planned - np.arange(1, planned + 1)
    regressed, discordant = np.cumsum(base & ~aligned, axis=-1), np.cumsum(base != aligned, axis=-1)
    # The worst for a rejection is that all the rest improves, the best that all of it regresses.
    threshold = needed[discordant + left]
    rejected = regressed >= threshold
    items = _first(rejected | (regressed + left < threshold))
    answer = _at(rejected, items)
    if anytime:
        early = first_reach(mcnemar_wealth(base, aligned), level.early, floor)
        answer |= early <= items
        items = np.minimum(early, items)
    return McNemarStops(items, answer)


def _fewest_regressed(planned: int, alpha: float) -> Counts:
    """For 0 to `planned` discordant pairs, the fewest regressed that exact McNemar rejects; one too many if none."""
    pairs, regressed = np.arange(planned + 1)[:, np.newaxis], np.arange(1, planned + 2)
    possible = regressed <= pairs
    p_values = betainc(regressed, np.maximum(pairs - regressed, 0) + 1, 0.5)
    return np.minimum(_first(possible & (p_values <= alpha)), pairs[:, 0] + 1)


def _first(holds: Bools) -> Counts:
    """One-based position of the first True on the last axis; one more than there are if none."""
    return np.asarray(np.where(holds.any(axis=-1), holds.argmax(axis=-1) + 1, holds.shape[-1] + 1), dtype=np.int64)


def _at(values: Bools, items: Counts) -> Bools:
    """The value after `items` items, per run."""
    return np.take_along_axis(values, (items - 1)[..., np.newaxis], axis=-1)[..., 0]
