"""An interval of a rate that may be read after every item: the beta-binomial confidence sequence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, xlog1py, xlogy

from aes_audit.statistics.bootstrap import Floats

__all__ = ["confidence_sequence", "running_interval"]

Bools = npt.NDArray[np.bool_]

BISECTIONS = 60
"""Halvings of [0, 1]; more would not change a double."""


def running_interval(successes: Floats, trials: Floats, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Lower and upper bound from `successes` of `trials`, arrays of one shape, for one look.

    All p with B(k+1/2, n-k+1/2) / B(1/2, 1/2) < p^k (1-p)^(n-k) / alpha, the mixture of Jeffreys' prior. Without a
    trial (0, 1). Source: STATISTICS section 8; Robbins (1970), Howard et al. (2021).
    """
    successes, trials = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    failures = trials - successes
    least = np.log(alpha) + betaln(successes + 0.5, failures + 0.5) - betaln(0.5, 0.5)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = np.where(trials > 0, successes / trials, 0.5)

    def root(outside: Floats) -> Floats:
        # The likelihood falls from its peak to either side: inside stays in the interval, outside stays out of it.
        inside = middle.copy()
        for _ in range(BISECTIONS):
            probe = (inside + outside) / 2
            kept = xlogy(successes, probe) + xlog1py(failures, -probe) > least
            inside, outside = np.where(kept, probe, inside), np.where(kept, outside, probe)
        return inside

    low = np.where(successes > 0, root(np.zeros_like(middle)), 0.0)
    high = np.where(failures > 0, root(np.ones_like(middle)), 1.0)
    return low, high


def confidence_sequence(hits: Floats | Bools, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Lower and upper bounds after each item, intersected over time; hits in {0, 1} of shape (..., n).

    The chance that the true rate is ever outside is at most `alpha`, so a run may stop by what it shows. Should the
    looks contradict each other (a chance of at most `alpha`), the last interval that was not empty stays.
    """
    successes = np.cumsum(np.asarray(hits, dtype=np.float64), axis=-1)
    trials = np.broadcast_to(np.arange(1.0, successes.shape[-1] + 1), successes.shape)
    low, high = running_interval(successes, trials, alpha)
    low, high = np.maximum.accumulate(low, axis=-1), np.minimum.accumulate(high, axis=-1)
    valid = np.maximum.accumulate(np.where(low <= high, np.arange(successes.shape[-1]), 0), axis=-1)
    return np.take_along_axis(low, valid, axis=-1), np.take_along_axis(high, valid, axis=-1)
