"""A run folder: what --audit-report leaves behind, for people and for the next program.

index.html          the page (report/html)
results.json        the very object that --audit-json writes
evidence.parquet    every row the run collected or was handed; `--evidence` takes it back
assets/             style and script of the page
images/             pictures of the gallery, named by the digest of the stored image
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.errors import UsageError
from aes_audit.report.results import Entry

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence

__all__ = ["EVIDENCE", "PAGE", "RESULTS", "RunFolder", "prepare_folder", "refuse_within", "replaced_folder"]

PAGE = "index.html"
RESULTS = "results.json"
EVIDENCE = "evidence.parquet"

_OWN = frozenset({PAGE, RESULTS, EVIDENCE, "assets", "images"})
_LITTER = frozenset({".DS_Store", "Thumbs.db"})
"""What desktops leave behind where somebody has looked."""

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A finished run, read back."""

    path: Path
    """The folder, or the results file where that is all there is."""
    results: Mapping[str, Any]
    """The results file: `schema`, `run` and `measurements`."""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Read a run folder, or a results file alone. Raises UsageError in one sentence for what is no run."""
        path = Path(path)
        file = path / RESULTS if path.is_dir() else path
        try:
            results = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise _no_run(path, f"{file} cannot be read: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise _no_run(path, f"{file} holds no JSON") from error
        if fault := _fault(results):
            raise _no_run(path, f"{file} {fault}")
        return cls(path, results)

    @property
    def run(self) -> Mapping[str, Any]:
        """Provenance of the run."""
        provenance: Mapping[str, Any] = self.results["run"]
        return provenance

    @property
    def measurements(self) -> Sequence[Entry]:
        """One entry per judged measurement, in the order in which they were judged."""
        entries: Sequence[Entry] = self.results["measurements"]
        return entries

    def evidence(self) -> Evidence | None:
        """The rows behind the numbers; None where the run left none. Raises InvalidEvidence for a broken file."""
        file = self.path / EVIDENCE
        if not self.path.is_dir() or not file.is_file():
            return None
        from aes_audit.evidence.reading import read_evidence

        return read_evidence(file)


def prepare_folder(path: Path) -> None:
    """Find out, before hours are spent, whether a run folder can stand here; makes its parent.

    Raises UsageError for a file, for a folder that holds anything but a run, and for a place that cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(0, "permission denied")
        names = {entry.name for entry in path.iterdir()} if path.exists() else set()
    except OSError as error:
        raise _unwritable(path, error) from error
    if names and not {PAGE, RESULTS} <= names <= _OWN | _LITTER:
        raise UsageError(f"--audit-report {path} holds other files, which a report would replace: name a new folder.")


def refuse_within(path: Path, others: Mapping[str, Path | None]) -> None:
    """Raise UsageError for a place inside of the run folder that the run reads from or writes to besides.

    The folder is replaced as a whole at the end, or not at all where other files lie in it by then. `others` are
    places by their options, None where there is none.
    """
    for option, other in others.items():
        if other is not None and other.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"{option} {other} lies in --audit-report {path}, which is replaced: name another place.")


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A folder that gets this name, in place of what stood there, once everything is in it; a link is followed.

    Raises UsageError naming the path when it cannot be written; then what stood there stays.
    """
    path = path.resolve()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        prepare_folder(path)
        part.mkdir()
        yield part
        if path.exists():
            path.rename(old)
        part.rename(path)
    except OSError as error:
        with suppress(OSError):
            if old.exists() and not path.exists():
                old.rename(path)
        raise _unwritable(path, error) from error
    finally:
        for left in (part, old):
            shutil.rmtree(left, ignore_errors=True)


def _fault(results: object) -> str | None:
    if not isinstance(results, Mapping) or results.get("schema") != _SCHEMA:
        return f'is no results file of schema {_SCHEMA} ("schema", "run", "measurements")'
    if not isinstance(results.get("run"), Mapping):
        return 'has no "run" object'
    entries = results.get("measurements")
    if not isinstance(entries, list) or not all(isinstance(each, Mapping) and "metric" in each for each in entries):
        return 'has no list of "measurements"'
    return None


def _no_run(path: Path, fault: str) -> UsageError:
    return UsageError(
        f"{str(path)!r} is no run: {fault}. Give a folder that --audit-report wrote, or a file that --audit-json wrote."
    )


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"report {path} cannot be written: {error.strerror or error}. Give another --audit-report.")
