"""Captions from a column of a data set on the hub: its parquet or JSON lines files, at one commit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from aes_audit.errors import InvalidPrompts
from aes_audit.weights.data_set import find_data_set

__all__ = ["hub_texts"]

_ENDINGS = (".parquet", ".jsonl")


def hub_texts(
    repo: str, revision: str | None, column: str, pattern: str | None
) -> tuple[Iterator[tuple[str, str]], Mapping[str, str]]:
    """Place and text of each row that has one, and provenance with the commit.

    Files are taken in the order of their names, rows are counted from 0 within each. Raises InvalidPrompts for a data
    set without such files or column, ModelNotFound for one that cannot be fetched.
    """
    found = find_data_set(repo, revision)
    fitting, names = found.ending(_ENDINGS), found.ending(_ENDINGS, pattern)
    if not names:
        there = f"none of {', '.join(fitting[:5])} fits {pattern!r}" if fitting else "has no .parquet or .jsonl file"
        raise InvalidPrompts(f"{found}: {there}.")
    if len({Path(name).suffix.lower() for name in names}) > 1:
        raise InvalidPrompts(
            f"{found}: has .parquet and .jsonl files, perhaps of the same rows; "
            "choose with --caption-files, for instance '*.parquet'."
        )
    folder = found.fetch(names)
    provenance = {"captions": repo, "captions_commit": found.commit, "captions_column": column}
    if pattern is not None:
        provenance["captions_files"] = pattern
    return _rows(folder, names, column, f"data set {repo}"), provenance


def _rows(folder: Path, names: list[str], column: str, where: str) -> Iterator[tuple[str, str]]:
    for name in names:
        read = _parquet if name.lower().endswith(".parquet") else _json_lines
        for number, text in enumerate(read(folder / name, column, f"{where}, {name}")):
            if text is not None:
                yield f"{name}, row {number}", text


def _parquet(path: Path, column: str, where: str) -> Iterator[str | None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file, pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            schema = parquet.schema_arrow
            if column not in schema.names:
                raise InvalidPrompts(f"{where}: no column {column!r}; it has {', '.join(schema.names)}.")
            kind = schema.field(column).type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise InvalidPrompts(f"{where}: column {column!r} holds {kind}, not text.")
            for batch in parquet.iter_batches(columns=[column]):
                yield from batch.column(0).to_pylist()
    except (pa.ArrowException, ValueError, OSError) as error:
        raise InvalidPrompts(f"{where}: not a readable Parquet file ({' '.join(str(error).split())}).") from error


def _json_lines(path: Path, column: str, where: str) -> Iterator[str | None]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPrompts(f"{where}: cannot be read ({error}).") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidPrompts(f"{where}, line {number}: not JSON ({getattr(error, 'msg', error)}).") from error
        if not isinstance(row, dict) or column not in row:
            raise InvalidPrompts(f"{where}, line {number}: no object with the key {column!r}.")
        if not isinstance(row[column], str | None):
            raise InvalidPrompts(f"{where}, line {number}: {column!r} must be a text, found {row[column]!r}.")
        yield row[column]
