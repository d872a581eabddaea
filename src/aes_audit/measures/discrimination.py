"""Can a reward tell which image was asked for?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aes_audit.measures.comparisons import Comparisons, compared
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.rates import case, rate_measurement
from aes_audit.measures.request import Request
from aes_audit.measures.success import TIE
from aes_audit.statistics import classification
from aes_audit.statistics.auroc import clustered_delong
from aes_audit.statistics.bootstrap import Floats, Interval, bootstrap_sums
from aes_audit.statistics.intervals import proportion
from aes_audit.statistics.ratio import ratio

__all__ = [
    "THIN_CLASS",
    "prefers_wide",
    "reward_accuracy",
    "reward_auroc",
    "reward_balanced_accuracy",
    "reward_f1",
]

THIN_CLASS = 25
"""With fewer rows of a class no verdict is possible: intervals cover too little (STATISTICS section 4)."""


def reward_auroc(request: Request) -> Measurement:
    """P(margin of a truly wide pair > margin of a truly original one), margin = r(I_a, p_a) - r(I_o, p_a).

    In [0, 1], down is worse, .5 is chance. Ties of the truth are dropped and counted, ties of the reward count one
    half. The interval treats rows of one item as dependent. Source: Table 4; PROTOCOL section 6, R20, R23.
    """
    rows = compared(request, with_truth=True)
    used, details = _used(request, rows, lambda table: np.asarray(0.5))
    truth = used.truth == 1
    if truth.all() or not truth.any():
        return request.unmeasured(rows.n, rows.missing, _empty_class(used), details)
    result = clustered_delong(used.margin, truth, used.item, request.confidence)
    details["variance"] = result.variance
    return request.measured(rows.n, rows.missing, result.area, result.interval, details)


def reward_accuracy(request: Request) -> Measurement:
    """Share of untied, complete rows in which the reward prefers the truly better image; down is worse.

    A reward of equal scores predicts I_o. Exact interval with one row per item, else a bootstrap of items. Missing
    rows have no class, so they are left out; `details` count them as wrong (`worst_`) and right (`best_interval`).
    Source: Table 4; PROTOCOL section 6, R23.
    """
    return _classified(request, classification.accuracy)


def reward_balanced_accuracy(request: Request) -> Measurement:
    """(TP/P + TN/N) / 2 with I_a positive; down is worse, .5 is chance. Source: PROTOCOL section 6, R20."""
    return _classified(request, classification.balanced_accuracy)


def reward_f1(request: Request) -> Measurement:
    """Binary F1 with I_a positive; down is worse. Read it beside its always-wide baseline. Source: Table 4, R21."""
    return _classified(request, classification.f1)


def prefers_wide(request: Request) -> Measurement:
    """Share of items with r(I_a, p_a) > r(I_o, p_a), strictly; down is worse; needs no truth.

    Missing items count as not preferred. Several models are pooled by item. Source: PROTOCOL section 1, R20, R23.
    """
    rows = compared(request, with_truth=False)
    hits = rows.margin > 0
    details: dict[str, Any] = {"ties": int((rows.margin == 0).sum())}
    if not rows.clustered:
        order = np.argsort(rows.item, kind="stable")
        return rate_measurement(request, hits[order], rows.known[order], details)
    if not rows.known.any():
        return request.unmeasured(0, rows.missing, f"0 of {rows.missing} items have every score", details)
    details |= {"rows": len(hits), "missing_rows": int((~rows.known).sum()), "successes": int(hits.sum())}
    sums = rows.per_item(np.stack([hits, np.ones(len(hits))], axis=1))
    interval = _over_items(request, sums, lambda totals: ratio(totals[..., 0], totals[..., 1]))
    return request.measured(rows.n, rows.missing, float(hits.mean()), interval, details)


def _classified(request: Request, score: Callable[[Floats], Floats]) -> Measurement:
    rows = compared(request, with_truth=True)
    used, details = _used(request, rows, score)
    cells = classification.confusion(used.margin > 0, used.truth == 1)
    estimate = float(score(cells.sum(axis=0)))
    if np.isnan(estimate):
        return request.unmeasured(rows.n, rows.missing, _empty_class(used), details)
    if score is classification.accuracy and not rows.clustered:
        correct, lost = int(cells[:, :2].sum()), int((~rows.known).sum())
        interval = proportion(correct, len(cells), request.confidence, request.interval)
        details |= case(request, "worst", correct, len(cells) + lost)
        details |= case(request, "best", correct + lost, len(cells) + lost)
    else:
        interval = _over_items(request, used.per_item(cells), score)
    return request.measured(rows.n, rows.missing, estimate, interval, details)


def _used(request: Request, rows: Comparisons, score: Callable[[Floats], Floats]) -> tuple[Comparisons, dict[str, Any]]:
    """The untied, known rows, and what must be printed beside every metric of a reward."""
    used = rows.where(rows.known & (rows.truth != TIE))
    positive = used.truth == 1
    table = classification.confusion(used.margin > 0, positive).sum(axis=0)
    wide_always = classification.confusion(np.ones_like(positive), positive).sum(axis=0)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    return used, {
        "truth": request.truth,
        "P": positives,
        "N": negatives,
        "P_items": len(np.unique(used.item[positive])),
        "N_items": len(np.unique(used.item[~positive])),
        "truth_ties": int((rows.known & (rows.truth == TIE)).sum()),
        "reward_ties": int((used.margin == 0).sum()),
        "missing_rows": int((~rows.known).sum()),
        "confusion": dict(zip(("TP", "TN", "FP", "FN"), map(int, table), strict=True)),
        "mcc": _number(classification.mcc(table)),
        "always_wide": _number(score(wide_always)),
        "thin_class": min(positives, negatives) < THIN_CLASS,
    }


def _over_items(request: Request, sums: Floats, score: Callable[[Floats], Floats]) -> Interval:
    return bootstrap_sums(sums, score, seed=request.seed, confidence=request.confidence)


def _empty_class(used: Comparisons) -> str:
    if len(used.truth) == 0:
        return "no item has every score and an untied truth"
    lacking = "original" if (used.truth == 1).any() else "wide"
    return f"in no item the truth is '{lacking}'"


def _number(value: Floats) -> float | None:
    """A JSON number: None where the score is undefined."""
    return None if np.isnan(value) else float(value)
