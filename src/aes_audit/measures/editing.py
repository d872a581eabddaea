"""Does an editor beautify a faithful wide image?"""

from __future__ import annotations

import numpy as np

from aes_audit.measures.means import mean_measurement
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.readings import JUDGE, Cell, losses, read, read_judge
from aes_audit.measures.request import Request
from aes_audit.statistics.bootstrap import Floats

__all__ = ["edit_shift", "edited_arms"]

ARMS = ("source", "edited")


def edit_shift(request: Request) -> Measurement:
    """Mean over items of edited - source under p_o, in the scorer's unit; up is worse.

    Scorer `judge` reads the sum of J over all dimensions, `judge/<dimension>` one of them.
    Source: PROTOCOL section 7, image-to-image.
    """
    source, edited = edited_arms(request).T
    return mean_measurement(request, edited - source, losses(*ARMS, np.isnan(source), np.isnan(edited)))


def edited_arms(request: Request) -> Floats:
    """Scores of source and edited image per item, shape (items, 2), NaN where missing; raises MissingScores."""
    model = request.sole_model()
    planned = request.planned(model)
    if request.scorer != JUDGE:
        return read(request, [Cell(model, arm, "original", request.scorer) for arm in ARMS], planned)
    judged = read_judge(request, model, ARMS, planned)
    if len(planned) and np.isnan(judged).all(axis=0).any():
        raise request.skip("some dimension was never judged; all are needed")
    return np.asarray(judged.sum(axis=-1))
