"""Which column of somebody else's data set says what about a work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date

from aes_audit.errors import UsageError

__all__ = ["SYNONYMS", "cell_text", "chosen_columns"]

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "file_name", "img", "picture", "painting", "artwork"),
    "caption": ("caption", "factual_caption", "text", "description"),
    "artist": ("artist", "artist_name", "painter", "creator", "author"),
    "style": ("style", "art_style", "movement", "art_movement", "school", "period"),
    "year": ("year", "date", "creation_year", "completion_year"),
}
"""What we call it -> what data sets call it, the likeliest first; upper and lower case are one."""


def chosen_columns(where: str, there: Sequence[str], said: Mapping[str, str]) -> Mapping[str, str]:
    """What we call it -> its column, for what the table has; `said` names columns outright.

    Raises UsageError where a named column is not there, or none looks like an image.
    """
    known = {name.lower(): name for name in reversed(there)}
    found = {}
    for role, synonyms in SYNONYMS.items():
        if role in said and said[role] not in there:
            raise UsageError(f"{where}: no column {said[role]!r}; it has {', '.join(there)}.")
        column = said.get(role) or next((known[name] for name in synonyms if name in known), None)
        if column is not None:
            found[role] = column
    if "image" not in found:
        raise UsageError(f"{where}: no column looks like an image; it has {', '.join(there)}; say [image=COLUMN].")
    return found


def cell_text(where: str, cell: object) -> str | None:
    """A cell as text, white space made single, None for an empty one; numbers name artists and years in some tables.

    Raises UsageError for a cell that is neither.
    """
    if cell is None or isinstance(cell, str):
        return " ".join(cell.split()) or None if cell else None
    if isinstance(cell, date):
        return str(cell.year)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise UsageError(f"{where} = {cell!r} is neither text nor a number.")
    if not math.isfinite(cell):
        return None
    return f"{cell:.0f}" if cell == int(cell) else str(cell)
