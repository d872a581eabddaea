"""Baselines: one JSON file per subject and audit, written by syrupy. What they mean is in `comparison`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from syrupy.data import Snapshot, SnapshotCollection, SnapshotCollections
from syrupy.extensions.base import AbstractSyrupyExtension

from aes_audit.errors import InvalidBaseline

if TYPE_CHECKING:
    from syrupy.location import PyTestLocation

__all__ = ["Baseline", "audit_name", "baseline_extension", "baseline_file", "baseline_index", "read_baseline"]

Baseline = Mapping[str, Any]
"""What a blessed measurement keeps: estimate, interval, n, tolerance, items, conditions and provenance."""

# One character: of a longer one, a part's own end could become the beginning.
_SEPARATOR = "|"


def audit_name(path: Path) -> str:
    """The audit that a test file holds: its name without `test_`."""
    return path.stem.removeprefix("test_")


def baseline_index(subject: str, audit: str, key: str) -> str:
    """Where a measurement is kept: file `<subject>/<audit>.json`, entry `key`."""
    return _SEPARATOR.join(part.replace(_SEPARATOR, "/") for part in (subject, audit, key))


def baseline_file(folder: Path, index: str) -> Path:
    """The file that holds the entry of a `baseline_index`; it need not exist."""
    subject, audit, _ = index.split(_SEPARATOR)
    name = re.sub(r"[^\w.@+=-]+", "-", subject)
    # `.` and `..` are places, not names.
    return folder / (name if name.strip(".") else f"-{name}") / f"{audit}.json"


def read_baseline(folder: Path, index: str) -> Baseline | None:
    """The blessed measurement, or None when there is none; raises InvalidBaseline for a broken file."""
    file, key = baseline_file(folder, index), index.split(_SEPARATOR)[2]
    entry = _read(file).get(key)
    return None if entry is None else _checked(f"baseline {file}, entry {key!r}", entry)


def baseline_extension(folder: Path) -> type[AbstractSyrupyExtension]:
    """A syrupy extension that keeps baselines in `folder`; `snapshot(name=...)` takes a `baseline_index`."""

    class BaselineExtension(_BaselineExtension):
        directory = folder

    return BaselineExtension


class _BaselineExtension(AbstractSyrupyExtension):
    directory: Path
    file_extension = "json"
    # A baseline that cannot be written is the failure of the test that blesses it, not of the session's end.
    write_immediately = True

    def serialize(self, data: Any, **_: Any) -> str:
        return json.dumps(data, sort_keys=True)

    def matches(self, *, serialized_data: Any, snapshot_data: Any) -> bool:
        """Never: syrupy only writes here, and a blessing replaces its predecessor even where the number is the same."""
        return False

    @classmethod
    def get_location(cls, *, test_location: PyTestLocation, index: Any) -> str:
        return str(baseline_file(cls.directory, str(index)))

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: Any = 0) -> str:
        # syrupy wants a name that starts with the test's; the entry in the file is what follows.
        return f"{test_location.methodname}{_SEPARATOR}{str(index).split(_SEPARATOR)[-1]}"

    @classmethod
    def matches_test_location(cls, *, test_location: PyTestLocation, snapshot_location: str) -> bool:
        return True

    def discover_snapshots(self, **_: Any) -> SnapshotCollections:
        """None: a run audits the subjects it was asked for, and says nothing about the baselines of others."""
        return SnapshotCollections()

    def read_snapshot_collection(self, *, snapshot_location: str) -> SnapshotCollection:
        collection = SnapshotCollection(location=snapshot_location)
        for name in _read(Path(snapshot_location)):
            collection.add(Snapshot(name=name))
        return collection

    def read_snapshot_data_from_location(
        self, *, snapshot_location: str, snapshot_name: str, session_id: str
    ) -> str | None:
        entry = _read(Path(snapshot_location)).get(_entry(snapshot_name))
        return None if entry is None else json.dumps(entry, sort_keys=True)

    @classmethod
    def write_snapshot_collection(cls, *, snapshot_collection: SnapshotCollection, **_: Any) -> None:
        file = Path(snapshot_collection.location)
        with _sole_writer(file):
            entries = dict(_read(file))
            for snapshot in snapshot_collection:
                entries[_entry(snapshot.name)] = json.loads(str(snapshot.data))
            _write(file, entries)

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        file = Path(snapshot_location)
        gone = {_entry(name) for name in snapshot_names}
        with _sole_writer(file):
            _write(file, {key: entry for key, entry in _read(file).items() if key not in gone})


def _checked(where: str, entry: Any) -> Baseline:
    """The entry, or InvalidBaseline: people merge these files by hand."""
    if not isinstance(entry, dict):
        raise InvalidBaseline(f"{where}: expected an object, found {entry!r}.")
    for name in ("estimate", "interval", "n", "tolerance"):
        if name not in entry:
            raise InvalidBaseline(f"{where}: key {name!r} is missing.")
    for name in ("estimate", "tolerance"):
        if isinstance(entry[name], bool) or not isinstance(entry[name], (int, float)):
            raise InvalidBaseline(f"{where}: {name} = {entry[name]!r} is not a number.")
    return entry


def _entry(snapshot_name: str) -> str:
    return snapshot_name.rpartition(_SEPARATOR)[2]


def _read(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidBaseline(f"baseline {file} cannot be read as JSON: {error}.") from error
    if not isinstance(raw, dict):
        raise InvalidBaseline(f"baseline {file} holds a {type(raw).__name__}, expected an object.")
    return raw


@contextmanager
def _sole_writer(file: Path) -> Iterator[None]:
    """Writers add to what is there, one after the other: with --dist=worksteal a file has several."""
    name = hashlib.sha256(str(file.absolute()).encode()).hexdigest()
    # Not beside the file: baselines are committed, and lock files stay behind.
    lock = FileLock(Path(tempfile.gettempdir()) / f"aes_audit-{name}.lock")
    with suppress(OSError, NotImplementedError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _write(file: Path, entries: Mapping[str, Any]) -> None:
    part = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(_text(entries), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise InvalidBaseline(f"baseline {file} cannot be written: {error.strerror}.") from error


def _text(entries: Mapping[str, Any]) -> str:
    """Indented JSON for people who review the change, with each plain list on one line."""
    text = json.dumps(entries, indent=2, sort_keys=True, allow_nan=False)
    # No JSON string holds a line break, so a bracket before one opens a list.
    return re.sub(r"\[\n\s+([^\[\]{}]*?)\n\s*\]", _on_one_line, text) + "\n"


def _on_one_line(plain_list: re.Match[str]) -> str:
    return "[" + re.sub(r",\n\s*", ", ", plain_list[1]) + "]"
