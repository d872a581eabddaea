"""What people say together about a unit, from what each of them said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

__all__ = ["MAJORITY", "MEAN", "RULES", "consensus"]

MEAN, MAJORITY = "mean", "majority"
RULES = (MEAN, MAJORITY)
"""`mean` is the paper's: the class nearest to the mean of the ratings. `majority` is the class given most often."""

_MIDDLE = 1


def consensus(levels: Sequence[int], rule: str) -> int:
    """One class of 0, 1, 2 from at least one rating; in whole numbers, so that no half is lost to rounding.

    A mean that lies half way between two classes goes to the middle one: people who are undecided are a tie, as a
    judge is who answers differently in the two orders (PROTOCOL R18). Where several classes are given most often,
    `majority` says what `mean` says. Raises ValueError for no rating.
    """
    if not levels:
        raise ValueError("nobody rated this unit")
    if rule == MAJORITY:
        (first, most), *others = Counter(levels).most_common()
        if not others or others[0][1] < most:
            return first
    twice, count = 2 * sum(levels), len(levels)
    if twice < count:
        return 0
    return 2 if twice > 3 * count else _MIDDLE
