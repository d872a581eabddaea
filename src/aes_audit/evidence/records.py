"""Records of the store as JSON files that prove themselves: a changed digit is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aes_audit.evidence.keys import JSON, canonical, digest

__all__ = ["decoded", "encoded"]

_PROOF = len(b'{"check":"') + 64 + len(b'",')
"""Bytes before what is proved: canonical JSON sorts its keys, so that a file begins with its digest."""


def encoded(key: str, record: Mapping[str, JSON]) -> bytes:
    """A record as the content of its file. Raises TypeError on values that JSON cannot hold."""
    content: dict[str, JSON] = {"key": key, "record": record}
    return canonical({**content, "check": digest(content)}) + b"\n"


def decoded(key: str, content: bytes) -> dict[str, Any] | None:
    """The record in a file's content; None when it is truncated, garbled, spelled anew or belongs to another key."""
    # The bytes are proved as they lie there: a look-up is not to write its record once more.
    proved = b"{" + content[_PROOF:].removesuffix(b"\n")
    if content[:_PROOF] != b'{"check":"%s",' % hashlib.sha256(proved).hexdigest().encode():
        return None
    try:
        found = json.loads(proved)
        record = found["record"] if found["key"] == key else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
