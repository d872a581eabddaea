"""How many items a rate needs before its verdict is settled: what early stopping may save, said before a run.

Only curtailment is counted, and only passes and failures settled by it; an early `inconclusive`, and a bettor, may save
more. Source: STATISTICS section 8.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from aes_audit.gates.curtailment import RATES, Seen, can_settle, look
from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import Verdict

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
    """Items that are collected if none succeeds: no failing model stops sooner."""


@lru_cache(maxsize=64)
def stop_forecast(gate: Gate, planned: int, step: int) -> StopForecast | None:
    """What a look after every `step` items would save; None for a gate that is no lower bound on a rate."""
    if gate.at_least is None or gate.metric not in RATES or not can_settle(gate):
        return None
    rate = min(max(gate.at_least, 0.0), 1.0)
    running = np.array([1.0])
    expected, seen, all_fail, fails, passes = 0.0, 0, planned, -1, 0
    while seen < planned and running.sum() > 0:
        more = min(step, planned - seen)
        expected += more * float(running.sum())
        running = np.convolve(running, _binomial(more, rate))
        seen += more
        # Both edges only ever rise: what has failed after so many items fails with as few successes after more.
        fails = _edge(gate, planned, seen, fails, Verdict.FAIL)
        passes = _edge(gate, planned, seen, passes - 1, Verdict.PASS, until=True)
        running[: fails + 1] = 0.0
        running[passes:] = 0.0
        if fails >= 0:
            all_fail = min(all_fail, seen)
    return StopForecast(planned, rate, expected, all_fail)


def _edge(gate: Gate, planned: int, seen: int, last: int, verdict: Verdict, *, until: bool = False) -> int:
    """Failures: the most successes that are settled as such. Passes (`until`): the fewest."""
    count = last + 1
    while count <= seen and (_settled(gate, planned, seen, count) is verdict) != until:
        count += 1
    return count if until else count - 1


def _settled(gate: Gate, planned: int, seen: int, successes: int) -> Verdict | None:
    hits = (True,) * successes + (False,) * (seen - successes)
    found = look(gate, Seen(planned, hits))
    return found.verdict if found else None


def _binomial(trials: int, rate: float) -> np.ndarray:
    from scipy.stats import binom

    return np.asarray(binom.pmf(np.arange(trials + 1), trials, rate))
