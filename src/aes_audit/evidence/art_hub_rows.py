"""Artworks in the rows of Parquet files: what is said about them is read at once, the pictures as they are needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from glob import escape
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from aes_audit.errors import UsageError
from aes_audit.evidence.art_columns import cell_text, chosen_columns
from aes_audit.evidence.art_hub import HubWork
from aes_audit.evidence.art_pictures import StoredPicture
from aes_audit.evidence.art_shelf import Shelf, opened
from aes_audit.weights.data_set import DataSet

__all__ = ["works_in_rows"]


def works_in_rows(
    found: DataSet, names: Sequence[str], said: Mapping[str, str]
) -> tuple[list[HubWork], Mapping[str, str]]:
    """Every row of these files, in their order, and which columns were taken for what.

    A work is called by the file name that the data set keeps with the picture, where every picture has one of its own,
    and by file and row otherwise. Raises ModelNotFound, or UsageError for what cannot be read.
    """
    folder = found.fetch(list(map(escape, names)))
    try:
        with opened(folder / names[0]) as parquet:
            schema = parquet.schema_arrow
        columns = chosen_columns(f"{found}, {names[0]}", schema.names, said)
        shelf = Shelf([folder / name for name in names], _bytes_of(f"{found}, {names[0]}", schema, columns["image"]))
        rows = list(chain.from_iterable(_rows(found, folder, name, columns) for name in names))
    except (pa.ArrowException, ValueError, OSError) as error:
        raise UsageError(f"{found}: not readable as Parquet ({' '.join(str(error).split())}).") from error
    called, files = {path for _, _, path, _ in rows if path}, {name: file for file, name in enumerate(names)}
    works = []
    for name, row, path, cells in rows:
        own = path if path and len(called) == len(rows) else f"{name}#{row}"
        works.append(HubWork(own, StoredPicture(partial(shelf.picture, files[name], row)), cells))
    return works, columns


def _bytes_of(where: str, schema: pa.Schema, column: str) -> str:
    """The path of the pictures' bytes in the schema."""
    kind = schema.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return f"{column}.bytes"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return column
    raise UsageError(f"{where}: column {column!r} holds {kind}, not image files; name another with [image=COLUMN].")


def _rows(
    found: DataSet, folder: Path, name: str, columns: Mapping[str, str]
) -> Iterator[tuple[str, int, str | None, Mapping[str, str | None]]]:
    """File, row, file name of the picture, and the cells, of every row of one file."""
    image = columns["image"]
    told = {role: column for role, column in columns.items() if role != "image"}
    with opened(folder / name) as parquet:
        schema = parquet.schema_arrow
        if absent := sorted(set(columns.values()).difference(schema.names)):
            raise UsageError(f"{found}, {name}: no column {absent[0]!r}; it has {', '.join(schema.names)}.")
        kind, labels = schema.field(image).type, _labels(schema)
        kept = [f"{image}.path"] if pa.types.is_struct(kind) and kind.get_field_index("path") >= 0 else []
        # Without a column to read there are still rows.
        asked = [*told.values(), *kept]
        batches = parquet.iter_batches(columns=asked) if asked else ()
        read = chain.from_iterable(batch.to_pylist() for batch in batches)
        for row, record in enumerate(read if asked else ({} for _ in range(parquet.metadata.num_rows))):
            where = f"{found}, {name}, row {row}"
            cells = {
                role: cell_text(f"{where}: {column}", _named(record.get(column), labels.get(column)))
                for role, column in told.items()
            }
            yield name, row, (record.get(image) or {}).get("path"), cells


def _labels(schema: pa.Schema) -> Mapping[str, Sequence[str]]:
    """Column -> the names that its whole numbers stand for, where the writer has left them in the schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {column: about["names"] for column, about in features.items() if isinstance(about.get("names"), list)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _named(cell: Any, labels: Sequence[str] | None) -> Any:
    known = labels is not None and isinstance(cell, int) and 0 <= cell < len(labels)
    return labels[cell] if known and labels is not None else cell
