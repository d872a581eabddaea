"""Text columns as small integers, so that sorting, grouping and finding duplicates are array work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Coded", "Integers", "coded", "folded"]

Integers = npt.NDArray[np.int64]

_LARGEST: int = 2**62


class Coded(NamedTuple):
    """A text column: `labels[code]` is the text of a row."""

    codes: Integers
    """One code per row; a null has the code `len(labels)`, so that nulls sort last."""
    labels: tuple[str, ...]
    """The distinct texts, sorted by code point."""

    def at(self, row: int) -> str:
        """The text of a row that is not null."""
        return self.labels[int(self.codes[row])]

    def at_or_none(self, row: int) -> str | None:
        """The text of a row, None for a null."""
        code = int(self.codes[row])
        return self.labels[code] if code < len(self.labels) else None


def coded(column: pd.Series) -> Coded:
    """Code a column of dtype `str`."""
    codes, labels = pd.factorize(column, sort=True)
    codes = codes.astype(np.int64)
    codes[codes < 0] = len(labels)
    return Coded(codes, tuple(labels))


def folded(columns: Sequence[Coded]) -> Integers:
    """One integer per row, equal exactly where all columns are equal and ordered as the rows are.

    Mixed radix; where the product of the label counts would overflow, what is folded so far is replaced by its rank.
    """
    key = np.zeros(len(columns[0].codes), dtype=np.int64)
    span = 1
    for codes, labels in columns:
        size = len(labels) + 1
        if span * size > _LARGEST:
            distinct, key = np.unique(key, return_inverse=True)
            span = len(distinct)
        key = key * size + codes
        span *= size
    return key
