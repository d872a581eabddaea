"""Rows of evidence while they come: kept column by column, in few bytes each, and never as rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count, islice
from types import NoneType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from aes_audit.evidence.coding import categories, smallest
from aes_audit.evidence.schema import COLUMNS, Row

__all__ = ["RowColumns"]

_AT_ONCE = 1024
"""Rows that are there as rows."""

_Way = Literal["codes", "floats", "objects"]
_REPEATED = ({str}, {bool}, {int})


class RowColumns:
    """Rows of any number, which are not checked yet."""

    def __init__(self) -> None:
        """No row, and the columns of the contract."""
        self._cells = {name: _Cells(0, numbers=name == "value") for name in COLUMNS}
        self._count = 0

    def extend(self, rows: Iterable[Row | Mapping[str, Any]]) -> None:
        """Take rows over; mappings may leave out null columns and may hold extra ones."""
        coming = iter(rows)
        while chunk := [row._asdict() if isinstance(row, Row) else row for row in islice(coming, _AT_ONCE)]:
            for name in dict.fromkeys(chain.from_iterable(chunk)):
                if name not in self._cells:
                    self._cells[name] = _Cells(self._count)
            for name, cells in self._cells.items():
                cells.extend([row.get(name) for row in chunk])
            self._count += len(chunk)

    def frame(self) -> pd.DataFrame:
        """The table; what repeats is a category, what is wrong is there as it came. Ends the taking over of rows."""
        found = {}
        while self._cells:
            name = next(iter(self._cells))
            found[name] = self._cells.pop(name).series(guess=name not in COLUMNS)
        return pd.DataFrame(found, copy=False)


class _Cells:
    """One column: texts, flags and whole numbers as codes, floats as floats, and as objects where types are mixed."""

    def __init__(self, absent: int, *, numbers: bool = False) -> None:
        self._numbers = numbers
        self._kinds: set[type] = set()
        self._way: _Way = "floats" if numbers else "codes"
        self._known: defaultdict[Any, int] = defaultdict(count().__next__)
        self._parts: list[npt.NDArray[Any]] = []
        if absent:
            self._parts.append(self._packed([None] * absent))

    def extend(self, cells: Sequence[Any]) -> None:
        """Add cells; None is null."""
        self._kinds |= set(map(type, cells)) - {NoneType}
        self._turn(self._way_of(cells))
        self._parts.append(self._packed(cells))

    def series(self, *, guess: bool) -> pd.Series:
        """The column; mixed objects get the dtype that pandas sees in them where it may guess."""
        cells = np.concatenate(self._parts) if self._parts else np.empty(0, dtype=object)
        self._parts = []
        if self._way == "codes":
            labels = [label for label in self._known if label is not None]
            places = {label: place for place, label in enumerate(labels)}
            recoded = np.array([places.get(label, -1) for label in self._known], dtype=smallest(len(labels)))
            return pd.Series(categories(recoded[cells] if len(cells) else np.empty(0, dtype=np.int8), labels))
        return pd.Series(cells.tolist() if guess and self._way == "objects" else cells)

    def _way_of(self, cells: Sequence[Any]) -> _Way:
        if self._way == "objects":
            return "objects"
        if self._kinds in ({float}, set()) and (self._numbers or self._kinds):
            # A NaN that was given is not the same as no number.
            nans = sum(cell != cell for cell in cells)
            return "objects" if nans else "floats"
        return "codes" if not self._numbers and (not self._kinds or self._kinds in _REPEATED) else "objects"

    def _turn(self, way: _Way) -> None:
        if way != self._way:
            before = [self._unpacked(part) for part in self._parts]
            self._way = way
            self._parts = [self._packed(cells) for cells in before]

    def _packed(self, cells: Sequence[Any]) -> npt.NDArray[Any]:
        if self._way == "floats":
            return np.array(cells, dtype=np.float64)
        if self._way == "codes":
            codes = np.fromiter(map(self._known.__getitem__, cells), dtype=np.int64, count=len(cells))
            return codes.astype(smallest(len(self._known)))
        packed = np.empty(len(cells), dtype=object)
        packed[:] = cells
        return packed

    def _unpacked(self, part: npt.NDArray[Any]) -> list[Any]:
        if self._way == "codes":
            labels = list(self._known)
            return [labels[code] for code in part]
        return [None if cell != cell else cell for cell in part.tolist()]
