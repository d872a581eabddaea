"""How many items a rate needs before its verdict is settled: what early stopping may save, said before a run.

Only curtailment is counted, with nothing missing; a bettor may save more. Source: STATISTICS section 8.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from aes_audit.gates.curtailment import RATES, Seen, can_settle, look
from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import Verdict
from aes_audit.statistics.bootstrap import Floats

__all__ = ["StopForecast", "stop_forecast"]


class StopForecast(NamedTuple):
    """When a run of `planned` items would stop."""

    planned: int
    """Items of the full run."""
    rate: float
    """The success rate that is assumed: the gate's own threshold, where a run takes longest."""
    expected: float
    """Items that are collected on average if every item succeeds with that probability by itself."""
    all_fail: int
    """Items that are collected if none succeeds."""


@lru_cache(maxsize=64)
def stop_forecast(gate: Gate, planned: int, step: int) -> StopForecast | None:
    """What a look after every `step` items would save; None for a gate that is no lower bound on a rate."""
    if gate.at_least is None or gate.metric not in RATES or not can_settle(gate):
        return None
    rate = min(max(gate.at_least, 0.0), 1.0)
    fails, passes = _edges(gate, planned)
    running = np.array([1.0])
    expected, seen, all_fail = 0.0, 0, planned
    while seen < planned:
        more = min(step, planned - seen)
        expected += more * float(running.sum())
        running = np.convolve(running, _binomial(more, rate))
        seen += more
        least = np.arange(seen + 1)
        most = least + planned - seen
        settled = (most <= fails) | (least >= passes) | ((least > fails) & (most < passes))
        running[settled] = 0.0
        if settled[0]:
            all_fail = min(all_fail, seen)
    return StopForecast(planned, rate, expected, all_fail)


def _edges(gate: Gate, planned: int) -> tuple[int, int]:
    """The most successes of a full run that fail, and the fewest that pass; verdicts only improve with successes."""

    def verdict(successes: int) -> Verdict | None:
        found = look(gate, Seen(planned, (True,) * successes + (False,) * (planned - successes)))
        return found.verdict if found else None

    counts = range(planned + 1)
    fails = bisect_left(counts, True, key=lambda count: verdict(count) is not Verdict.FAIL) - 1
    return fails, bisect_left(counts, True, key=lambda count: verdict(count) is Verdict.PASS)


def _binomial(trials: int, rate: float) -> Floats:
    from scipy.stats import binom

    return np.asarray(binom.pmf(np.arange(trials + 1), trials, rate), dtype=np.float64)
