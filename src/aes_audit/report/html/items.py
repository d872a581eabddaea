"""The value that each item contributes to a measurement, turned so that more is worse."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from aes_audit.errors import AesAuditError
from aes_audit.evidence.table import Evidence
from aes_audit.measures.catalogue import METRICS
from aes_audit.measures.item_values import item_values
from aes_audit.measures.names import REWARD_SUBJECT
from aes_audit.report.html.material import models_of
from aes_audit.report.results import Entry

__all__ = ["Place", "badness", "margins", "ranked", "values_of", "worse_side"]

Place = tuple[str, str]
"""A generator and one of its items."""

_WORSE_UP = frozenset({"realignment_quality"})
"""Metrics whose items are worse upwards although their estimate is worse downwards."""


def values_of(entry: Entry, evidence: Evidence) -> Mapping[Place, float]:
    """What each item contributed, in the metric's unit; for a reward r(I_a, p_a) - r(I_o, p_a). Empty where nothing.

    Items without a value are left out.
    """
    if entry["metric"] in REWARD_SUBJECT:
        return margins(entry, evidence) if entry["set"] == "pairs" else {}
    try:
        found = item_values(
            entry["metric"],
            evidence,
            models=(entry["model"],),
            base_model=entry["base_model"],
            scorer=entry["scorer"],
            group=entry["group"],
        )
    except AesAuditError:
        return {}
    values = np.full(len(found.items), np.nan) if found.values is None else found.values
    return {
        (entry["model"], item): float(value) for item, value in zip(found.items, values, strict=True) if value == value
    }


def badness(entry: Entry, evidence: Evidence) -> Mapping[Place, float]:
    """The same, more being worse: a reward is wrong by how far it prefers the image that its truth does not."""
    values = values_of(entry, evidence)
    if entry["metric"] in REWARD_SUBJECT:
        sides = _sides(entry, evidence)
        return {place: -value * (1.0 if sides is None else sides.get(place, 0.0)) for place, value in values.items()}
    sign = worse_side(entry["metric"])
    return {place: sign * value for place, value in values.items()}


def worse_side(metric: str) -> float:
    """1 where an item is worse the higher its value is, -1 where it is worse the lower."""
    return 1.0 if METRICS[metric].bad == "up" or metric in _WORSE_UP else -1.0


def margins(entry: Entry, evidence: Evidence) -> Mapping[Place, float]:
    """How far a reward prefers the wide image under the wide prompt, in its unit."""
    found: dict[Place, float] = {}
    for model in models_of(entry, evidence):
        original, wide = (
            evidence.values(model, "pairs", entry["scorer"], image, "wide") for image in ("original", "wide")
        )
        found |= {(model, str(item)): float(value) for item, value in (wide - original).dropna().items()}
    return found


def _sides(entry: Entry, evidence: Evidence) -> Mapping[Place, float] | None:
    """1 where the truth prefers the wide image, -1 for the original, 0 for a tie; None for an entry without a truth."""
    truth = entry["details"].get("truth")
    if not truth:
        return None
    found: dict[Place, float] = {}
    for model in models_of(entry, evidence):
        answers = evidence.values(model, "pairs", str(truth), "pair", "wide").dropna()
        found |= {(model, str(item)): float(2 * value - 1) for item, value in answers.items()}
    return found


def ranked(values: Mapping[Place, float]) -> Mapping[Place, float]:
    """Values as ranks from 0 to 1, ties sharing theirs, so that measurements of different units can be added."""
    from scipy.stats import rankdata

    ranks: npt.NDArray[np.float64] = rankdata(list(values.values())) / max(len(values), 1)
    return dict(zip(values, map(float, ranks), strict=True))
