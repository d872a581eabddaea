"""The share of items that succeed as a Measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aes_audit.measures.measurement import Measurement
from aes_audit.measures.request import Request
from aes_audit.statistics.intervals import proportion

__all__ = ["case", "rate_measurement"]


def rate_measurement(
    request: Request,
    hits: npt.NDArray[np.bool_],
    known: npt.NDArray[np.bool_],
    details: Mapping[str, Any] | None = None,
    p_value: float | None = None,
) -> Measurement:
    """Share of planned items that succeed; `hits` and `known` are (planned,).

    A missing item counts as not successful; `details["best_interval"]` counts it as a success, because a verdict
    `fail` must hold so too. `p_value` is that of a test the caller made. Source: STATISTICS section 7.
    """
    planned, n = len(known), int(known.sum())
    if n == 0:
        return request.unmeasured(0, planned, f"0 of {planned} items have every score", details)
    successes, missing = int((hits & known).sum()), planned - n
    counts = {"successes": successes, "planned": planned, **case(request, "best", successes + missing, planned)}
    interval = proportion(successes, planned, request.confidence, request.interval)
    return request.measured(n, missing, successes / planned, interval, {**counts, **(details or {})}, p_value=p_value)


def case(request: Request, name: str, successes: int, trials: int) -> dict[str, Any]:
    """What the missing items could make of a rate at `best` or at `worst`: keys NAME_estimate and NAME_interval."""
    bounds = proportion(successes, trials, request.confidence, request.interval).bounds
    return {f"{name}_estimate": successes / trials, f"{name}_interval": list(bounds or ())}
