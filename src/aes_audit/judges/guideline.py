"""What a dimension's classes mean, as a judge is told: the guideline, and the question that is made of it.

The descriptions that ship are our own. The frame around them is that of the published judge, which was trained on it.
Source: PROTOCOL sections 2 (levels, classes) and 5 ("Judge J", query).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aes_audit.errors import UnknownName, UsageError
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["GUIDELINE_KEYS", "Guideline", "Level", "note_guideline", "question", "rating_class", "trained_guideline"]

GUIDELINE_KEYS: tuple[str, ...] = (
    *DIMENSIONS,
    "symmetry",
    "lighting aesthetic",
    "body",
    "face",
    "hands",
    "safety",
    "unsafe type",
)
"""All 18 dimensions of the guideline: the 11 that prompts may select, then the others."""

_SHIPPED = Path(__file__).with_name("guideline.toml")
_NOTE = "guideline.json"
_COLUMNS = ("Dimension", "Score", "Option", "Description")
_KEY = re.compile(r"\((.*?)\)")


def rating_class(rating: int) -> int:
    """The class of a level or of a person's rating on its scale: sign + 1, so 0, 1 or 2."""
    return (rating > 0) - (rating < 0) + 1


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a dimension."""

    rating: int
    """Its number in the VisionReward annotations, -4 to 3."""
    option: str
    """Its name."""
    description: str
    """What it means."""


@dataclass(frozen=True)
class Guideline:
    """What the levels of every dimension mean."""

    name: str
    """`shipped`, or the name of the file it was read from."""
    levels: Mapping[str, tuple[Level, ...]]
    """Dimension -> its levels, the highest first."""

    @classmethod
    def read(cls, path: Path | None = None) -> Guideline:
        """The guideline that ships, or a file: TOML of the same form, or CSV as the authors of the paper publish it.

        The CSV has the columns Dimension, Score, Option and Description; a dimension is named once, in its first row,
        with its key in parentheses. Raises UsageError naming the file and what is wrong with it.
        """
        path = path or _SHIPPED
        try:
            text = path.read_text(encoding="utf-8-sig")
            tables = dict(_csv_tables(text) if path.suffix.lower() == ".csv" else _toml_tables(text))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error, ValueError) as error:
            raise UsageError(f"{path}: the guideline cannot be read: {str(error).rstrip('.')}.") from error
        if not tables:
            raise UsageError(f"{path}: the guideline holds no dimension; the shipped one is at {_SHIPPED}.")
        return cls("shipped" if path == _SHIPPED else path.name, tables)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all questions that it makes: equal exactly when every question is."""
        asked = {dimension: question(dimension, self) for dimension in self.levels}
        return hashlib.sha256(json.dumps(asked, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    @property
    def identity(self) -> Mapping[str, Any]:
        """What goes into keys and provenance: what is asked, and not what the file is called."""
        return {"sha256": self.digest}


def question(dimension: str, guideline: Guideline) -> str:
    """What a judge is asked about an image: to rate one dimension by its guideline, with a single number.

    Levels are given as name, class and description, in the guideline's order, the way Python prints a mapping.
    Raises UnknownName for a dimension that the guideline does not have. Source: PROTOCOL section 5, "Query".
    """
    if dimension not in guideline.levels:
        raise UnknownName("dimension in the guideline", dimension, guideline.levels)
    meaning = {
        f"{level.option}: {rating_class(level.rating)}": f": {level.description}"
        for level in guideline.levels[dimension]
    }
    return (
        f"Please rate this image for its {dimension} quality. Use this guideline {meaning}. Response a single number."
    )


def note_guideline(folder: Path, guideline: Guideline) -> None:
    """Write beside weights or an adapter which guideline they were trained on, for `trained_guideline`."""
    (folder / _NOTE).write_text(json.dumps(guideline.identity) + "\n", encoding="utf-8")


def trained_guideline(folder: Path) -> str | None:
    """The digest of the guideline that the weights in `folder` were trained on; None where nobody wrote it down."""
    try:
        return str(json.loads((folder / _NOTE).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _toml_tables(text: str) -> Iterator[tuple[str, tuple[Level, ...]]]:
    for dimension, table in tomllib.loads(text).items():
        found = table.get("levels") if isinstance(table, dict) else None
        if not isinstance(found, list) or not all(isinstance(row, list) and len(row) == 3 for row in found):
            raise ValueError(f"table {dimension!r} needs levels = [[number, name, description], ...], found {found!r}")
        yield dimension, _checked(dimension, [tuple(row) for row in found])


def _csv_tables(text: str) -> Iterator[tuple[str, tuple[Level, ...]]]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    names = [str(name).strip() for name in rows.fieldnames or ()]
    if missing := [column for column in _COLUMNS if column not in names]:
        raise ValueError(f"column {missing[0]!r} is missing; it needs {', '.join(_COLUMNS)}")
    rows.fieldnames = names
    found: dict[str, list[tuple[Any, Any, Any]]] = {}
    dimension = None
    for row in rows:
        if title := (row["Dimension"] or "").strip():
            key = _KEY.search(title)
            dimension = key[1] if key else title
        if dimension is None:
            raise ValueError("its first row names no dimension")
        number = (row["Score"] or "").strip()
        rating = int(number) if re.fullmatch(r"-?\d+", number) else number
        found.setdefault(dimension, []).append((rating, row["Option"], (row["Description"] or "").strip()))
    for dimension, levels in found.items():
        yield dimension, _checked(dimension, levels)


def _checked(dimension: str, rows: list[tuple[Any, ...]]) -> tuple[Level, ...]:
    for rating, option, description in rows:
        if type(rating) is not int or not _said(option) or not _said(description):
            raise ValueError(
                f"{dimension!r} has a level that is no number, name and description: {rating!r}, {option!r}"
            )
    ratings = [rating for rating, _, _ in rows]
    if len(rows) < 2 or ratings != sorted(set(ratings), reverse=True):
        raise ValueError(f"the levels of {dimension!r} must be two or more, the highest first, found {ratings}")
    if len({option for _, option, _ in rows}) < len(rows):
        raise ValueError(f"two levels of {dimension!r} have one name")
    return tuple(Level(*row) for row in rows)


def _said(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())
