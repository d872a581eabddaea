"""Which units people see, and who sees which: a stratified sample, and an even share of it for every rater. Seeded."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from aes_audit.errors import UsageError

__all__ = ["EQUAL", "PROPORTIONAL", "SHARES", "apportioned", "assigned", "sampled"]

T = TypeVar("T")

PROPORTIONAL, EQUAL = "proportional", "equal"
SHARES = (PROPORTIONAL, EQUAL)
"""How a sample is divided among the strata: as the whole is, or evenly as far as they reach."""


def sampled(strata: Mapping[str, Sequence[T]], number: int, shares: str, draw: random.Random) -> list[T]:
    """`number` units drawn without replacement, `apportioned` to the strata. Raises UsageError when there are fewer."""
    sizes = {name: len(units) for name, units in sorted(strata.items())}
    chosen: list[T] = []
    for name, count in apportioned(sizes, number, shares).items():
        chosen += draw.sample(list(strata[name]), count)
    return chosen


def apportioned(sizes: Mapping[str, int], number: int, shares: str) -> dict[str, int]:
    """How many of `number` units each stratum of these sizes gives.

    `proportional` rounds by the largest remainder; `equal` gives every stratum the same, within one, and what a small
    one lacks to the others. Raises UsageError when there are fewer units than asked for.
    """
    total = sum(sizes.values())
    if number > total:
        raise UsageError(f"{number} were asked for and only {total} can be rated: ask for {total} at most.")
    if shares == PROPORTIONAL:
        given = {name: number * size // total for name, size in sizes.items()}
        by_remainder = sorted(sizes, key=lambda name: (-(number * sizes[name] % total), name))
        for name in by_remainder[: number - sum(given.values())]:
            given[name] += 1
        return given
    given = dict.fromkeys(sizes, 0)
    for _ in range(number):
        # The one that has least so far; the larger stratum first, so that the odd one is no matter of names.
        name = min((name for name in sizes if given[name] < sizes[name]), key=lambda n: (given[n], -sizes[n], n))
        given[name] += 1
    return given


def assigned(units: int, raters: int, each: int, draw: random.Random) -> list[list[int]]:
    """For every rater the numbers of `each` distinct units, shuffled; every unit occurs equally often, within one.

    Raises UsageError when a rater would see a unit twice or a unit nobody.
    """
    if each > units:
        raise UsageError(f"--per-rater {each}: there are only {units} to rate; nobody is asked about one twice.")
    if raters * each < units:
        raise UsageError(
            f"{raters} raters with {each} each rate {raters * each}, fewer than the {units} of the sample: "
            "give --raters or --per-rater more, or --number less."
        )
    seen = [0] * units
    plan: list[list[int]] = []
    for _ in range(raters):
        order = draw.sample(range(units), units)
        mine = sorted(order, key=seen.__getitem__)[:each]
        for unit in mine:
            seen[unit] += 1
        plan.append(draw.sample(mine, each))
    return plan
