"""Fixed runs of a plan: who gets which batch depends on the plan alone, never on what is done already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

__all__ = ["fixed_batches"]

T = TypeVar("T")


def fixed_batches(plan: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive runs of `size` entries, the last one shorter."""
    return (plan[start : start + size] for start in range(0, len(plan), size))
