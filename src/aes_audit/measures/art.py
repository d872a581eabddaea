"""Where do real artworks stand among the images that generators make?"""

from __future__ import annotations

import numpy as np

from aes_audit.errors import UsageError
from aes_audit.measures.means import mean_measurement
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.readings import Cell, read
from aes_audit.measures.request import Request

__all__ = ["art_z"]

REFERENCE_SET = "pairs"


def art_z(request: Request) -> Measurement:
    """Mean over artworks of (score - mean) / SD of a declared reference population; down is worse.

    Reads r(work, caption), and of the reference generator r(I_o, p_o) in the set `pairs` by the same scorer; its SD is
    the sample SD. The reference is held fixed in the interval and named in `details`. Source: PROTOCOL R12, R17.
    """
    model = request.sole_model()
    scores = read(request, [Cell(model, "work", "caption", request.scorer)], request.planned(model))[:, 0]
    if request.reference is None:
        raise UsageError("art_z needs a reference population: name the model whose originals it is.")
    series = request.evidence.values(request.reference, REFERENCE_SET, request.scorer, "original", "original")
    known = series.dropna().to_numpy()
    reference = {"model": request.reference, "set": REFERENCE_SET, "scorer": request.scorer, "n": len(known)}
    spread = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
    if spread == 0:
        reason = f"the reference population of {len(known)} images by {request.reference!r} has no spread"
        return request.unmeasured(
            int((~np.isnan(scores)).sum()), int(np.isnan(scores).sum()), reason, {"reference": reference}
        )
    mean = float(known.mean())
    z = (scores - mean) / spread
    details = {"reference": {**reference, "mean": mean, "sd": spread}}
    return mean_measurement(request, z, details)
