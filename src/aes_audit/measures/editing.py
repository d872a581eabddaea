"""Does an editor beautify a faithful wide image?"""

from __future__ import annotations

import numpy as np

from aes_audit.measures.means import mean_measurement
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.readings import JUDGE, Cell, losses, read, read_judge
from aes_audit.measures.request import Request

__all__ = ["edit_shift"]

ARMS = ("source", "edited")


def edit_shift(request: Request) -> Measurement:
    """Mean over items of edited - source under p_o, in the scorer's unit; up is worse.

    Scorer `judge` reads the sum of J over all dimensions, `judge/<dimension>` one of them.
    Source: PROTOCOL section 7, image-to-image.
    """
    model = request.sole_model()
    planned = request.planned(model)
    if request.scorer == JUDGE:
        judged = read_judge(request, model, ARMS, planned)
        if len(planned) and np.isnan(judged).all(axis=0).any():
            raise request.skip("some dimension was never judged; all are needed")
        source, edited = judged.sum(axis=-1).T
    else:
        source, edited = read(request, [Cell(model, arm, "original", request.scorer) for arm in ARMS], planned).T
    return mean_measurement(request, edited - source, losses(*ARMS, np.isnan(source), np.isnan(edited)))
