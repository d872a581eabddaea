"""Does a judge that is shown two images follow what it sees, or the place where it sees it?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from aes_audit.evidence.coding import decoded
from aes_audit.evidence.schema import ORIGINAL_FIRST, WIDE_FIRST
from aes_audit.judges.protocol import FIRST, NEITHER
from aes_audit.measures.request import Request
from aes_audit.statistics.bootstrap import Floats, bootstrap_sums
from aes_audit.statistics.intervals import clopper_pearson
from aes_audit.statistics.ratio import ratio

__all__ = ["position_bias"]


def position_bias(request: Request) -> dict[str, Any] | None:
    """How far the answers of `request.scorer` depend on the order of the images; None where nobody noted the order.

    `followed_position`: share of the pairs asked about in both orders whose two answers name one place, and so two
    images; exact interval. `first_share`: share of the answers naming an image that name the first, 0.5 without bias;
    exact interval where each pair was asked about once, else a bootstrap of pairs. Source: PROTOCOL R18.
    """
    answers = _answers(request)
    if answers is None or np.isnan(answers).all():
        return None
    both = answers[~np.isnan(answers).any(axis=1)]
    followed = int(((both[:, 0] == both[:, 1]) & (both[:, 0] != NEITHER)).sum())
    chosen = (answers != NEITHER) & ~np.isnan(answers)
    first = chosen & (answers == FIRST)
    sums = np.stack([first.sum(axis=1), chosen.sum(axis=1)], axis=1).astype(np.float64)
    sums = sums[sums[:, 1] > 0]
    return {
        "pairs": int((~np.isnan(answers)).any(axis=1).sum()),
        "both_orders": len(both),
        "disagreements": int((_images(both)[:, 0] != _images(both)[:, 1]).sum()),
        "followed_position": followed / len(both) if len(both) else None,
        "followed_position_interval": list(clopper_pearson(followed, len(both), request.confidence))
        if len(both)
        else None,
        **_first_share(request, sums),
    }


def _first_share(request: Request, sums: Floats) -> dict[str, Any]:
    """`sums` are, per pair with a choice, its choices of the first image and all its choices: shape (pairs, 2)."""
    if not len(sums):
        return {"choices": 0, "first_share": None, "first_share_interval": None}
    firsts, choices = (int(total) for total in sums.sum(axis=0))
    share = firsts / choices
    if choices == len(sums) or share in (0.0, 1.0):
        # Two answers about one pair are not two pairs: where no pair varies, the pairs are what was counted.
        hits = round(share * len(sums))
        bounds: tuple[float, float] | None = clopper_pearson(hits, len(sums), request.confidence)
    else:
        found = bootstrap_sums(
            sums,
            lambda totals: ratio(totals[..., 0], totals[..., 1]),
            seed=request.seed,
            confidence=request.confidence,
        )
        bounds = found.bounds
    return {"choices": choices, "first_share": share, "first_share_interval": list(bounds) if bounds else None}


def _images(answers: Floats) -> Floats:
    """What the answers (pairs, 2) say about the images: 1 for I_a, 0 for I_o, 0.5 for neither."""
    original_first, wide_first = answers.T
    named = np.stack([original_first, 1 - wide_first], axis=1)
    return np.where(answers == NEITHER, 0.5, named)


def _answers(request: Request) -> Floats | None:
    """Answers of shape (pairs, 2), I_o shown first and I_a shown first, in item order; NaN where there is none."""
    named = (ORIGINAL_FIRST, WIDE_FIRST)
    rows = request.evidence.rows(request.sole_model(), request.set, ("item", "scorer", *named))
    if not set(named) & set(rows):
        return None
    rows = rows[rows["scorer"] == request.scorer]
    if request.expected is not None:
        rows = rows[rows["item"].isin(request.expected)]
    columns = [
        pd.to_numeric(decoded(rows[name]), errors="coerce") if name in rows else pd.Series(np.nan, index=rows.index)
        for name in named
    ]
    return np.stack([column.to_numpy(dtype=np.float64, na_value=np.nan) for column in columns], axis=1)
