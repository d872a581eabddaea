"""Checks of an evidence table: any fault in any row makes the whole table invalid.

Every check looks at whole columns; a row is visited only to describe the first one that is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from aes_audit.errors import InvalidEvidence
from aes_audit.evidence.coding import Coded, category, coded, folded
from aes_audit.evidence.faults import Origin, key_of, refuse, shortened, shown
from aes_audit.evidence.labels import misfit_of, range_of
from aes_audit.evidence.schema import COLUMNS, KEY

__all__ = ["refuse_contradictions", "refuse_missing_columns", "validated"]

_NULLABLE = ("prompt", "error")

Columns = dict[str, Coded]


def validated(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """The same table with the contract's texts as categories and float64 values, in the order given.

    `source` names the file in messages. Raises InvalidEvidence on the first fault found.
    """
    refuse_missing_columns(list(map(str, frame.columns)), source)
    if not len(frame):
        raise InvalidEvidence(f"{source}: the table has no rows.")
    frame = frame.reset_index(drop=True)
    columns = {name: _text(frame, name, source) for name in COLUMNS if name != "value"}
    texts = {name: category(column) for name, column in columns.items()}
    frame = frame.assign(**texts, value=_values(frame, source))
    _refuse_empty(frame, columns, source)
    _refuse_unexplained(frame, columns["error"], source)
    _refuse_misfits(frame, columns, source)
    _refuse_out_of_range(frame, columns["scorer"], source)
    _refuse_contradictions(frame, columns, Origin([source], [len(frame)]))
    return frame


def refuse_missing_columns(names: Sequence[str], source: str) -> None:
    """Raise InvalidEvidence unless every column of the contract is there exactly once."""
    for column in COLUMNS:
        if column not in names:
            there = shortened(repr(", ".join(names)), 160)
            refuse(source, column, f"missing; a table has {', '.join(COLUMNS)}, this one has {there}")
        if names.count(column) > 1:
            refuse(source, column, f"there are {names.count(column)} columns of this name")


def refuse_contradictions(frame: pd.DataFrame, origin: Origin) -> None:
    """Raise InvalidEvidence for what only several rows together do wrong: the last check of tables put together."""
    _refuse_contradictions(frame, {name: coded(frame[name]) for name in KEY}, origin)


def _refuse_contradictions(frame: pd.DataFrame, columns: Columns, origin: Origin) -> None:
    _refuse_lost_prompts(frame, columns, origin)
    _refuse_duplicates(frame, columns, origin)


def _text(frame: pd.DataFrame, name: str, source: str) -> Coded:
    column = frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        foreign = [code for code, label in enumerate(column.dtype.categories) if not isinstance(label, str)]
        odd = np.isin(column.cat.codes.to_numpy(), foreign)
        if odd.any():
            row = int(odd.argmax())
            refuse(source, name, f"holds {shown(column[row])}, which is not text", frame, row)
    elif not isinstance(column.dtype, pd.StringDtype) and column.notna().any():
        present = column.dropna().astype(object)
        if pd.api.types.infer_dtype(present) != "string":
            wrong = present[[not isinstance(cell, str) for cell in present]]
            refuse(source, name, f"holds {shown(wrong.iloc[0])}, which is not text", frame, int(wrong.index[0]))
    return coded(column)


def _values(frame: pd.DataFrame, source: str) -> npt.NDArray[np.float64]:
    column = frame["value"]
    if column.dtype.kind in "iuf":
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        values = np.array([_number(cell, frame, row, source) for row, cell in enumerate(column)])
    infinite = np.isinf(values)
    if infinite.any():
        refuse(source, "value", "infinite", frame, int(infinite.argmax()))
    return values


def _number(cell: object, frame: pd.DataFrame, row: int, source: str) -> float:
    if type(cell) is float and cell == cell:
        return cell
    if cell is None or cell is pd.NA:
        return math.nan
    if isinstance(cell, bool) or not isinstance(cell, (float, int, np.floating, np.integer)):
        refuse(source, "value", f"holds {shown(cell)}, which is not a number", frame, row)
    if cell != cell:
        refuse(source, "value", "NaN is not a score; leave it null and say why in `error`", frame, row)
    try:
        return float(cell)
    except OverflowError:
        return math.inf


def _refuse_empty(frame: pd.DataFrame, columns: Columns, source: str) -> None:
    """No text is empty or blank, and of the key only the prompt may be null."""
    for name, (codes, labels) in columns.items():
        blank = np.array([*(not label.strip() for label in labels), name not in _NULLABLE])
        empty = blank[codes]
        if empty.any():
            remedy = "is empty text; use null" if name in _NULLABLE else "is empty"
            refuse(source, name, remedy, frame, int(empty.argmax()))


def _refuse_unexplained(frame: pd.DataFrame, error: Coded, source: str) -> None:
    scored, excused = frame["value"].notna().to_numpy(), ~error.null
    both, neither = scored & excused, ~scored & ~excused
    if both.any():
        row = int(both.argmax())
        refuse(source, "error", f"{shown(frame['error'][row])} beside a value; a row has one of them", frame, row)
    if neither.any():
        refuse(source, "value", "null without an error that says why", frame, int(neither.argmax()))


def _refuse_misfits(frame: pd.DataFrame, columns: Columns, source: str) -> None:
    set_, image, prompt, scorer = parts = [columns[name] for name in ("set", "image", "prompt", "scorer")]
    _, first = np.unique(folded(parts), return_index=True)
    for row in np.sort(first):
        if misfit := misfit_of(set_.at(row), image.at(row), prompt.at_or_none(row), scorer.at(row)):
            refuse(source, misfit.column, misfit.complaint, frame, int(row))


def _refuse_out_of_range(frame: pd.DataFrame, scorer: Coded, source: str) -> None:
    values = frame["value"].to_numpy()
    ranges = [range_of(label) for label in scorer.labels]
    for allowed in dict.fromkeys(ranges):
        if allowed is None:
            continue
        concerned = np.array([other is allowed for other in ranges])[scorer.codes]
        wrong = concerned & allowed.outside(values)
        if wrong.any():
            row = int(wrong.argmax())
            rule = f"{shown(frame['scorer'][row])} must be {allowed.words}"
            refuse(source, "value", f"{values[row]:.17g}, but {rule}", frame, row)


def _refuse_lost_prompts(frame: pd.DataFrame, columns: Columns, origin: Origin) -> None:
    """A scorer reads texts or it does not; only the set `edits` leaves the choice to every row."""
    reader = folded([columns["set"], columns["scorer"]])
    null = columns["prompt"].null
    mixed = np.intersect1d(reader[null], reader[~null])
    lost = null & np.isin(reader, mixed) & (frame["set"] != "edits").to_numpy()
    if lost.any():
        row = int(lost.argmax())
        scorer, set_ = shown(frame["scorer"][row]), frame["set"][row]
        refuse(origin, "prompt", f"null, but {scorer} was given a text in other rows of the set {set_}", frame, row)


def _refuse_duplicates(frame: pd.DataFrame, columns: Columns, origin: Origin) -> None:
    key = folded([columns[name] for name in KEY])
    if np.all(key[1:] > key[:-1]):
        return
    order = np.argsort(key, kind="stable")
    again = np.flatnonzero(key[order][1:] == key[order][:-1])
    if not len(again):
        return
    # The sort is stable: of equal keys the later row stands after the earlier one.
    place = again[np.argmin(order[again + 1])]
    first, second = (origin.place(int(order[place + step])) for step in (0, 1))
    other = "" if first[0] == second[0] else f" of {first[0]}"
    raise InvalidEvidence(
        f"{second[0]}: columns {', '.join(KEY)}: duplicate key ({key_of(frame, int(order[place]))}): "
        f"row {second[1]} repeats row {first[1]}{other}."
    )
