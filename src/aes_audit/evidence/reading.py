"""Evidence files: Parquet, CSV, or a folder of them, to one validated table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from aes_audit.errors import InvalidEvidence
from aes_audit.evidence.coding import joined
from aes_audit.evidence.delimited import read_csv
from aes_audit.evidence.faults import Origin
from aes_audit.evidence.parquet import read_parquet
from aes_audit.evidence.table import Evidence
from aes_audit.evidence.validation import refuse_contradictions, validated

__all__ = ["read_evidence"]

_READERS: dict[str, Callable[[Path, str], pd.DataFrame]] = {".parquet": read_parquet, ".csv": read_csv}


def read_evidence(path: Path) -> Evidence:
    """Read a `.parquet` or `.csv` file, or all of those directly inside a folder as one table.

    In a folder, other files, hidden files and subfolders are left alone. Neither the format nor the order of rows and
    files matters. Raises InvalidEvidence, naming the file, the column and the first offending key, on any fault.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _read_files(_files_in(path))
        if not path.exists():
            raise InvalidEvidence(f"{path}: there is no such file or folder.")
    except OSError as error:
        raise InvalidEvidence(f"{path}: cannot be read: {error.strerror or error}.") from error
    return _read_files([path])


def _files_in(folder: Path) -> list[Path]:
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _READERS and not path.name.startswith(".") and path.is_file()
    )
    if not files:
        raise InvalidEvidence(f"{folder}: the folder holds no .parquet or .csv file (subfolders are not searched).")
    return files


def _read_files(paths: Sequence[Path]) -> Evidence:
    frames = [_read_file(path) for path in paths]
    if len(frames) == 1:
        return Evidence(frames[0])
    frame = joined(frames)
    refuse_contradictions(frame, Origin(list(map(str, paths)), list(map(len, frames))))
    return Evidence(frame)


def _read_file(path: Path) -> pd.DataFrame:
    source = str(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidEvidence(f"{source}: neither a .parquet nor a .csv file, nor a folder of them.")
    try:
        frame = reader(path, source)
    except OSError as error:
        raise InvalidEvidence(f"{source}: cannot be read: {error.strerror or error}.") from error
    return validated(frame, source)
