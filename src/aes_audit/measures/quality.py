"""What a reward thinks of the images: conventional quality under p_o, the subject under p_a."""

from __future__ import annotations

import numpy as np

from aes_audit.measures.means import mean_measurement
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.readings import Cell, losses, read
from aes_audit.measures.request import Request

__all__ = ["concept_kept", "quality_shift", "wide_quality"]


def quality_shift(request: Request) -> Measurement:
    """Mean change in reward when the same subject is drawn wide, scored under p_o.

    Reads r(I_a, p_o) and r(I_o, p_o), in the scorer's unit. Up is worse: a shift near zero means that the model
    ignored the requested effect. `details["mean_original"]` tells where the shift starts (PROTOCOL R25).
    Source: Table 2, columns of the rewards.
    """
    model = request.sole_model()
    cells = [Cell(model, image, "original", request.scorer) for image in ("original", "wide")]
    original, wide = read(request, cells, request.planned(model)).T
    shift = wide - original
    known = ~np.isnan(shift)
    details = losses("original", "wide", np.isnan(original), np.isnan(wide))
    if known.any():
        details |= {"mean_original": float(original[known].mean()), "mean_wide": float(wide[known].mean())}
    return mean_measurement(request, shift, details)


def wide_quality(request: Request) -> Measurement:
    """Mean of r(I_a, p_o), in the scorer's unit; up is worse. Source: Table 2, column AA."""
    return _wide_mean(request, "original")


def concept_kept(request: Request) -> Measurement:
    """Mean of r(I_a, p_a) of a matcher such as `blip-itm`, a probability: down means that the subject was lost.

    Source: Table 2, column BLIP.
    """
    return _wide_mean(request, "wide")


def _wide_mean(request: Request, prompt: str) -> Measurement:
    model = request.sole_model()
    cells = [Cell(model, "wide", prompt, request.scorer)]
    return mean_measurement(request, read(request, cells, request.planned(model))[:, 0])
