"""Which dimensions an item's prompt asked for, as far as the table tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from aes_audit.evidence.coding import Coded, coded
from aes_audit.evidence.schema import SELECTED
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["flags", "selected_dimensions"]

_JUDGE = "judge/"
_ALL = frozenset(f"{_JUDGE}{dimension}" for dimension in DIMENSIONS)
_TRUTHS = {"true": 1, "false": 0}
_UNKNOWN = -1


def flags(frame: pd.DataFrame) -> npt.NDArray[np.int8]:
    """The column `selected`: 1 yes, 0 no, -1 unknown; all unknown where there is none or it is no yes/no column.

    CSV has no booleans, so the texts true and false count, in any case. Rows of other scorers than judges are unknown.
    """
    column = frame.get(SELECTED)
    if column is None or pd.api.types.infer_dtype(column, skipna=True) not in ("categorical", "string", "boolean"):
        return np.full(len(frame), _UNKNOWN, dtype=np.int8)
    codes, labels = pd.factorize(column)
    # A null has the code -1, which is the last entry.
    meanings = np.array([*_meanings(list(labels)), _UNKNOWN], dtype=np.int8)
    return np.where(_judges(coded(frame["scorer"])), meanings[codes], np.int8(_UNKNOWN))


def selected_dimensions(frame: pd.DataFrame) -> dict[str, frozenset[str]] | None:
    """Selected dimensions by item for the rows of one generator and set; None when no item's are known.

    An item whose rows carry a flag has the flagged dimensions; an item without flags has exactly the judged ones,
    unless all of DIMENSIONS were judged: then nothing says which were asked for, and the item is left out.
    """
    items, scorers = coded(frame["item"]), coded(frame["scorer"])
    flag, is_judge = flags(frame), _judges(scorers)
    judged, flagged, has_flag = (
        _any(items, scorers, rows) for rows in (is_judge, flag == _TRUTHS["true"], flag != _UNKNOWN)
    )
    told = np.any(has_flag, axis=1)
    chosen = np.where(told[:, np.newaxis], flagged, judged)
    all_judged = judged[:, [label in _ALL for label in scorers.labels]].sum(axis=1) == len(_ALL)
    # Items of one selection share it: there are few, whatever the number of items.
    sets: dict[bytes, frozenset[str]] = {}
    found: dict[str, frozenset[str]] = {}
    for place in np.flatnonzero(judged.any(axis=1) & (told | ~all_judged)):
        of_item = chosen[place]
        names = (scorers.labels[index].removeprefix(_JUDGE) for index in np.flatnonzero(of_item))
        key = of_item.tobytes()
        if key not in sets:
            sets[key] = frozenset(names)
        found[items.labels[place]] = sets[key]
    return found or None


def _judges(scorers: Coded) -> npt.NDArray[np.bool_]:
    return np.array([label.startswith(_JUDGE) for label in scorers.labels], dtype=np.bool_)[scorers.codes]


def _any(items: Coded, scorers: Coded, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which item (row) and scorer (column) have any of these rows."""
    found = np.zeros((len(items.labels), len(scorers.labels)), dtype=np.bool_)
    found[items.codes[rows], scorers.codes[rows]] = True
    return found


def _meanings(labels: list[Any]) -> list[int]:
    """What each of a column's distinct cells says."""
    kind = pd.api.types.infer_dtype(labels, skipna=True)
    if kind == "string" and {label.lower() for label in labels} <= _TRUTHS.keys():
        return [_TRUTHS[label.lower()] for label in labels]
    return [int(label) if kind == "boolean" else _UNKNOWN for label in labels]
