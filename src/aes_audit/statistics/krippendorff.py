"""Krippendorff's alpha: how far several people agree with each other beyond chance, whoever rated what.

Everything follows from sums over units of their coincidences, so that the bootstrap of units needs no second
implementation. Source: Krippendorff, Content Analysis (4th ed., 2018), chapter 12.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes_audit.statistics.bootstrap import Floats
from aes_audit.statistics.ratio import ratio

__all__ = ["coincidences", "ordinal_alpha"]


def coincidences(counts: npt.NDArray[np.int64]) -> Floats:
    """What each unit adds to the coincidence matrix, flattened: shape (units, classes * classes).

    `counts` (units, classes) says how many raters gave a unit each class. Every ordered pair of ratings of a unit by
    two raters counts 1 / (ratings - 1); a unit with fewer than two ratings holds no pair and is a row of zeros.
    """
    given = counts.astype(np.float64)
    pairs = given[:, :, np.newaxis] * given[:, np.newaxis, :]
    pairs -= given[:, :, np.newaxis] * np.eye(counts.shape[1])
    others = given.sum(axis=1) - 1
    weighted = np.where(
        others[:, np.newaxis, np.newaxis] > 0, pairs / np.maximum(others, 1)[:, np.newaxis, np.newaxis], 0
    )
    return weighted.reshape(len(counts), -1)


def ordinal_alpha(sums: Floats) -> Floats:
    """1 - observed / expected disagreement of ordered classes, from summed `coincidences` (..., classes * classes).

    1 is perfect agreement, 0 what chance gives, below 0 systematic disagreement; NaN when only one class was given or
    no unit has two ratings. The distance of two classes is the number of ratings between their middles, squared.
    """
    classes = round(sums.shape[-1] ** 0.5)
    table = sums.reshape(*sums.shape[:-1], classes, classes)
    given = table.sum(axis=-1)
    distance = _ordinal_distance(given)
    chance = given[..., :, np.newaxis] * given[..., np.newaxis, :]
    observed = (table * distance).sum(axis=(-2, -1)) * (given.sum(axis=-1) - 1)
    return 1 - ratio(observed, (chance * distance).sum(axis=(-2, -1)))


def _ordinal_distance(given: Floats) -> Floats:
    """(n_c / 2 + all between c and k + n_k / 2)^2, shape (..., classes, classes)."""
    middles = np.cumsum(given, axis=-1) - given / 2
    return np.asarray((middles[..., :, np.newaxis] - middles[..., np.newaxis, :]) ** 2, dtype=np.float64)
