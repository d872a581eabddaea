"""The folders that raters get, one each: a page or a table, and the pictures of their pages, named by place alone."""

from __future__ import annotations

import csv
import io
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aes_audit.errors import UsageError
from aes_audit.ratings.page import html_page
from aes_audit.ratings.pictures import Find, shown_png
from aes_audit.ratings.sheet import Page, Sheet
from aes_audit.ratings.units import PREFERENCE

__all__ = ["COLUMNS", "FORMS", "Wording", "page_data", "write_folders"]

FORMS = ("web", "csv")
COLUMNS = ("sheet", "rater", "page", "question", "answer")
"""Columns of a file of answers; a table to fill in has the text and the pictures besides."""

Wording = Mapping[str, Any]
"""`title`, `instructions` (paragraphs) and `questions` (as `questions_of` gives them)."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_folders(output: Path, sheet: Sheet, wording: Wording, find: Find, *, form: str, side: int) -> None:
    """Write `output` with a folder per rater, whole or not at all. `side` is the longest side of a picture in pixels.

    Raises UsageError when `output` is there already or a picture cannot be found or read.
    """
    with _whole(output) as folder:
        pool = folder / ".pool"
        pool.mkdir()
        for number, unit in enumerate(sheet.units):
            for label in unit.images:
                named = f"picture {label!r} of item {unit.source!r} of {unit.model}"
                (pool / f"{number}-{label}.png").write_bytes(shown_png(find(unit, label), side, named))
        for rater, pages in sheet.raters.items():
            _write_rater(folder / rater, pool, sheet, rater, pages, wording, form)
        shutil.rmtree(pool)


def page_data(sheet: Sheet, rater: str, wording: Wording) -> dict[str, Any]:
    """What the page of a rater knows: places and texts, and nothing of models, items, labels or judges."""
    pages = [
        {
            "text": sheet.units[page.unit].text,
            "pictures": [{"file": file, "label": label} for label, file in _places(sheet, number, page)],
        }
        for number, page in enumerate(sheet.raters[rater], 1)
    ]
    noun = "Pair" if sheet.kind == PREFERENCE else "Picture"
    return {"sheet": sheet.id, "rater": rater, "noun": noun, **wording, "pages": pages}


def _write_rater(
    folder: Path, pool: Path, sheet: Sheet, rater: str, pages: Sequence[Page], wording: Wording, form: str
) -> None:
    (folder / "pictures").mkdir(parents=True)
    for number, page in enumerate(pages, 1):
        for label, (_, file) in zip(sheet.shown(page), _places(sheet, number, page), strict=True):
            shutil.copyfile(pool / f"{page.unit}-{label}.png", folder / file)
    if form == "web":
        (folder / "index.html").write_text(html_page(page_data(sheet, rater, wording)), encoding="utf-8")
        return
    # A byte-order mark, because spreadsheets guess another encoding without one.
    (folder / "sheet.csv").write_bytes(_csv(_table(sheet, rater, wording)).encode("utf-8-sig"))
    (folder / "instructions.txt").write_text("\n\n".join(_told(wording)) + "\n", encoding="utf-8")


def _places(sheet: Sheet, number: int, page: Page) -> Iterator[tuple[str, str]]:
    """What each picture of a page is called for a reader, and its file."""
    sides = ("left", "right") if sheet.kind == PREFERENCE else ("picture",)
    for side, _ in zip(sides, sheet.shown(page), strict=True):
        label = f"{side.capitalize()} picture" if len(sides) > 1 else "The picture"
        yield label, f"pictures/{number:02}-{side}.png"


def _table(sheet: Sheet, rater: str, wording: Wording) -> Iterator[list[str]]:
    sides = ["left", "right"] if sheet.kind == PREFERENCE else ["picture"]
    yield [*COLUMNS[:4], "text", *sides, COLUMNS[4]]
    for number, page in enumerate(sheet.raters[rater], 1):
        files = [file for _, file in _places(sheet, number, page)]
        text = _no_formula(sheet.units[page.unit].text or "")
        for question in wording["questions"]:
            yield [sheet.id, rater, str(number), question["key"], text, *files, ""]


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _no_formula(text: str) -> str:
    # A spreadsheet would compute a prompt that looks like a formula; texts come from anywhere.
    return f"'{text}" if text.startswith(_FORMULA) else text


def _told(wording: Wording) -> Iterator[str]:
    # What is said about keys and browsers is for the page.
    yield from (line for line in wording["instructions"] if not line.startswith("Keys: "))
    yield "Fill in the column `answer` of sheet.csv, save it as CSV and send it back. The answers are:"
    for question in wording["questions"]:
        choices = "; ".join(
            f"{choice['answer']} = {choice['label']}" + (f" ({choice['more']})" if "more" in choice else "")
            for choice in question["choices"]
        )
        yield f"{question['key']}: {question['label']} {choices}"


@contextmanager
def _whole(output: Path) -> Iterator[Path]:
    """A folder that gets its name once everything is in it."""
    if output.exists():
        raise UsageError(f"--output {str(output)!r} is there already: name a new folder.")
    if not output.parent.is_dir():
        raise UsageError(f"--output {str(output)!r}: the folder {str(output.parent)!r} does not exist: make it first.")
    part = output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.mkdir()
        yield part
        part.rename(output)
    except OSError as error:
        raise UsageError(f"--output {str(output)!r} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
