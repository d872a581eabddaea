"""Files of prompts as JSON lines: one object per line, whose texts are texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aes_audit.errors import InvalidPrompts

__all__ = ["json_lines", "text_at"]


def json_lines(path: Path, what: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every object with the place where it stands; empty lines are passed over.

    `what` names the file's kind in errors. Raises InvalidPrompts naming file and line.
    """
    try:
        # Not splitlines: inside a JSON string, U+2028 and its like are ordinary characters.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPrompts(f"{what} cannot be read from {path}: {error}.") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield f"{path}, line {number}", _object(f"{path}, line {number}", line)


def text_at(where: str, raw: Mapping[str, Any], key: str) -> str:
    """The text under a key; raises InvalidPrompts where it is none, is empty or holds half of a character."""
    value = raw.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InvalidPrompts(f"{where}: key {key!r} must be a non-empty string, found {value!r}.")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidPrompts(f"{where}: key {key!r} holds half of a character: {value!r}.")
    return value


def _object(where: str, line: str) -> Mapping[str, Any]:
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidPrompts(f"{where}: not JSON ({getattr(error, 'msg', error)}).") from error
    if not isinstance(raw, dict):
        raise InvalidPrompts(f"{where}: expected an object, found {type(raw).__name__}.")
    return raw
