"""The evidence table: validated rows in key order, looked up by what was scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from aes_audit.errors import InvalidEvidence
from aes_audit.evidence.coding import coded, decoded, encoded, folded, joined, same
from aes_audit.evidence.columns import RowColumns
from aes_audit.evidence.faults import Origin
from aes_audit.evidence.parquet import write_parquet
from aes_audit.evidence.schema import KEY, SELECTED, Row
from aes_audit.evidence.selection import flags, selected_dimensions
from aes_audit.evidence.validation import refuse_contradictions, validated

__all__ = ["Column", "Evidence"]

_GROUP = ("model", "set", "scorer", "image", "prompt")


class Column(NamedTuple):
    """One score of every item that has a row for it."""

    items: tuple[str, ...]
    """Sorted."""
    values: npt.NDArray[np.float64]
    """In the scorer's unit, one per item; a row with an error is NaN. Not to be written to."""


class Evidence:
    """A validated table of scores; immutable, equal to another when the contract's columns hold the same rows.

    The table is in key order, whatever the order of the rows it was made from.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        """Wrap `frame`, whose rows are trusted: make one with `Evidence.from_rows` or `read_evidence`."""
        frame = pd.DataFrame({name: encoded(column) for name, column in frame.items()}, copy=False)
        key = folded([coded(frame[name]) for name in KEY])
        if np.any(key[1:] < key[:-1]):
            frame = frame.take(np.argsort(key, kind="stable"))
        self._frame = frame.reset_index(drop=True)

    @classmethod
    def from_rows(cls, rows: Iterable[Row | Mapping[str, Any]], source: str = "rows") -> Evidence:
        """Build a table from rows; mappings may leave out null columns and may hold extra ones.

        Raises InvalidEvidence, naming `source`, on the first row that breaks the contract.
        """
        columns = RowColumns()
        columns.extend(rows)
        return cls.from_columns(columns, source)

    @classmethod
    def from_columns(cls, columns: RowColumns, source: str = "rows") -> Evidence:
        """The same of rows that were taken over already; uses `columns` up."""
        return cls(validated(columns.frame(), source))

    @classmethod
    def concat(cls, parts: Iterable[Evidence]) -> Evidence:
        """All rows of several tables; extra columns that a part lacks are null there.

        Raises InvalidEvidence when a key occurs in two parts or there is no part at all.
        """
        frames = [part._frame for part in parts]
        if not frames:
            raise InvalidEvidence("no evidence: there is no table to put together.")
        frame = joined(frames)
        names = [f"table {number}" for number in range(1, len(frames) + 1)]
        refuse_contradictions(frame, Origin(names, list(map(len, frames))))
        return cls(frame)

    @property
    def frame(self) -> pd.DataFrame:
        """All columns, extras included, in key order, made anew: changing it leaves the table alone."""
        return pd.DataFrame({name: decoded(column) for name, column in self._frame.items()}, copy=False)

    def rows(self, model: str, set: str, columns: Sequence[str]) -> pd.DataFrame:
        """These columns of the rows of one generator and set, in key order; those that the table lacks are left out.

        Texts come as categoricals, as the table keeps them: a whole table of them takes a tenth of `frame`.
        """
        chosen = (self._frame["model"] == model) & (self._frame["set"] == set)
        return self._frame.loc[chosen, [name for name in columns if name in self._frame]]

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names of the generators, sorted."""
        return coded(self._frame["model"]).labels

    def scorers(self, model: str, set: str) -> tuple[str, ...]:
        """Names of the scorers with rows for this generator and set, sorted."""
        return self._scorers.get((model, set), ())

    def items(self, model: str, set: str) -> tuple[str, ...]:
        """Every item mentioned for this generator and set, sorted; error rows count."""
        return self._items.get((model, set), ())

    def has(self, model: str, set: str, scorer: str) -> bool:
        """Whether there is any row, error or not."""
        return scorer in self.scorers(model, set)

    def values(self, model: str, set: str, scorer: str, image: str, prompt: str | None) -> pd.Series[float]:
        """Scores by item (sorted), in the scorer's unit, one per row; a row with an error is NaN.

        `prompt` None means the rows without a text. Items without a row are not in the index.
        """
        items, values = self.column(model, set, scorer, image, prompt)
        index = pd.Index(items, name="item", dtype="str")
        return pd.Series(values, index=index, name=scorer, dtype="float64", copy=True)

    def column(self, model: str, set: str, scorer: str, image: str, prompt: str | None) -> Column:
        """The same as plain items and values, looked up once: several measurements read one column."""
        key = (model, set, scorer, image, prompt)
        if key not in self._columns:
            group = self._groups.get(key, slice(0, 0))
            items, values = self._grouped
            # Most columns have all items of their set, which is one tuple then.
            every = self.items(model, set)
            here = every if len(every) == group.stop - group.start else tuple(items[group])
            self._columns[key] = Column(here, values[group])
        return self._columns[key]

    def selected(self, model: str, set: str) -> dict[str, frozenset[str]] | None:
        """The dimensions that each item's prompt asked for; items for which that is unknown are left out.

        From the extra column `selected` where the table has it; otherwise an item judged in fewer than all eleven
        dimensions has exactly those, and one judged in all has an unknown selection. None when no item's is known.
        """
        if (model, set) not in self._scorers:
            return None
        return selected_dimensions(self.rows(model, set, ("item", "scorer", SELECTED)))

    def to_parquet(self, path: str | PathLike[str]) -> None:
        """Write the table; reading it back gives an equal one."""
        write_parquet(self._frame, path)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._frame)

    def __eq__(self, other: object) -> bool:
        """Same rows in the contract's columns and the same selections; extra columns do not matter."""
        if not isinstance(other, Evidence):
            return NotImplemented
        one, two = self._frame, other._frame
        return (
            np.array_equal(one["value"], two["value"], equal_nan=True)
            and all(same(coded(one[name]), coded(two[name])) for name in (*KEY, "error"))
            and np.array_equal(flags(one), flags(two))
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Evidence({len(self)} rows of {', '.join(self.models)})"

    @cached_property
    def _columns(self) -> dict[tuple[str | None, ...], Column]:
        return {}

    @cached_property
    def _grouped(self) -> tuple[pd.Categorical, npt.NDArray[np.float64]]:
        order = np.argsort(folded([coded(self._frame[name]) for name in (*_GROUP, "item")]), kind="stable")
        values = self._frame["value"].to_numpy()[order]
        values.flags.writeable = False
        return self._frame["item"].array.take(order), values

    @cached_property
    def _groups(self) -> dict[tuple[str | None, ...], slice]:
        columns = [coded(self._frame[name]) for name in _GROUP]
        _, first, counts = np.unique(folded(columns), return_index=True, return_counts=True)
        stops = np.cumsum(counts)
        names = (tuple(column.at_or_none(row) for column in columns) for row in first)
        return {name: slice(stop - count, stop) for name, stop, count in zip(names, stops, counts, strict=True)}

    @cached_property
    def _scorers(self) -> dict[tuple[str, str], tuple[str, ...]]:
        return self._labels_within("scorer")

    @cached_property
    def _items(self) -> dict[tuple[str, str], tuple[str, ...]]:
        return self._labels_within("item")

    def _labels_within(self, name: str) -> dict[tuple[str, str], tuple[str, ...]]:
        columns = [coded(self._frame[column]) for column in ("model", "set", name)]
        _, first = np.unique(folded(columns), return_index=True)
        found: dict[tuple[str, str], list[str]] = {}
        for row in first:
            model, set_, label = (column.at(row) for column in columns)
            found.setdefault((model, set_), []).append(label)
        return {place: tuple(labels) for place, labels in found.items()}
