"""One measurement in both runs: what it was, what it is, and what may be said of the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aes_audit.report.diff.pairing import Paired
from aes_audit.report.html.items import worse_side
from aes_audit.report.outcome import outcome
from aes_audit.report.results import Entry

__all__ = ["ALPHA", "DIRECTIONS", "Change", "ItemChange"]

ALPHA = 0.05
"""Two-sided level of the whole family: the chance that anything is called changed where nothing did."""

DIRECTIONS = ("worse", "better", "no evidence of change", "not tested")
"""What can be said of a measurement, in the order of interest."""


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One item that moved."""

    item: str
    before: float
    """What it contributed in the first run."""
    after: float
    """The same in the second."""


@dataclass(frozen=True, slots=True)
class Change:
    """One measurement in both runs."""

    before: Entry
    after: Entry
    paired: Paired | None = None
    """Item by item; None where that is not fair."""
    obstacles: tuple[str, ...] = ()
    """Why not, a clause each; empty where it is."""
    p_adjusted: float | None = None
    """Holm-adjusted over every tested measurement of the two runs."""
    note: str = ""
    """How the gate differs; empty where it does not."""

    @property
    def difference(self) -> float | None:
        """After minus before, of the estimates; None where one is not there."""
        old, new = self.before["estimate"], self.after["estimate"]
        return None if old is None or new is None else float(new - old)

    @property
    def flipped(self) -> bool:
        """Whether the verdict is another one."""
        return outcome(self.before) != outcome(self.after)

    @property
    def direction(self) -> str:
        """One of DIRECTIONS. Nothing is called changed that its baseline tolerates."""
        if self.paired is None:
            return "not tested"
        if not self._significant or self.tolerated:
            return "no evidence of change"
        return "worse" if self.paired.mean * worse_side(self.after["metric"]) > 0 else "better"

    @property
    def tolerance(self) -> float:
        """By how much a number may move before a baseline calls it changed; 0 where no run had a baseline."""
        known = [(entry["baseline"] or {}).get("tolerance") or 0.0 for entry in (self.before, self.after)]
        return float(max(known))

    @property
    def tolerated(self) -> bool:
        """Whether there is evidence of a change, of a size that a baseline tolerates."""
        return self._significant and self.difference is not None and abs(self.difference) <= self.tolerance

    @property
    def _significant(self) -> bool:
        if self.paired is None or self.p_adjusted is None:
            return False
        # Mean and test must point the same way: a few far items may turn the one and not the other.
        return self.p_adjusted <= ALPHA and self.paired.mean * self.paired.tendency > 0

    @property
    def size(self) -> float:
        """The difference in half widths of its interval, so that units need not be alike; -1 where there is none.

        Of the paired difference where it has an interval, else of the estimates, with the mean of theirs.
        """
        if self.paired is not None and self.paired.interval.bounds:
            return _widths(self.paired.mean, [self.paired.interval.bounds])
        if self.difference is None:
            return -1.0
        return _widths(self.difference, [each["interval"] for each in (self.before, self.after) if each["interval"]])

    def moved_most(self, count: int = 5) -> Sequence[ItemChange]:
        """The items that changed most in the direction of the change, ties by name; none where nothing is certain."""
        if self.paired is None or self.direction not in ("worse", "better"):
            return ()
        toward = self.paired.change * np.sign(self.paired.mean)
        moved = zip(self.paired.items, self.paired.before.tolist(), self.paired.after.tolist(), strict=True)
        ranked = sorted(zip(-toward, moved, strict=True), key=lambda each: (each[0], each[1][0]))
        return tuple(ItemChange(*item) for against, item in ranked[:count] if against < 0)


def _widths(difference: float, bounds: Sequence[Sequence[float]]) -> float:
    half = float(np.mean([high - low for low, high in bounds])) / 2 if bounds else 0.0
    return 0.0 if difference == 0 else abs(difference) / half if half > 0 else float("inf")
