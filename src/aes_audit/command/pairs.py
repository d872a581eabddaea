"""Files of pairs: CSV with the columns `image` and `prompt`, and whatever else its owner keeps in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aes_audit.errors import UsageError

__all__ = ["IMAGE", "PROMPT", "PairsTable", "csv_text", "read_pairs"]

IMAGE, PROMPT = "image", "prompt"
"""The columns that must be there."""

_LONGEST = 2**24
"""Characters of the longest cell; Python's csv stops at 131,072 by itself."""


@dataclass(frozen=True, slots=True)
class PairsTable:
    """A header and its rows, every cell a text, in the order of the file."""

    columns: tuple[str, ...]
    """Names of the columns; `image` and `prompt` once each."""
    rows: tuple[tuple[str, ...], ...]
    """One cell per column."""
    folder: Path
    """What relative image paths refer to first."""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(image, prompt) of every row, as written; an empty prompt is the empty text."""
        image, prompt = self.columns.index(IMAGE), self.columns.index(PROMPT)
        return [(row[image], row[prompt]) for row in self.rows]

    def path(self, image: str) -> Path:
        """Where an image is: in the folder of the file of pairs, else relative to the working directory."""
        beside = self.folder / image
        return beside if beside.is_file() or not Path(image).is_file() else Path(image)


def read_pairs(file: Path) -> PairsTable:
    """Read UTF-8 CSV with a header; a byte-order mark, CRLF, quotes and line breaks in cells are fine, blank lines are
    no rows. Raises UsageError in one sentence."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{str(file)!r} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(file)!r} is not UTF-8 at byte {error.start}: save it as CSV in UTF-8.") from error
    numbered = _cells(text, file)
    if not numbered:
        raise UsageError(f"{str(file)!r} is empty: it needs the columns image and prompt.")
    columns = tuple(name.strip() for name in numbered[0][1])
    _refuse_columns(columns, file)
    for line, cells in numbered[1:]:
        if len(cells) != len(columns):
            wrong = f"{len(cells)} cells where the header has {len(columns)}"
            raise UsageError(f"{str(file)!r}: the row that ends in line {line} has {wrong}: quote commas in prompts.")
    if len(numbered) == 1:
        raise UsageError(f"{str(file)!r} has a header and no pairs: add a row per pair.")
    return PairsTable(columns, tuple(tuple(cells) for _, cells in numbered[1:]), file.parent)


def _cells(text: str, file: Path) -> list[tuple[int, list[str]]]:
    longest = csv.field_size_limit(_LONGEST)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise UsageError(f"{str(file)!r} is no readable CSV near line {reader.line_num}: {error}.") from error
    finally:
        csv.field_size_limit(longest)


def _refuse_columns(columns: Sequence[str], file: Path) -> None:
    for name in (IMAGE, PROMPT):
        if columns.count(name) != 1:
            has = "has no column" if name not in columns else "has more than one column"
            found = ", ".join(repr(column) for column in columns)
            raise UsageError(
                f"{str(file)!r} {has} {name!r}: it needs image and prompt, parted by commas; found {found}."
            )


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV that reads back cell for cell; lines end in a line feed."""
    # Python 3.11's writer leaves a lone carriage return unquoted, which would end the row for a reader.
    return "".join(",".join(map(_quoted, row)) + "\n" for row in rows)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(sign in cell for sign in ',"\r\n') else cell
