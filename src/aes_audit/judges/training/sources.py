"""Where rated images come from: a table, a folder of tables, or a data set on the hub. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aes_audit.errors import UsageError
from aes_audit.judges.training.tables import FORMATS
from aes_audit.weights.hub import download, list_files, resolve_commit
from aes_audit.weights.source import file_at, parse_source

__all__ = ["PUBLISHED_HELD_OUT", "DataSource", "resolve_data"]

PUBLISHED_HELD_OUT = {"zai-org/VisionRewardDB-Image": 743, "THUDM/VisionRewardDB-Image": 743}
"""Data sets with a published split: the last so many rows were never trained on. Source: PROTOCOL section 5."""

_PARQUET = ".parquet"


@dataclass(frozen=True, slots=True)
class DataSource:
    """A table that may lie in several files."""

    name: str
    """For people: the file or repository without its place."""
    files: tuple[Path, ...]
    """In the order of their rows."""
    commit: str | None = None
    """Of a hub data set."""


def resolve_data(text: str, root: Path) -> DataSource:
    """What `--data` names: a file, a folder of Parquet files, or `owner/name[@revision]`, which is fetched.

    `root` is what relative paths refer to. Raises UsageError, or ModelNotFound where the hub has no such data set.
    """
    if file := file_at(text, root):
        return DataSource(file.stem, (file,))
    source = parse_source(text, root)
    if source is None or (source.folder is not None and not source.folder.is_dir()):
        raise UsageError(f"--data {text!r} is no table ({', '.join(FORMATS)}), folder or data set owner/name.")
    if source.folder is not None:
        # Hidden folders are caches of those who fetched the others.
        inside = (file.relative_to(source.folder) for file in source.folder.rglob(f"*{_PARQUET}"))
        names = sorted(file for file in inside if not any(part.startswith(".") for part in file.parts))
        found = tuple(source.folder / file for file in names)
        return DataSource(source.folder.resolve().name, _some(found, text))
    repo = str(source.repo)
    commit = resolve_commit(repo, source.revision, kind="dataset")
    wanted = sorted(name for name in list_files(repo, commit, kind="dataset") if name.endswith(_PARQUET))
    _some(tuple(map(Path, wanted)), text)
    folder = download(repo, commit, source.revision, wanted, kind="dataset")
    return DataSource(repo, tuple(folder / name for name in wanted), commit)


def _some(found: tuple[Path, ...], text: str) -> tuple[Path, ...]:
    if not found:
        raise UsageError(f"--data {text!r} holds no {_PARQUET} file: name the table itself.")
    return found
