"""What a JUnit file says about a measurement: one property each, as `record_property` would have written them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aes_audit.report.results import Entry

__all__ = ["properties"]

_NAMES = (
    "subject", "metric", "scorer", "base_model", "group", "estimate", "interval", "confidence", "n", "missing",
    "p_value", "verdict", "reason",
)  # fmt: skip
_CONDITIONS = ("at_least", "at_most", "margin")


def properties(entry: Entry) -> Iterator[tuple[str, str]]:
    """Name and text of each; what an entry does not have is left out, an interval is `[low, high]`."""
    for name in _NAMES:
        if entry[name] is not None:
            yield name, _text(entry[name])
    if threshold := _threshold(entry["threshold"] or {}):
        yield "threshold", threshold
    if entry["baseline"]:
        yield "baseline", _text(entry["baseline"]["estimate"])


def _threshold(condition: Mapping[str, Any]) -> str | None:
    return next((f"{name} = {condition[name]:g}" for name in _CONDITIONS if name in condition), None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
