"""Which dimensions an item's prompt asked for, as far as the table tells."""

from __future__ import annotations

import pandas as pd

from aes_audit.evidence.schema import SELECTED
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["flags", "selected_dimensions"]

_JUDGE = "judge/"
_TRUTHS = {"true": True, "false": False}


def flags(frame: pd.DataFrame) -> pd.Series[bool]:
    """The column `selected` as nullable booleans; all null where the table has none or it is no yes/no column.

    CSV has no booleans, so the texts true and false count, in any case. Rows of other scorers than judges are null.
    """
    column = frame[SELECTED] if SELECTED in frame.columns else pd.Series(pd.NA, index=frame.index, dtype=object)
    return _booleans(column).where(frame["scorer"].str.startswith(_JUDGE))


def selected_dimensions(frame: pd.DataFrame) -> dict[str, frozenset[str]] | None:
    """Selected dimensions by item for the rows of one generator and set; None when no item's are known.

    An item whose rows carry a flag has the flagged dimensions; an item without flags has exactly the judged ones,
    unless all of DIMENSIONS were judged: then nothing says which were asked for, and the item is left out.
    """
    judged = frame["scorer"].str.startswith(_JUDGE)
    rows = pd.DataFrame(
        {
            "item": frame["item"][judged],
            "dimension": frame["scorer"][judged].str.removeprefix(_JUDGE),
            "flag": flags(frame)[judged],
        }
    )
    found: dict[str, frozenset[str]] = {}
    for item, group in rows.groupby("item", sort=True):
        if group["flag"].notna().any():
            found[str(item)] = frozenset(group["dimension"][group["flag"].fillna(False)])
        elif not frozenset(DIMENSIONS) <= (dimensions := frozenset(group["dimension"])):
            found[str(item)] = dimensions
    return found or None


def _booleans(column: pd.Series) -> pd.Series[bool]:
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "string":
        texts = column.astype("str").str.lower()
        column = texts.map(_TRUTHS) if texts.dropna().isin(list(_TRUTHS)).all() else column
        kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "boolean":
        return column.astype("boolean")
    return pd.Series(pd.NA, index=column.index, dtype="boolean")
