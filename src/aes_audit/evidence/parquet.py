"""Parquet files of evidence, with the distinctions that pandas would blur: NaN and null, text and numbers."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aes_audit.errors import InvalidEvidence
from aes_audit.evidence.delimited import unique_names
from aes_audit.evidence.faults import first_line, refuse
from aes_audit.evidence.schema import COLUMNS
from aes_audit.evidence.validation import refuse_missing_columns

__all__ = ["read_parquet", "repeated", "write_parquet"]

_MOST_ROWS = 50_000_000
"""A few bytes of a hostile file may claim billions of rows; a real table has some hundred thousand."""


def read_parquet(path: Path, source: str) -> pd.DataFrame:
    """The table of a file, text as categories and values as float64; NaN is refused here, where it can be seen.

    Raises InvalidEvidence for a file that is no Parquet, lacks a column, or has columns of other types.
    """
    try:
        # Opened here: given a path, Arrow would take the names of the folders above for columns.
        with path.open("rb") as file, pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            _refuse_shape(parquet, source)
            table = parquet.read()
        table.validate(full=True)
        return _frame(table, source)
    except (pa.ArrowException, ValueError, OSError) as error:
        # Arrow's own complaints about the content are OSErrors too, without a number.
        if isinstance(error, OSError) and error.errno:
            raise
        raise InvalidEvidence(f"{source}: not a readable Parquet file ({first_line(error)}).") from error


def write_parquet(frame: pd.DataFrame, path: str | PathLike[str]) -> None:
    """Write an encoded frame, texts as plain texts; a column of mixed types becomes text."""
    columns = {str(name): _arrow(column) for name, column in frame.items()}
    # The schema that Arrow would add says that texts are codes here, which is nobody else's concern.
    pq.write_table(pa.table(columns), fspath(path), store_schema=False)


def _arrow(column: pd.Series) -> pa.Array:
    if not isinstance(column.dtype, pd.CategoricalDtype):
        if column.dtype == object and pd.api.types.infer_dtype(column).startswith("mixed"):
            # Tables of several files may disagree on the type of an extra column; Parquet has one type per column.
            column = column.map(str, na_action="ignore")
        return pa.Array.from_pandas(column)
    labels = column.dtype.categories
    texts = isinstance(labels.dtype, pd.StringDtype) or not len(labels)
    codes = column.cat.codes.to_numpy()
    cells = pa.DictionaryArray.from_arrays(
        pa.array(codes, mask=codes < 0), pa.array(labels.tolist(), pa.string() if texts else None)
    )
    return cells if texts else cells.dictionary_decode()


def _refuse_shape(parquet: pq.ParquetFile, source: str) -> None:
    refuse_missing_columns(parquet.schema_arrow.names, source)
    if parquet.metadata.num_rows > _MOST_ROWS:
        raise InvalidEvidence(f"{source}: {parquet.metadata.num_rows} rows; more than {_MOST_ROWS} are not read.")


def _frame(table: pa.Table, source: str) -> pd.DataFrame:
    for name in COLUMNS:
        column = table.column(name)
        column = _value(column, source) if name == "value" else _text(column, name, source)
        table = table.set_column(table.column_names.index(name), name, column)
    table = table.rename_columns(unique_names(table.column_names))
    for place, name in enumerate(table.column_names):
        if name not in COLUMNS:
            table = table.set_column(place, name, repeated(table.column(place)))
    # Without the file's own remarks for pandas: they could move a column into the index.
    frame: pd.DataFrame = table.replace_schema_metadata().to_pandas()
    nan = pc.is_nan(table.column("value")).index(True).as_py()
    if nan >= 0:
        refuse(source, "value", "NaN is not a score; leave it null and say why in `error`", frame, nan)
    return frame


def _text(column: pa.ChunkedArray, name: str, source: str) -> pa.ChunkedArray:
    if _is_text(_held(column)):
        return repeated(column)
    if column.null_count < len(column):
        refuse(source, name, f"holds {column.type}, not text")
    return pa.chunked_array([pa.nulls(len(column), pa.large_string())])


def _value(column: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    held = _held(column)
    if pa.types.is_floating(held) or pa.types.is_integer(held):
        return column.cast(held).cast(pa.float64(), safe=False)
    if column.null_count < len(column):
        refuse(source, "value", f"holds {'text' if _is_text(held) else held}, not numbers; store it as float64")
    return pa.chunked_array([pa.nulls(len(column), pa.float64())])


def repeated(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column with every text once and a number per row; any other type as plain cells."""
    held = _held(column)
    if _is_text(held):
        return column.cast(pa.large_string()).dictionary_encode()
    return column if held == column.type else column.cast(held)


def _held(column: pa.ChunkedArray) -> pa.DataType:
    return column.type.value_type if pa.types.is_dictionary(column.type) else column.type


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
