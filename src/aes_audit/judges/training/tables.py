"""Rows of tables, one after the other, with the place of each for messages: JSON lines, CSV or Parquet.

Imports no torch."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from aes_audit.errors import UsageError

__all__ = ["FORMATS", "Row", "read_rows"]

FORMATS = (".parquet", ".jsonl", ".csv")
"""Endings of the files that are read."""

Row = tuple[str, Mapping[str, Any]]
"""Where a row stands, in words, and its cells by column."""

_BATCH = 64
"""Rows of Parquet held at a time: each may hold a picture."""

_LONGEST = 2**24
"""Characters of the longest CSV cell; Python stops at 131,072 by itself."""


def read_rows(file: Path, wanted: Collection[str]) -> Iterator[Row]:
    """The rows of a file, in order; of Parquet only the columns in `wanted` are read.

    Raises UsageError, naming file and row, for what cannot be read.
    """
    suffix = file.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"{str(file)!r} is no table: give a file that ends with {', '.join(FORMATS)}.")
    try:
        if suffix == ".parquet":
            yield from _parquet_rows(file, wanted)
        else:
            yield from _csv_rows(file) if suffix == ".csv" else _json_rows(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{str(file)!r} cannot be read: {' '.join(str(error).split())}.") from error


def _parquet_rows(file: Path, wanted: Collection[str]) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Opened here: given a path, Arrow would take the names of the folders above for columns.
        with file.open("rb") as opened, pq.ParquetFile(opened, page_checksum_verification=True) as parquet:
            columns = [name for name in parquet.schema_arrow.names if name in wanted]
            count = 0
            for batch in parquet.iter_batches(batch_size=_BATCH, columns=columns):
                for cells in batch.to_pylist():
                    count += 1
                    yield f"{str(file)!r}, row {count}", cells
    except (pa.ArrowException, ValueError) as error:
        raise UsageError(f"{str(file)!r} is no readable Parquet file: {' '.join(str(error).split())}.") from error


def _csv_rows(file: Path) -> Iterator[Row]:
    before = csv.field_size_limit(_LONGEST)
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, strict=True, restval=None)
            names = list(reader.fieldnames or ())
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise UsageError(f"{str(file)!r} has two columns {twice[0]!r}: remove one.")
            for count, cells in enumerate(reader, start=1):
                if None in cells or None in cells.values():
                    raise UsageError(f"{str(file)!r}, row {count} has not as many cells as the header.")
                # A cell that is empty says nothing.
                yield f"{str(file)!r}, row {count}", {name: cell for name, cell in cells.items() if cell.strip()}
    finally:
        csv.field_size_limit(before)


def _json_rows(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig", newline="\n") as opened:
        for number, line in enumerate(opened, start=1):
            if not line.strip():
                continue
            where = f"{str(file)!r}, line {number}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{where} is not JSON: {error}.") from error
            if not isinstance(row, dict):
                raise UsageError(f"{where} is not an object with image and ratings: {line.strip()[:60]!r}.")
            yield where, row
