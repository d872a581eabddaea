"""CSV files of evidence: every cell is text until its column says otherwise, and an empty cell is null."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from aes_audit.errors import InvalidEvidence
from aes_audit.evidence.faults import first_line, refuse, shown
from aes_audit.evidence.validation import refuse_missing_columns

__all__ = ["read_csv", "unique_names"]

_BLOCK = 32 * 2**20
"""Bytes parsed at a time; also the longest row."""

_NUMBER = r"^[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*$"


def read_csv(path: Path, source: str) -> pd.DataFrame:
    """The table of a UTF-8 file with a header line; a byte-order mark, CRLF and quoted line breaks are fine.

    All columns but `value` are text, so that the item 007 keeps its zeros and the item NA its name. Raises
    InvalidEvidence for other encodings, rows that are too short or too long, and values that are no decimal numbers.
    """
    content = path.read_bytes()
    names = _header(content, source)
    refuse_missing_columns(names, source)
    table = _table(content, names, source)
    coded = pa.table([column.dictionary_encode() for column in table.columns], names=table.column_names)
    frame: pd.DataFrame = coded.to_pandas()
    return frame.assign(value=_values(table.column("value"), frame, source))


def _header(content: bytes, source: str) -> list[str]:
    try:
        lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
        names = next((cells for cells in csv.reader(lines, strict=True) if cells), None)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidEvidence(f"{source}: not a UTF-8 CSV file ({first_line(error)}).") from error
    if names is None:
        raise InvalidEvidence(f"{source}: the file is empty.")
    return names


def _table(content: bytes, names: list[str], source: str) -> pa.Table:
    if content.count(b'"') % 2:
        # Arrow would take everything after an unclosed quote for one long text, and lose the rows in it.
        raise InvalidEvidence(f"{source}: a quote is opened and never closed; the file may be cut off.")
    unique = unique_names(names)
    try:
        rows = pyarrow.csv.read_csv(
            io.BytesIO(content),
            # One thread names the row it stumbles over.
            read_options=pyarrow.csv.ReadOptions(column_names=unique, block_size=_BLOCK, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(unique, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowException as error:
        raise InvalidEvidence(f"{source}: not a readable CSV file ({first_line(error)}).") from error
    return rows.slice(1)


def unique_names(names: list[str]) -> list[str]:
    """Extra columns may share a name (a spreadsheet exports several empty ones); the later ones get a number."""
    found: list[str] = []
    for name in names:
        number, unique = 1, name
        while unique in found:
            number, unique = number + 1, f"{name}.{number}"
        found.append(unique)
    return found


def _values(column: pa.ChunkedArray, frame: pd.DataFrame, source: str) -> pd.Series[float]:
    wrong = pc.match_substring_regex(column, _NUMBER).index(False).as_py()
    if wrong >= 0:
        refuse(source, "value", f"{shown(column[wrong].as_py())} is not a decimal number", frame, wrong)
    values: pd.Series[float] = pc.utf8_trim_whitespace(column).cast(pa.float64()).to_pandas()
    return values
