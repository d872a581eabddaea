"""The mean of item values as a Measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aes_audit.measures.measurement import Measurement
from aes_audit.measures.request import Request
from aes_audit.statistics.bootstrap import Floats
from aes_audit.statistics.intervals import mean_interval

__all__ = ["mean_measurement"]


def mean_measurement(request: Request, values: Floats, details: Mapping[str, Any] | None = None) -> Measurement:
    """Mean over complete items of `values` (planned,), NaN where missing; `details["sd"]` is their sample SD."""
    known = values[~np.isnan(values)]
    missing = len(values) - len(known)
    if len(known) == 0:
        return request.unmeasured(0, missing, f"0 of {len(values)} items have every score", details)
    interval = mean_interval(known, seed=request.seed, confidence=request.confidence)
    spread = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return request.measured(len(known), missing, float(known.mean()), interval, {**(details or {}), "sd": spread})
