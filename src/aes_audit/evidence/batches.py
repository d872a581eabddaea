"""Fixed runs of a plan: who gets which batch depends on the plan alone, never on what is done already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aes_audit.evidence.engines.protocol import Batch

__all__ = ["WHOLE", "Part", "fixed_batches", "planned"]

T = TypeVar("T")


def fixed_batches(plan: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive runs of `size` entries, the last one shorter."""
    return (plan[start : start + size] for start in range(0, len(plan), size))


def planned(plan: Sequence[tuple[str | None, Any]], size: int) -> Iterator[Batch]:
    """The batches of a plan of keys and requests, with everything wanted; what has no key is left out of its batch.

    A key that comes again is wanted of the first batch that has it: two batches may round differently, and which of
    them comes last depends on who makes them.
    """
    known = set[str]()
    for entries in fixed_batches(plan, size):
        there = tuple((key, asked) for key, asked in entries if key is not None)
        wanted = frozenset(key for key, _ in there) - known
        known |= wanted
        yield Batch(there, wanted)


@dataclass(frozen=True, slots=True)
class Part:
    """One of several parts of every plan: together they are the plan, and no two of them share an entry."""

    number: int
    """Counted from 1."""
    count: int
    """How many parts there are."""
    place: int = 0
    """Of the plan among those of a run: each begins where one of its length would have ended."""

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the plan."""
        return self.count == 1

    def of(self, plan: Sequence[T], size: int) -> Sequence[T]:
        """This part's entries of a plan, in order: every `count`-th of its batches of `size`, whole."""
        if self.is_whole:
            return plan
        batches = list(fixed_batches(plan, size))
        # Many short plans would otherwise all fall to the first parts.
        first = self.place * len(batches)
        mine = (batch for at, batch in enumerate(batches, first) if at % self.count == self.number - 1)
        return [entry for batch in mine for entry in batch]


WHOLE = Part(1, 1)
"""All of every plan."""
