"""Scores of planned items, side by side: one row per item, one column per cell, NaN where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aes_audit.evidence.table import Column
from aes_audit.measures.request import Request
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.statistics.bootstrap import Floats
from aes_audit.statistics.paired import discordant, mcnemar_two_sided

__all__ = ["JUDGE", "Cell", "asked_in", "complete", "losses", "read", "read_judge"]

JUDGE = "judge"
"""Name of the family of scorers `judge/<dimension>` when it is asked for as a whole."""


class Cell(NamedTuple):
    """One score of every item."""

    model: str
    """The generator."""
    image: str
    """Which image of the item."""
    prompt: str | None
    """Which text it was scored against."""
    scorer: str
    """Who scored it."""


def read(request: Request, cells: Sequence[Cell], planned: Sequence[str]) -> Floats:
    """Scores of shape (planned, cells), NaN for an error or an absent row.

    A scorer that reads no text gives the same score under every prompt. Raises MissingScores if a cell has no row
    for any item of the table: it was never measured, which differs from being lost.
    """
    table = np.full((len(planned), len(cells)), np.nan)
    for column, cell in enumerate(cells):
        found = _column(request, cell)
        if found is None:
            text = "without text" if cell.prompt is None else f"under the text '{cell.prompt}'"
            raise request.skip(
                f"the table has no {cell.scorer!r} rows of {cell.model!r} for image '{cell.image}' {text}"
            )
        table[:, column] = _aligned(found, planned)
    return table


def asked_in(request: Request, cells: Sequence[Cell]) -> tuple[str, ...]:
    """The expected items, else those with a row, error or not, in every cell: tuples need not be complete."""
    if request.expected is not None:
        return request.expected
    found = [_column(request, cell) for cell in cells]
    asked = [set() if column is None else set(column.items) for column in found]
    return tuple(sorted(set.intersection(*asked)))


def read_judge(request: Request, model: str, images: Sequence[str], planned: Sequence[str]) -> Floats:
    """J(I, d) in [0, 2] of shape (planned, images, dimensions), NaN where there is none."""
    scores = np.full((len(planned), len(images), len(DIMENSIONS)), np.nan)
    for position in np.ndindex(len(images), len(DIMENSIONS)):
        found = _column(request, Cell(model, images[position[0]], None, f"{JUDGE}/{DIMENSIONS[position[1]]}"))
        if found is not None:
            scores[(slice(None), *position)] = _aligned(found, planned)
    return scores


def _aligned(column: Column, planned: Sequence[str]) -> Floats:
    """The column in the order of the planned items, NaN where it has none."""
    # Nearly always every item has its row, and looking each of them up is most of the time of reading.
    if column.items == tuple(planned):
        return column.values
    known = dict(zip(column.items, column.values, strict=True))
    return np.array([known.get(item, np.nan) for item in planned], dtype=np.float64)


def complete(table: Floats) -> npt.NDArray[np.bool_]:
    """Items with every needed value, for a table (items, ...)."""
    return np.asarray(np.isfinite(table).reshape(len(table), -1).all(axis=1), dtype=np.bool_)


def losses(
    first: str, second: str, lost_first: npt.NDArray[np.bool_], lost_second: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Items lost per arm, and the exact two-sided McNemar p of "both arms lose alike".

    Source: STATISTICS section 7: arms that lose differently (p < .05) cannot be compared.
    """
    p_value = mcnemar_two_sided(discordant(lost_first, lost_second))
    return {"lost": {first: int(lost_first.sum()), second: int(lost_second.sum()), "p_value": p_value}}


def _column(request: Request, cell: Cell) -> Column | None:
    """The scores of a cell by item, None if it has no row."""
    for prompt in dict.fromkeys((cell.prompt, None)):
        column = request.evidence.column(cell.model, request.set, cell.scorer, cell.image, prompt)
        if column.items:
            return column
    return None
