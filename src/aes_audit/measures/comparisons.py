"""The rows behind the metrics of a reward: both images of an item under p_a, of one model or several pooled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aes_audit.measures.readings import Cell, complete, read
from aes_audit.measures.request import Request
from aes_audit.statistics.bootstrap import Floats

__all__ = ["Comparisons", "compared"]


@dataclass(frozen=True, slots=True)
class Comparisons:
    """One row per planned (model, item); rows of an item are dependent."""

    item: npt.NDArray[np.int64]
    """Position of the row's item among the sorted items, shape (rows,)."""
    margin: Floats
    """r(I_a, p_a) - r(I_o, p_a): positive when the reward prefers the wide image."""
    truth: Floats
    """The preference judge's value, 0.5 for a tie; NaN throughout if no truth was read."""
    known: npt.NDArray[np.bool_]
    """Rows with every needed value."""

    @property
    def n(self) -> int:
        """Items whose every planned row is known."""
        return len(np.unique(self.item)) - self.missing

    @property
    def missing(self) -> int:
        """Items with at least one unknown row."""
        return len(np.unique(self.item[~self.known]))

    @property
    def clustered(self) -> bool:
        """Whether an item has several rows."""
        return len(np.unique(self.item)) < len(self.item)

    def per_item(self, values: Floats) -> Floats:
        """Sums of row values (rows, columns) by item, for items that have a row, in item order."""
        items, place = np.unique(self.item, return_inverse=True)
        sums = np.zeros((len(items), values.shape[1]))
        np.add.at(sums, place, values)
        return sums

    def where(self, rows: npt.NDArray[np.bool_]) -> Comparisons:
        """Some of the rows."""
        return Comparisons(self.item[rows], self.margin[rows], self.truth[rows], self.known[rows])


def compared(request: Request, *, with_truth: bool) -> Comparisons:
    """Read the rows of every model of the request. Raises MissingScores if a model was never scored so."""
    plans = [request.planned(model) for model in request.models]
    order = {item: position for position, item in enumerate(sorted(set().union(*plans)))}
    tables = []
    for model, planned in zip(request.models, plans, strict=True):
        cells = [Cell(model, image, "wide", request.scorer) for image in ("original", "wide")]
        if with_truth and request.truth is not None:
            cells.append(Cell(model, "pair", "wide", request.truth))
        tables.append(read(request, cells, planned))
    scores = np.concatenate(tables)
    item = np.array([order[item] for planned in plans for item in planned], dtype=np.int64)
    truth = scores[:, 2] if scores.shape[1] > 2 else np.full(len(scores), np.nan)
    return Comparisons(item, scores[:, 1] - scores[:, 0], truth, complete(scores))
