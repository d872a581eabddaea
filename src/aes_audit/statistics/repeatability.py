"""How far a repeat run may differ from its baseline before it means anything."""

from __future__ import annotations

import math

from scipy.special import stdtrit

__all__ = ["tolerance", "tolerance_factor"]


def tolerance_factor(runs: int, confidence: float = 0.95) -> float:
    """f = t(runs - 1) * sqrt(1 + 1/runs): how many SDs one new run may lie from the mean of `runs` repeats.

    Raises ValueError for fewer than two runs. Source: STATISTICS section 9, a prediction interval.
    """
    if runs < 2:
        raise ValueError(f"a spread needs at least two runs, got {runs}")
    return float(stdtrit(runs - 1, (1 + confidence) / 2)) * math.sqrt(1 + 1 / runs)


def tolerance(practical: float, spread: float, runs: int) -> float:
    """max(practical, f * spread): `spread` is the SD of the repeats, `practical` what nobody would care about."""
    return max(practical, tolerance_factor(runs) * spread)
