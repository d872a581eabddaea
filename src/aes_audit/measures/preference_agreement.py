"""Do two judges of the same pairs say the same?"""

from __future__ import annotations

from typing import Any

import numpy as np

from aes_audit.errors import UsageError
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.people import PEOPLE, rater_agreement, tie_figures
from aes_audit.measures.readings import Cell, complete, read
from aes_audit.measures.request import Request
from aes_audit.measures.success import TIE
from aes_audit.statistics import agreement
from aes_audit.statistics.bootstrap import bootstrap_sums
from aes_audit.statistics.intervals import clopper_pearson

__all__ = ["preference_agreement"]


def preference_agreement(request: Request) -> Measurement:
    """Quadratic kappa of two preference judges on the classes original, tie, wide; down is worse, 0 is chance.

    Reads `scorer` and `truth`, either of which may be taken for the other. The interval is a bootstrap of items.
    `details` has the table of both judges' classes, the accuracy without the pairs that either calls a tie, the MAE in
    classes, the accuracy where ties count as the original, and how people agree with each other when they are one of
    the judges. Items without both answers are left out. Raises UsageError for a judge and itself. Source: PROTOCOL
    section 6, R19.
    """
    if request.scorer == request.truth:
        raise UsageError(f"{request.metric}: {request.scorer} always agrees with itself; name two judges.")
    model = request.sole_model()
    planned = request.planned(model)
    judges = (request.scorer, str(request.truth))
    values = read(request, [Cell(model, "pair", "wide", judge) for judge in judges], planned)
    known = complete(values)
    # 0, 0.5 and 1 are the classes 0, 1 and 2; which judge is called true makes no difference to kappa.
    classes = np.rint(2 * values[known])
    sums = agreement.row_sums(classes[:, 0], classes[:, 1].astype(np.int64))
    n, missing = len(sums), int((~known).sum())
    details = {**_details(request, values[known], sums.sum(axis=0)), **_people(request, judges)}
    estimate = float(agreement.quadratic_kappa(sums.sum(axis=0))) if n else float("nan")
    if np.isnan(estimate):
        reason = "both judges say one thing throughout" if n else f"0 of {len(planned)} items have both answers"
        return request.unmeasured(n, missing, reason, details)
    interval = bootstrap_sums(sums, agreement.quadratic_kappa, seed=request.seed, confidence=request.confidence)
    return request.measured(n, missing, estimate, interval, details)


def _details(request: Request, values: Any, total: Any) -> dict[str, Any]:
    untied = values[(values != TIE).all(axis=1)]
    same = int((untied[:, 0] == untied[:, 1]).sum())
    table = agreement.class_table(total).astype(int)
    return {
        "judges": [request.scorer, request.truth],
        # Rows are the second judge's classes, as of a truth; turned round they are the first's.
        "table": table.T.tolist(),
        "ties": [int((values[:, column] == TIE).sum()) for column in (0, 1)],
        "untied": len(untied),
        "untied_accuracy": same / len(untied) if len(untied) else None,
        "untied_accuracy_interval": list(clopper_pearson(same, len(untied), request.confidence))
        if len(untied)
        else None,
        **tie_figures(table.tolist()),
    }


def _people(request: Request, judges: tuple[str, str]) -> dict[str, Any]:
    """Where people are one of the judges: how far they agree with each other, if the table holds what each said."""
    if PEOPLE not in judges:
        return {}
    found = rater_agreement(
        request.evidence,
        request.sole_model(),
        request.set,
        [PEOPLE],
        seed=request.seed,
        confidence=request.confidence,
    )
    return {"people": found} if found else {}
