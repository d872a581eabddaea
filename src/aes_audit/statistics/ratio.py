"""Division whose undefined results are NaN, never zero and never a warning."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes_audit.statistics.bootstrap import Floats

__all__ = ["ratio"]


def ratio(part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> Floats:
    """`part` / `whole` element by element, NaN where `whole` is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(whole > 0, np.divide(part, whole), np.nan), dtype=np.float64)
