"""Stores laid together: every object verified, linked or copied whole, and none of those that are there replaced."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aes_audit.errors import UsageError
from aes_audit.evidence import files
from aes_audit.evidence.rates import better_known
from aes_audit.evidence.records import decoded
from aes_audit.evidence.store import Store

__all__ = ["Merged", "merge_stores"]

_OBJECTS = {"blobs": ".png", "images": ".json", "scores": ".json"}
"""Blobs first: a record without its blob would be an unfinished image."""

_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass
class Merged:
    """What became of the objects of the stores."""

    taken: int = 0
    """Objects that the target did not have."""
    there: int = 0
    """Objects that it had already, byte for byte."""
    conflicts: list[str] = field(default_factory=list)
    """What two stores hold differently, a sentence each; the target keeps what it had."""
    damaged: list[str] = field(default_factory=list)
    """What is not what was stored, a sentence each; it was left where it was."""


def merge_stores(sources: list[Path], into: Path) -> Merged:
    """Lay stores together in the store `into`, which is made where there is none.

    Whoever is interrupted merges again: what is there is verified and left. Nothing of the sources is changed.
    Raises UsageError for a source that is no store or the target itself, and StoreUnusable.
    """
    for source in sources:
        _refuse(source, into)
    target, done = Store(into), Merged()
    for source in sources:
        for room, suffix in _OBJECTS.items():
            for path in _objects(source / room, suffix):
                _take(path, target.root / path.relative_to(source), done)
        for path in _objects(source / "rates", ".json"):
            _take_rate(path, target)
    return done


def _refuse(source: Path, into: Path) -> None:
    if not any((source / room).is_dir() for room in _OBJECTS):
        raise UsageError(f"{source} is no store: it has none of the folders {', '.join(_OBJECTS)}.")
    if into.exists() and source.resolve() == into.resolve():
        raise UsageError(f"{source} cannot be merged into itself: give another --into.")


def _objects(room: Path, suffix: str) -> Iterator[Path]:
    """The objects of a room, always in the same order."""
    for folder in sorted(room.glob("??/")):
        yield from sorted(path for path in folder.iterdir() if path.suffix == suffix and _KEY.fullmatch(path.stem))


def _take(path: Path, target: Path, done: Merged) -> None:
    content = files.read(path) or b""
    if not _is_intact(path, content):
        done.damaged.append(f"{path} is not what was stored")
        return
    there = files.read(target)
    if there is None:
        _place(path, content, target)
        done.taken += 1
    elif there == content:
        done.there += 1
    elif not _is_intact(target, there):
        files.write(target, content)
        done.taken += 1
    else:
        done.conflicts.append(f"{path} differs from {target}{_differing(there, content)}")


def _is_intact(path: Path, content: bytes) -> bool:
    if path.suffix == ".png":
        return hashlib.sha256(content).hexdigest() == path.stem
    return decoded(path.stem, content) is not None


def _place(path: Path, content: bytes, target: Path) -> None:
    """A second name for the file where both lie on one file system, which costs no room; else a copy."""
    with files.refused(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # The store replaces files and never writes into them, so that two names for one file are safe.
        os.link(path, target)
    except OSError:
        files.write(target, content)


def _differing(one: bytes, other: bytes) -> str:
    """In which fields two records differ; empty for blobs, whose name is their content."""
    first, second = (json.loads(content)["record"] for content in (one, other))
    fields = sorted(name for name in {**first, **second} if first.get(name) != second.get(name))
    return f" in {', '.join(fields)}"


def _take_rate(path: Path, target: Store) -> None:
    kept, other = target.rate(path.stem), decoded(path.stem, files.read(path) or b"")
    better = better_known(kept, other)
    if better != kept and better["devices"]:
        target.put_rate(path.stem, better)
