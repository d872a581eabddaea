"""Answers of hosts as plain JSON: nothing about their shape is believed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["Payload", "charged", "dig", "read_payload"]

Payload = Mapping[str, Any]
"""A JSON object that a host sent."""


def read_payload(text: str) -> Payload | None:
    """The JSON object in an answer; None where there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def dig(value: Any, *path: str | int) -> Any:
    """What lies at a path of keys and positions; None where the path ends early or leads through something else."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
    return value


def charged(payload: Payload) -> float | None:
    """What the host says the answer cost, in US dollars (OpenRouter's `usage.cost`); None where it says nothing."""
    cost = dig(payload, "usage", "cost")
    plain = isinstance(cost, int | float) and not isinstance(cost, bool)
    return float(cost) if plain and math.isfinite(cost) and 0 <= cost < 1000 else None
