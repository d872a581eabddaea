"""How far the judged dimensions move from the original to the wide image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes_audit.measures.means import mean_measurement
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.readings import losses, read_judge
from aes_audit.measures.request import Request
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.statistics.bootstrap import Floats

__all__ = ["asked_arms", "dimension_shift", "dimension_shift_all", "every_arms"]

ARMS = ("original", "wide")


def dimension_shift(request: Request) -> Measurement:
    """Mean over items of the sum over selected dimensions of J(I_a, d) - J(I_o, d); up is worse.

    Reads `judge/<dimension>` and which dimensions each prompt asked for. Raises MissingScores if no item's selection
    is known. Source: Table 2, column ΔJ as its caption defines it (PROTOCOL R15).
    """
    return _shift(request, asked_arms(request))


def dimension_shift_all(request: Request) -> Measurement:
    """Mean over items of the sum over all 11 dimensions of J(I_a, d) - J(I_o, d); up is worse.

    Raises MissingScores if some dimension was never judged. Source: PROTOCOL R15.
    """
    return _shift(request, every_arms(request))


def asked_arms(request: Request) -> Floats:
    """Summed J of the selected dimensions, shape (planned, 2): original and wide, NaN where missing.

    Raises MissingScores if no item's selection is known.
    """
    model = request.sole_model()
    planned = request.planned(model)
    selected = request.evidence.selected(model, request.set)
    if not selected:
        raise request.skip("no row says which dimensions its prompt selected")
    asked = np.array([[d in selected.get(item, ()) for d in DIMENSIONS] for item in planned], dtype=bool)
    return _arms(read_judge(request, model, ARMS, planned), asked.reshape(-1, len(DIMENSIONS)))


def every_arms(request: Request) -> Floats:
    """Summed J of all 11 dimensions, shape (planned, 2), NaN where missing.

    Raises MissingScores if some dimension was never judged.
    """
    model = request.sole_model()
    planned = request.planned(model)
    unjudged = [d for d in DIMENSIONS if not request.evidence.has(model, request.set, f"{request.scorer}/{d}")]
    if unjudged:
        raise request.skip(f"no rows of judge/{unjudged[0]}; all {len(DIMENSIONS)} dimensions are needed")
    judged = read_judge(request, model, ARMS, planned)
    return _arms(judged, np.ones((len(planned), len(DIMENSIONS)), dtype=bool))


def _arms(judged: Floats, asked: npt.NDArray[np.bool_]) -> Floats:
    """Sum over asked dimensions per arm; an item without any is missing."""
    arms: Floats = np.where(asked[:, np.newaxis], judged, 0.0).sum(axis=-1)
    arms[~asked.any(axis=1)] = np.nan
    return arms


def _shift(request: Request, arms: Floats) -> Measurement:
    original, wide = arms.T
    details = losses(*ARMS, np.isnan(original), np.isnan(wide))
    return mean_measurement(request, wide - original, details)
