"""Stores laid together: every object verified, linked or copied whole, and none of those that are there replaced."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath

from aes_audit.errors import UsageError
from aes_audit.evidence.rates import better_known
from aes_audit.evidence.records import decoded
from aes_audit.evidence.storage.address import checked_address, folder_of, open_storage
from aes_audit.evidence.storage.protocol import Storage
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


def merge_stores(sources: Sequence[str], into: str) -> Merged:
    """Lay stores together in the store at `into`, which is made where there is none.

    Whoever is interrupted merges again: what is there is verified and left. Nothing of the sources is changed.
    Raises UsageError for a source that is no store or the target itself, and StoreUnusable.
    """
    opened = [_source(source, into) for source in sources]
    target, done = Store(into), Merged()
    for source in opened:
        # Whichever of them is a bucket has something to wait for.
        waiting = source if folder_of(source.address) is None else target.storage
        for room, suffix in _OBJECTS.items():
            take = partial(_take, source, target.storage)
            for outcome, said in waiting.each(take, _names(source, room, suffix)):
                _count(done, outcome, said)
        for name in _names(source, "rates", ".json"):
            _take_rate(source, name, target)
    return done


def _source(source: str, into: str) -> Storage:
    storage = open_storage(source)
    if not _OBJECTS.keys() & set(storage.folders("")):
        raise UsageError(f"{source} is no store: it has none of the folders {', '.join(_OBJECTS)}.")
    if _place(source) == _place(into):
        raise UsageError(f"{source} cannot be merged into itself: give another --into.")
    return storage


def _place(address: str) -> object:
    folder = folder_of(address)
    return checked_address(address) if folder is None else folder.resolve()


def _names(storage: Storage, room: str, suffix: str) -> Iterator[str]:
    """The objects of a room, always in the same order."""
    for folder in storage.folders(room):
        for name in storage.names(folder):
            if name.endswith(suffix) and _KEY.fullmatch(_key(name)):
                yield name


def _take(source: Storage, target: Storage, name: str) -> tuple[str, str]:
    """What became of an object, as a field of Merged, and a sentence about it."""
    content = source.read(name) or b""
    if not _is_intact(name, content):
        return "damaged", f"{source.address}/{name} is not what was stored"
    there = target.read(name)
    if there is None:
        target.adopt(name, content, source)
    elif there == content:
        return "there", ""
    elif _is_intact(name, there):
        differing = _differing(there, content)
        return "conflicts", f"{source.address}/{name} differs from {target.address}/{name}{differing}"
    else:
        target.write(name, content)
    return "taken", ""


def _count(done: Merged, outcome: str, said: str) -> None:
    if outcome == "taken":
        done.taken += 1
    elif outcome == "there":
        done.there += 1
    else:
        (done.damaged if outcome == "damaged" else done.conflicts).append(said)


def _is_intact(name: str, content: bytes) -> bool:
    if name.endswith(".png"):
        return hashlib.sha256(content).hexdigest() == _key(name)
    return decoded(_key(name), content) is not None


def _differing(one: bytes, other: bytes) -> str:
    """In which fields two records differ; empty for blobs, whose name is their content."""
    first, second = (json.loads(content)["record"] for content in (one, other))
    fields = sorted(name for name in {**first, **second} if first.get(name) != second.get(name))
    return f" in {', '.join(fields)}"


def _take_rate(source: Storage, name: str, target: Store) -> None:
    key = _key(name)
    kept, other = target.rate(key), decoded(key, source.read(name) or b"")
    better = better_known(kept, other)
    if better != kept and better["devices"]:
        target.put_rate(key, better)


def _key(name: str) -> str:
    return PurePosixPath(name).stem
