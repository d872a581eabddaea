"""Does a judge of dimensions agree with people?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aes_audit.errors import UsageError
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.people import rater_agreement
from aes_audit.measures.rates import case
from aes_audit.measures.readings import JUDGE
from aes_audit.measures.request import Request
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.statistics import agreement
from aes_audit.statistics.bootstrap import Floats, bootstrap, statistic_of_sums
from aes_audit.statistics.intervals import proportion

__all__ = [
    "TRUTH",
    "USED",
    "judge_agreement_accuracy",
    "judge_agreement_mae",
    "judge_agreement_quadratic_kappa",
    "judge_agreement_weighted_f1",
    "judge_agreement_weighted_mae",
]

TRUTH = "truth"
"""Scorers `truth/<dimension>` hold the class that people gave."""
USED = "used"
"""The group that pools the dimensions of the protocol; no group pools all dimensions of the table."""


def judge_agreement_accuracy(request: Request) -> Measurement:
    """Share of rows whose nearest class is the true one; down is worse. Source: PROTOCOL R16."""
    return _agreement(request, agreement.accuracy)


def judge_agreement_mae(request: Request) -> Measurement:
    """Mean absolute error of J against the class, in classes; up is worse. Source: PROTOCOL section 5."""
    return _agreement(request, agreement.mae)


def judge_agreement_weighted_mae(request: Request) -> Measurement:
    """MAE of J with inverse class frequencies as weights; up is worse. Source: PROTOCOL section 5."""
    return _agreement(request, agreement.weighted_mae)


def judge_agreement_weighted_f1(request: Request) -> Measurement:
    """F1 of the nearest class, weighted by support; down is worse. Source: PROTOCOL section 5."""
    return _agreement(request, agreement.weighted_f1)


def judge_agreement_quadratic_kappa(request: Request) -> Measurement:
    """Quadratic kappa of the nearest class, 0 is chance; down is worse. Source: PROTOCOL section 6."""
    return _agreement(request, agreement.quadratic_kappa)


def _agreement(request: Request, score: Callable[[Floats], Floats]) -> Measurement:
    """Rows of one item are dependent, so items are drawn; the accuracy of one row per item is an exact proportion."""
    sums, rows, planned, missing = _item_sums(request)
    n, total = planned - missing, sums.sum(axis=0)
    estimate = float(score(total))
    if rows == 0 or np.isnan(estimate):
        reason = "truth and judge are one class throughout" if rows else f"0 of {planned} items have every score"
        return request.unmeasured(n, missing, reason)
    details = _baseline(total, rows, score)
    if score is agreement.quadratic_kappa and (people := _people(request)):
        details["people"] = people
    if score is agreement.accuracy and rows == len(sums):
        correct = int(np.trace(agreement.class_table(total)))
        interval = proportion(correct, rows, request.confidence, request.interval)
        details |= case(request, "worst", correct, rows + missing)
        details |= case(request, "best", correct + missing, rows + missing)
    else:
        statistic = statistic_of_sums(sums, score)
        interval = bootstrap(statistic, len(sums), seed=request.seed, confidence=request.confidence)
    return request.measured(n, missing, estimate, interval, details)


def _people(request: Request) -> dict[str, Any] | None:
    """How far the people behind the truth agree with each other, where the table holds what each of them said."""
    model = request.sole_model()
    truths = [f"{TRUTH}/{name}" for name in _dimensions(request, model)]
    return rater_agreement(
        request.evidence, model, request.set, truths, seed=request.seed, confidence=request.confidence
    )


def _item_sums(request: Request) -> tuple[Floats, int, int, int]:
    """Sums per item with a known row (items, 12), known rows, planned items, and how many of these lack a value."""
    model, judge, truth = request.sole_model(), JUDGE, TRUTH
    known: dict[str, Floats] = {}
    rated: set[str] = set()
    lost: set[str] = set()
    rows = 0
    dimensions = _dimensions(request, model)
    if not dimensions:
        raise request.skip("no dimension has both a judge's scores and true classes")
    for dimension in dimensions:
        pair = [
            request.evidence.values(model, request.set, f"{who}/{dimension}", "work", None) for who in (judge, truth)
        ]
        items = pair[0].index.union(pair[1].index)
        if request.expected is not None:
            items = items.intersection(list(request.expected))
        judged, true = (np.asarray(series.reindex(items), dtype=np.float64) for series in pair)
        complete = ~np.isnan(judged) & ~np.isnan(true)
        rated.update(items)
        lost.update(items[~complete])
        sums = agreement.row_sums(judged[complete], true[complete].astype(np.int64))
        rows += len(sums)
        for item, row in zip(items[complete], sums, strict=True):
            known[item] = known[item] + row if item in known else row
    planned = rated if request.expected is None else set(request.expected)
    table = np.array([known[item] for item in sorted(known)]).reshape(len(known), agreement.CELLS + agreement.CLASSES)
    return table, rows, len(planned), len(lost | (planned - rated))


def _dimensions(request: Request, model: str) -> tuple[str, ...]:
    """The dimensions of the group that have both a judge and a truth."""
    scorers = request.evidence.scorers(model, request.set)
    both = [name.partition("/")[2] for name in scorers if name.startswith(f"{JUDGE}/")]
    both = [name for name in both if f"{TRUTH}/{name}" in scorers]
    if request.group is None:
        return tuple(both)
    if request.group == USED:
        return tuple(name for name in DIMENSIONS if name in both)
    if request.group not in both and request.group not in DIMENSIONS:
        raise UsageError(f"group {request.group!r} is no dimension of the table; it has {', '.join(both)}.")
    return (request.group,) if request.group in both else ()


def _baseline(total: Floats, rows: int, score: Callable[[Floats], Floats]) -> dict[str, Any]:
    """What always answering the most frequent class would reach, and whether the judge beats it (PROTOCOL R16)."""
    classes = agreement.class_table(total).sum(axis=-1).astype(np.int64)
    majority = int(classes.argmax())
    truth = np.repeat(np.arange(agreement.CLASSES), classes)
    constant = agreement.row_sums(np.full(rows, float(majority)), truth).sum(axis=0)
    baseline, accuracy = float(score(constant)), float(agreement.accuracy(total))
    return {
        "rows": rows,
        "classes": [int(count) for count in classes],
        "majority_class": majority,
        "majority_baseline": None if np.isnan(baseline) else baseline,
        "uninformative": bool(accuracy <= classes[majority] / rows),
    }
