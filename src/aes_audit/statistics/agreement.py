"""Agreement of a judge with people on ordered classes, for one sample or many resamples at once.

Everything follows from sums over rows: the 3x3 table of (true class, predicted class), and per true class the
absolute error. Both sum over items, so the bootstrap needs no second implementation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes_audit.statistics.bootstrap import Floats
from aes_audit.statistics.ratio import ratio

__all__ = ["CLASSES", "accuracy", "class_table", "mae", "quadratic_kappa", "row_sums", "weighted_f1", "weighted_mae"]

CLASSES = 3
"""Classes 0, 1, 2 of a dimension."""
CELLS = CLASSES * CLASSES


def row_sums(scores: Floats, truth: npt.NDArray[np.int64]) -> Floats:
    """Per row: nine indicators of (true, predicted), then the absolute error in the column of its true class.

    `scores` (rows,) are continuous in [0, 2]; the predicted class is the nearest, halves to even. Shape (rows, 12).
    """
    predicted = np.clip(np.rint(scores), 0, CLASSES - 1).astype(np.int64)
    sums = np.zeros((len(scores), CELLS + CLASSES))
    rows = np.arange(len(scores))
    sums[rows, truth * CLASSES + predicted] = 1
    sums[rows, CELLS + truth] = np.abs(scores - truth)
    return sums


def class_table(sums: Floats) -> Floats:
    """The (..., 3, 3) table of true against predicted class."""
    return sums[..., :CELLS].reshape(*sums.shape[:-1], CLASSES, CLASSES)


def accuracy(sums: Floats) -> Floats:
    """Share of rows whose nearest class is the true one."""
    table = class_table(sums)
    return ratio(np.trace(table, axis1=-2, axis2=-1), table.sum(axis=(-2, -1)))


def mae(sums: Floats) -> Floats:
    """Mean absolute error of the continuous score."""
    return ratio(sums[..., CELLS:].sum(axis=-1), sums[..., :CELLS].sum(axis=-1))


def weighted_mae(sums: Floats) -> Floats:
    """MAE with inverse class frequencies as weights: the mean, over the classes present, of each class's MAE."""
    support = class_table(sums).sum(axis=-1)
    per_class = np.where(support > 0, ratio(sums[..., CELLS:], support), 0.0)
    return ratio(per_class.sum(axis=-1), (support > 0).sum(axis=-1).astype(np.float64))


def weighted_f1(sums: Floats) -> Floats:
    """F1 per class, weighted by the class's support; a class never predicted and never true counts 0."""
    table = class_table(sums)
    support = table.sum(axis=-1)
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    per_class = np.nan_to_num(ratio(2 * hits, support + table.sum(axis=-2)))
    return ratio((per_class * support).sum(axis=-1), support.sum(axis=-1))


def quadratic_kappa(sums: Floats) -> Floats:
    """1 - sum(w O) / sum(w E), w = (i - j)^2; NaN if truth and prediction are one and the same class throughout."""
    table = class_table(sums)
    steps = np.arange(CLASSES)
    weights = np.subtract.outer(steps, steps).astype(np.float64) ** 2
    expected = table.sum(axis=-1)[..., :, np.newaxis] * table.sum(axis=-2)[..., np.newaxis, :]
    observed = (weights * table).sum(axis=(-2, -1)) * table.sum(axis=(-2, -1))
    return 1 - ratio(observed, (weights * expected).sum(axis=(-2, -1)))
