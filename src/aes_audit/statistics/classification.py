"""Scores of a binary classifier from its confusion table, for one table or many resamples at once.

A table holds TP, TN, FP, FN in its last axis. A score is NaN where its definition divides by zero.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes_audit.statistics.bootstrap import Floats
from aes_audit.statistics.ratio import ratio

__all__ = ["accuracy", "balanced_accuracy", "confusion", "f1", "mcc"]


def confusion(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> Floats:
    """Indicators of TP, TN, FP, FN per row, shape (rows, 4); their column sums are the confusion table."""
    cells = (predicted & truth, ~predicted & ~truth, predicted & ~truth, ~predicted & truth)
    return np.stack(cells, axis=-1).astype(np.float64)


def accuracy(table: Floats) -> Floats:
    """(TP + TN) / (P + N). Source: PROTOCOL section 6, as for the others."""
    return ratio(table[..., 0] + table[..., 1], table.sum(axis=-1))


def balanced_accuracy(table: Floats) -> Floats:
    """(TP/P + TN/N) / 2, NaN if a class is empty."""
    tp, tn, fp, fn = np.moveaxis(table, -1, 0)
    return (ratio(tp, tp + fn) + ratio(tn, tn + fp)) / 2


def f1(table: Floats) -> Floats:
    """2TP / (2TP + FP + FN), binary with the wide image positive."""
    tp, _, fp, fn = np.moveaxis(table, -1, 0)
    return ratio(2 * tp, 2 * tp + fp + fn)


def mcc(table: Floats) -> Floats:
    """Matthews correlation, NaN if a row or column of the table is empty."""
    tp, tn, fp, fn = np.moveaxis(table, -1, 0)
    return ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))
