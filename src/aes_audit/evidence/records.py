"""Records of the store as JSON files that prove themselves: a changed digit is noticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aes_audit.evidence.keys import JSON, canonical, digest

__all__ = ["decoded", "encoded"]


def encoded(key: str, record: Mapping[str, JSON]) -> bytes:
    """A record as the content of its file. Raises TypeError on values that JSON cannot hold."""
    content: dict[str, JSON] = {"key": key, "record": record}
    return canonical({**content, "check": digest(content)}) + b"\n"


def decoded(key: str, content: bytes) -> dict[str, Any] | None:
    """The record in a file's content; None when it is truncated, garbled or belongs to another key."""
    try:
        found = json.loads(content)
        check = found.pop("check")
        if found["key"] != key or check != digest(found):
            return None
        record = found["record"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
