"""Scores of planned items, side by side: one row per item, one column per cell, NaN where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

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
        series = _series(request, cell)
        if series is None:
            text = "without text" if cell.prompt is None else f"under the text '{cell.prompt}'"
            raise request.skip(
                f"the table has no {cell.scorer!r} rows of {cell.model!r} for image '{cell.image}' {text}"
            )
        table[:, column] = series.reindex(planned).to_numpy()
    return table


def asked_in(request: Request, cells: Sequence[Cell]) -> tuple[str, ...]:
    """The expected items, else those with a row, error or not, in every cell: tuples need not be complete."""
    if request.expected is not None:
        return request.expected
    found = [_series(request, cell) for cell in cells]
    indices = [set() if series is None else set(series.index) for series in found]
    return tuple(sorted(set.intersection(*indices)))


def read_judge(request: Request, model: str, images: Sequence[str], planned: Sequence[str]) -> Floats:
    """J(I, d) in [0, 2] of shape (planned, images, dimensions), NaN where there is none."""
    scores = np.full((len(planned), len(images), len(DIMENSIONS)), np.nan)
    for position in np.ndindex(len(images), len(DIMENSIONS)):
        series = _series(request, Cell(model, images[position[0]], None, f"{JUDGE}/{DIMENSIONS[position[1]]}"))
        if series is not None:
            scores[(slice(None), *position)] = series.reindex(planned).to_numpy()
    return scores


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


def _series(request: Request, cell: Cell) -> Any:
    """The item-indexed scores of a cell, None if it has no row."""
    for prompt in dict.fromkeys((cell.prompt, None)):
        series = request.evidence.values(cell.model, request.set, cell.scorer, cell.image, prompt)
        if len(series):
            return series
    return None
