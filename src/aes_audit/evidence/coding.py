"""Columns as small integers: sorting, grouping and finding duplicates are array work, and a row takes few bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = [
    "TEXT",
    "Coded",
    "Integers",
    "categories",
    "category",
    "coded",
    "decoded",
    "encoded",
    "folded",
    "joined",
    "same",
    "smallest",
]

Integers = npt.NDArray[np.signedinteger[Any]]

TEXT = pd.StringDtype("python", na_value=np.nan)
"""The dtype `str` as references to shared texts: a repeated one takes 8 bytes, whatever its length."""

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

    @property
    def null(self) -> npt.NDArray[np.bool_]:
        """Which rows have no text."""
        return np.equal(self.codes, len(self.labels))


def smallest(labels: int) -> np.dtype[Any]:
    """The smallest signed integer for that many codes and one for null."""
    return np.min_scalar_type(~labels)


def coded(column: pd.Series) -> Coded:
    """Code a column of texts, whether they are codes already or dtype `str`."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, distinct = column.cat.codes.to_numpy(), column.cat.categories
    else:
        codes, distinct = pd.factorize(column)
    labels = list(distinct)
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(labels)))
    texts = [labels[code] for code in used]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    # The last entry is that of the null, whose code here is -1.
    recoded = np.full(len(labels) + 1, len(texts), dtype=smallest(len(texts)))
    recoded[used[order]] = np.arange(len(texts))
    return Coded(recoded[codes], tuple(texts[place] for place in order))


def same(one: Coded, other: Coded) -> bool:
    """Whether two columns hold the same texts in the same rows."""
    return one.labels == other.labels and np.array_equal(one.codes, other.codes)


def category(column: Coded) -> pd.Categorical[Any]:
    """The same texts as a column of a frame."""
    codes = np.where(column.null, -1, column.codes).astype(column.codes.dtype, copy=False)
    return categories(codes, column.labels)


def categories(codes: Integers, labels: Sequence[Any]) -> pd.Categorical[Any]:
    """A column of a frame with these codes, -1 for null; the labels are texts, or all of one other type."""
    texts = all(isinstance(label, str) for label in labels)
    index = pd.Index(labels, dtype=TEXT if texts else object)
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(index), validate=False)


def encoded(column: pd.Series) -> pd.Series:
    """A column of texts as codes, and any other column as it is."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        labels = column.dtype.categories.dtype
        if labels == TEXT or not isinstance(labels, pd.StringDtype):
            return column
    elif not isinstance(column.dtype, pd.StringDtype):
        return column
    return pd.Series(category(coded(column)), index=column.index)


def decoded(column: pd.Series) -> pd.Series:
    """The column that `encoded` was given, texts as `str`; other labels get the dtype that pandas sees in them."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    codes, labels = column.cat.codes.to_numpy(), column.dtype.categories
    if labels.dtype == TEXT and len(labels):
        return pd.Series(labels.array.take(codes, allow_fill=True), index=column.index)
    # A null has the code -1, which is the last entry.
    distinct = pd.Series([*labels, None] if (codes < 0).any() else list(labels))
    return pd.Series(distinct.array.take(codes), index=column.index)


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows of several frames; a column that one of them lacks is null there."""
    names = dict.fromkeys(name for frame in frames for name in frame.columns)
    return pd.DataFrame({name: _joined(frames, name) for name in names}, copy=False)


def _joined(frames: Sequence[pd.DataFrame], name: str) -> pd.Series:
    parts = [frame[name] if name in frame else _nulls(len(frame)) for frame in frames]
    if all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
        labels = dict.fromkeys(label for part in parts for label in part.cat.categories)
        if len(set(map(type, labels))) < 2:
            places = {label: place for place, label in enumerate(labels)}
            codes = [_recoded(part, places) for part in parts]
            return pd.Series(categories(np.concatenate(codes), list(labels)))
    # Of a column that is not there pandas makes nulls of the right type.
    plain = [pd.DataFrame({name: decoded(frame[name])} if name in frame else {}, index=frame.index) for frame in frames]
    return encoded(pd.concat(plain, ignore_index=True)[name])


def _nulls(count: int) -> pd.Series:
    return pd.Series(categories(np.full(count, -1, dtype=np.int8), []))


def _recoded(part: pd.Series, places: dict[Any, int]) -> Integers:
    new = [*(places[label] for label in part.cat.categories), -1]
    codes: Integers = np.array(new, dtype=smallest(len(places)))[part.cat.codes.to_numpy()]
    return codes


def folded(columns: Sequence[Coded]) -> npt.NDArray[np.int64]:
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
        key *= size
        key += codes
        span *= size
    return key
