"""Fixed runs of a plan: who gets which batch depends on the plan alone, never on what is done already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["WHOLE", "Part", "fixed_batches"]

T = TypeVar("T")


def fixed_batches(plan: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive runs of `size` entries, the last one shorter."""
    return (plan[start : start + size] for start in range(0, len(plan), size))


@dataclass(frozen=True, slots=True)
class Part:
    """One of several parts of every plan: together they are the plan, and no two of them share an entry."""

    number: int
    """Counted from 1."""
    count: int
    """How many parts there are."""

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, plan: Sequence[T], size: int, name: str) -> Sequence[T]:
        """This part's entries of the plan of a name, in order: every `count`-th of its batches of `size`, whole.

        Plans of several names begin at different parts, so that many short plans do not all fall to the first one.
        """
        if self.count == 1:
            return plan
        first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
        batches = enumerate(fixed_batches(plan, size), first)
        return [entry for place, batch in batches if place % self.count == self.number - 1 for entry in batch]


WHOLE = Part(1, 1)
"""All of every plan."""
