"""The noise that repeating one audit shows, and the tolerance that follows from it (STATISTICS section 9)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aes_audit.statistics.repeatability import tolerance, tolerance_factor

__all__ = ["Calibration"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What repeated runs of one audit of one arm gave."""

    mode: str
    """`rescore` (same images, fresh scores) or `regenerate` (new seeds)."""
    estimates: tuple[float, ...]
    """The estimate of every repeat, at least two, in the metric's unit."""
    practical: float
    """The change nobody would care about; the tolerance is never below it."""

    @property
    def mean(self) -> float:
        """What becomes the baseline."""
        return statistics.fmean(self.estimates)

    @property
    def spread(self) -> float:
        """Sample SD of the repeats."""
        return statistics.stdev(self.estimates)

    @property
    def tolerance(self) -> float:
        """max(practical, f * spread): how far one more run of the same arm may lie from the mean."""
        return tolerance(self.practical, self.spread, len(self.estimates))

    @property
    def record(self) -> Mapping[str, Any]:
        """As a baseline file keeps it."""
        return {
            "mode": self.mode,
            "runs": len(self.estimates),
            "estimates": list(self.estimates),
            "sd": self.spread,
            "factor": tolerance_factor(len(self.estimates)),
            "practical": self.practical,
        }
