"""Files of answers, read strictly and unblinded: one file per rater, every row is one answer or an empty cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aes_audit.errors import UsageError
from aes_audit.ratings.folders import COLUMNS
from aes_audit.ratings.questions import CLASSES, SIDES
from aes_audit.ratings.sheet import Page, Sheet
from aes_audit.ratings.units import PREFERENCE

__all__ = ["Rating", "read_answers"]

_MIDDLE = 1
_WIDE = "wide"


@dataclass(frozen=True, slots=True)
class Rating:
    """What one rater said about one unit."""

    rater: str
    """As the key calls the rater."""
    unit: int
    """Which unit of the sheet."""
    question: str
    """`preference` or a dimension."""
    level: int
    """0, 1 or 2: the original, a tie, the wide picture; or the class of the dimension."""
    left: bool | None = None
    """Whether the picture on the left was chosen; None for a tie and for a dimension."""


def read_answers(paths: Sequence[Path], sheet: Sheet) -> list[Rating]:
    """All answers of these files, unblinded with the sheet; cells left empty are no answers.

    Raises UsageError in one sentence with file and row for a file of another sheet, an unknown rater, page, question
    or answer, a question answered twice, and a rater with two files.
    """
    found: list[Rating] = []
    files: dict[str, Path] = {}
    for path in paths:
        rows = list(_rows(path))
        raters = dict.fromkeys(rater for _, (_, rater, _, _, _) in rows)
        if len(raters) != 1:
            raise UsageError(f"{str(path)!r} holds answers of {len(raters)} raters: it must be the file of one.")
        rater = next(iter(raters))
        if rater in files:
            raise UsageError(
                f"{str(path)!r} is a second file of {rater}, after {str(files[rater])!r}: give one of them."
            )
        found += _unblinded(path, rows, sheet)
        files[rater] = path
    return found


def _unblinded(path: Path, rows: Sequence[tuple[int, Sequence[str]]], sheet: Sheet) -> Iterator[Rating]:
    seen: dict[tuple[str, str], int] = {}
    for line, (sheet_id, rater, number, question, answer) in rows:
        where = f"{str(path)!r}, row {line}"
        if sheet_id != sheet.id:
            raise UsageError(f"{where}: sheet {sheet_id!r} is not the sheet of the key, which is {sheet.id!r}.")
        if rater not in sheet.raters:
            raise UsageError(f"{where}: the key has no rater {rater!r}; its raters are {_few(list(sheet.raters))}.")
        pages = sheet.raters[rater]
        if not number.isascii() or not number.isdecimal() or not 1 <= int(number) <= len(pages):
            raise UsageError(f"{where}: page {number!r} is none of the {len(pages)} pages of {rater}.")
        if question not in sheet.questions:
            raise UsageError(f"{where}: question {question!r} was not asked; asked were {_few(sheet.questions)}.")
        first = seen.setdefault((str(int(number)), question), line)
        if first != line:
            raise UsageError(f"{where}: page {number} and question {question!r} stand in row {first} already.")
        if answer:
            yield _rating(where, rater, pages[int(number) - 1], question, answer)


def _rating(where: str, rater: str, page: Page, question: str, answer: str) -> Rating:
    allowed = SIDES if question == PREFERENCE else CLASSES
    if answer not in allowed:
        raise UsageError(f"{where}: {answer!r} is no answer; give {', '.join(allowed)}, or leave the cell empty.")
    if question != PREFERENCE:
        return Rating(rater, page.unit, question, int(answer))
    if answer == SIDES[1]:
        return Rating(rater, page.unit, question, _MIDDLE)
    left = answer == SIDES[0]
    return Rating(rater, page.unit, question, 2 if (page.left == _WIDE) == left else 0, left)


def _rows(path: Path) -> Iterator[tuple[int, Sequence[str]]]:
    """Number of the row, counted from 1 with the header as a spreadsheet does, and the cells of COLUMNS."""
    cells = _cells(path)
    if not cells:
        raise UsageError(f"{str(path)!r} is empty: it needs the columns {', '.join(COLUMNS)}.")
    header = [name.strip().lower() for name in cells[0][1]]
    for name in COLUMNS:
        if header.count(name) != 1:
            raise UsageError(f"{str(path)!r} has {header.count(name) or 'no'} column {name!r}: it needs one of each.")
    if len(cells) == 1:
        raise UsageError(f"{str(path)!r} has a header and no answers.")
    places = [header.index(name) for name in COLUMNS]
    for row, found in cells[1:]:
        if len(found) != len(header):
            raise UsageError(f"{str(path)!r}, row {row}: {len(found)} cells where the header has {len(header)}.")
        sheet, rater, page, question, answer = (found[place].strip() for place in places)
        yield row, (sheet, rater, page, question, answer.lower())


def _cells(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(path)!r} is not UTF-8 at byte {error.start}: save it as CSV in UTF-8.") from error
    header = text.partition("\n")[0]
    # Spreadsheets of half the world part cells by semicolons.
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        return [(row, cells) for row, cells in enumerate(reader, 1) if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise UsageError(f"{str(path)!r} is no readable CSV near line {reader.line_num}: {error}.") from error


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{names[0]} to {names[-1]}"
