"""Several gates at once: Holm's correction for "any gate may fail", and what "every gate must pass" costs."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["any_false_alarm", "holm"]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the given order: sorted, times m, m-1, ..., running maximum, at most 1.

    Source: Holm (1979). The family must be fixed before looking.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def any_false_alarm(gates: int, level: float = 0.025) -> float:
    """Chance that at least one of independent interval gates is wrong, each at `level` (12 at .025: .262)."""
    return 1.0 - (1.0 - level) ** gates
