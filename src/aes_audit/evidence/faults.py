"""Faults of evidence, said in one line: the file, the column, what is wrong, the first row and key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NoReturn

import pandas as pd

from aes_audit.errors import InvalidEvidence
from aes_audit.evidence.schema import KEY

__all__ = ["Origin", "first_line", "key_of", "refuse", "shortened", "shown"]

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the rows of a table come from: `lengths[i]` rows of `names[i]`, one after the other."""

    names: Sequence[str]
    """Files, or whatever the rows were made from."""
    lengths: Sequence[int]
    """How many rows each of them gave."""

    def place(self, row: int) -> tuple[str, int]:
        """The name of a row's source and the row's number in it, counted from 1 without the header."""
        for name, length, end in zip(self.names, self.lengths, accumulate(self.lengths), strict=True):
            if row < end:
                return name, row - (end - length) + 1
        raise IndexError(row)


def refuse(
    origin: Origin | str, column: str, complaint: str, frame: pd.DataFrame | None = None, row: int = 0
) -> NoReturn:
    """Raise InvalidEvidence for a column; with `frame`, whose rows are those of `origin`, name the row and key too."""
    source, number = (origin, row + 1) if isinstance(origin, str) else origin.place(row)
    where = "" if frame is None else f" (row {number}: {key_of(frame, row)})"
    raise InvalidEvidence(f"{source}: column '{column}': {complaint}{where}.")


def key_of(frame: pd.DataFrame, row: int) -> str:
    """The key of a row, for a message."""
    return ", ".join(f"{name}={shown(frame[name].iloc[row])}" for name in KEY)


def shown(cell: object) -> str:
    """A cell for a message: quoted, without control characters, not too long; null for what is absent."""
    absent = cell is None or cell is pd.NA or (isinstance(cell, float) and cell != cell)
    return "null" if absent else shortened(repr(cell), _LONGEST)


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and three dots."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def first_line(error: Exception) -> str:
    """What another library complained of, short enough for a line."""
    return shortened(str(error).strip().partition("\n")[0].rstrip("."), 200)
