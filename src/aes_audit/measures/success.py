"""Does the wide image follow the wide prompt better than the original image does?"""

from __future__ import annotations

import numpy as np

from aes_audit.measures.measurement import Measurement
from aes_audit.measures.position import position_bias
from aes_audit.measures.rates import rate_measurement
from aes_audit.measures.readings import Cell, read
from aes_audit.measures.request import Request

__all__ = ["TIE", "success_rate"]

TIE = 0.5
"""Value of a preference judge that finds both images alike."""


def success_rate(request: Request) -> Measurement:
    """Share of items whose preference judge says exactly 1; down is worse.

    Reads `preference/<judge>` of image `pair` under p_a. Ties and missing items are not successes. Of a judge that
    was shown the images, `details["position"]` says how far the order decided.
    Source: Table 2 (caption); PROTOCOL R5, R18, R23.
    """
    model = request.sole_model()
    planned = request.planned(model)
    values = read(request, [Cell(model, "pair", "wide", request.scorer)], planned)[:, 0]
    position = position_bias(request)
    details = {"ties": int((values == TIE).sum()), **({"position": position} if position else {})}
    return rate_measurement(request, values == 1, ~np.isnan(values), details)
