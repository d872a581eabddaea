"""The companion of a prompt set: a TOML file of the same name that says what the set is, or which part of another."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aes_audit.errors import InvalidPrompts
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["Companion", "Reviewed", "read_companion"]

_TEXTS = ("version", "language", "licence", "authors", "procedure", "of")
_KEYS = (*_TEXTS, "ids", "reviewed", "provenance")


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A wide prompt that seems to signal a dimension which it does not ask for, and why it may."""

    id: str
    """The pair's id."""
    dimension: str
    """The dimension that the lexicon finds."""
    reason: str
    """What a person who read the prompt says about it."""


@dataclass(frozen=True, slots=True)
class Companion:
    """What a set says about itself; a file without companion says nothing."""

    version: str | None = None
    """Raised by hand with every change of the set's content; the digest notices what a hand forgets."""
    language: str | None = None
    """BCP 47 tag of the prompts."""
    licence: str | None = None
    """SPDX identifier of the prompts."""
    authors: str | None = None
    """Who wrote the prompts."""
    procedure: str | None = None
    """How they were written and checked."""
    of: str | None = None
    """Of a part: the name of the set in the same folder that it is taken from."""
    ids: tuple[str, ...] = ()
    """Of a part: the ids of its pairs, in order."""
    reviewed: tuple[Reviewed, ...] = ()
    """Exceptions from the check that a prompt asks for nothing but its dimensions."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Of a set that `aes-audit prompts build` made: how. Anything may stand here."""


def read_companion(path: Path) -> Companion:
    """What the file says, an empty Companion when there is none.

    Raises InvalidPrompts naming the file and the key for anything unknown or of a wrong type.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return Companion()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidPrompts(f"{path}: the companion of a prompt set cannot be read ({error}).") from error
    if unknown := sorted(set(raw) - set(_KEYS)):
        known = ", ".join(_KEYS)
        raise InvalidPrompts(f"{path}: unknown key {unknown[0]!r} in the companion of a prompt set; known: {known}.")
    texts = {key: _text(path, key, raw[key]) for key in _TEXTS if key in raw}
    ids = tuple(_text(path, "ids", value) for value in _list(path, "ids", raw.get("ids", [])))
    if bool(ids) != ("of" in texts):
        raise InvalidPrompts(f"{path}: a part of a set needs both keys, 'of' and 'ids'.")
    reviewed = tuple(_reviewed(path, value) for value in _list(path, "reviewed", raw.get("reviewed", [])))
    provenance = raw.get("provenance", {})
    if not isinstance(provenance, dict):
        raise InvalidPrompts(f"{path}: key 'provenance' must be a table, found {provenance!r}.")
    return Companion(**texts, ids=ids, reviewed=reviewed, provenance=provenance)


def _list(path: Path, key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidPrompts(f"{path}: key {key!r} must be a list, found {value!r}.")
    return value


def _text(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidPrompts(f"{path}: key {key!r} must hold non-empty text, found {value!r}.")
    return value.strip()


def _reviewed(path: Path, value: Any) -> Reviewed:
    if not isinstance(value, dict) or set(value) != {"id", "dimension", "reason"}:
        raise InvalidPrompts(f"{path}: an entry of 'reviewed' holds 'id', 'dimension' and 'reason', found {value!r}.")
    entry = Reviewed(**{key: _text(path, key, value[key]) for key in ("id", "dimension", "reason")})
    if entry.dimension not in DIMENSIONS:
        raise InvalidPrompts(f"{path}: unknown dimension {entry.dimension!r}; known: {', '.join(DIMENSIONS)}.")
    return entry
