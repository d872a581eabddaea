"""Entries of a results file that came from elsewhere: checked, and with every field that programs read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aes_audit.errors import UsageError
from aes_audit.measures.names import METRIC_NEEDS, REWARD_SUBJECT
from aes_audit.report.outcome import ORDER
from aes_audit.report.results import Entry
from aes_audit.report.run_folder import RunFolder

__all__ = ["whole_entries"]

_ABSENT: Mapping[str, Any] = {
    "base_model": None,
    "group": None,
    "interval": None,
    "confidence": 0.95,
    "threshold": None,
    "baseline": None,
    "published": None,
    "reason": None,
}
_TEXTS = ("model", "set", "scorer", "audit", "subject")


def whole_entries(folder: RunFolder) -> tuple[Entry, ...]:
    """Every measurement of a run, in the order of the file; what an older file lacks is null or empty.

    Raises UsageError, naming the measurement, for one that nobody could have written.
    """
    return tuple(_whole(folder, position, entry) for position, entry in enumerate(folder.measurements))


def _whole(folder: RunFolder, position: int, raw: Entry) -> Entry:
    """The entry with every field that is read; raises UsageError for one that nobody could have written."""
    metric = raw["metric"]
    if not isinstance(metric, str) or metric not in METRIC_NEEDS:
        raise UsageError(f"{folder.path}: measurement {position + 1} is of metric {metric!r}, which is not known here.")
    whole = {**_ABSENT, "audit": metric, "set": METRIC_NEEDS[metric].set, "n": 0, "missing": 0, **raw}
    whole["details"] = raw.get("details") or {}
    whole.setdefault("subject", whole.get("scorer") if metric in REWARD_SUBJECT else whole.get("model"))
    if fault := _fault(whole):
        raise UsageError(
            f"{folder.path}: measurement {position + 1} ({metric}) {fault}: give the file as it was written."
        )
    return whole


def _fault(entry: Entry) -> str | None:
    for name in _TEXTS:
        if not isinstance(entry.get(name), str):
            return f"has no {name!r}"
    if entry.get("verdict") not in ORDER:
        return f"has the verdict {entry.get('verdict')!r}"
    estimate = entry.get("estimate", "")
    if estimate is not None and not _is_number(estimate):
        return f"has the estimate {estimate!r}"
    bounds = entry["interval"]
    if bounds is not None and not (isinstance(bounds, list) and len(bounds) == 2 and all(map(_is_number, bounds))):
        return f"has the interval {bounds!r}"
    if not all(isinstance(entry[name] or {}, Mapping) for name in ("details", "threshold", "baseline")):
        return "holds text where an object belongs"
    if not all(isinstance(entry[name], int) for name in ("n", "missing")) or not _is_number(entry["confidence"]):
        return "has no number of items or no confidence"
    if not _is_number((entry["baseline"] or {}).get("tolerance") or 0.0):
        return "has a baseline whose tolerance is no number"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
