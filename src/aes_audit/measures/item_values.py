"""The value of every item behind a measurement, for the metrics that have one: what a baseline keeps to pair with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from aes_audit.evidence.table import Evidence
from aes_audit.measures.art import works_z
from aes_audit.measures.catalogue import METRICS
from aes_audit.measures.comparisons import compared
from aes_audit.measures.dimension import asked_arms, every_arms
from aes_audit.measures.editing import edited_arms
from aes_audit.measures.emotion import emotion_margins, happy_margins
from aes_audit.measures.faces import positivity, rendering_differences, renderings
from aes_audit.measures.images import lost_shares
from aes_audit.measures.readings import Cell, read
from aes_audit.measures.realignment import wide_scores
from aes_audit.measures.request import Request
from aes_audit.statistics.bootstrap import Floats

__all__ = ["ItemValues", "item_values"]


class ItemValues(NamedTuple):
    """The planned items of a measurement and what each contributes."""

    items: tuple[str, ...]
    """Names of the planned items, sorted; of a style, its works."""
    values: Floats | None
    """One value per item, shape (items,), NaN where it is missing; None for a metric without item values."""


def item_values(
    metric: str,
    evidence: Evidence,
    *,
    models: tuple[str, ...],
    base_model: str | None = None,
    scorer: str,
    expected: Collection[str] | None = None,
    group: str | None = None,
    reference: str | None = None,
) -> ItemValues:
    """What the items contribute to a metric, in item order.

    Rates: 1 for a success, 0 for none; of images, the share of the item's two. Means: the value that is averaged.
    Comparisons of two models: aligned - base. Artworks: z in the population of `reference`; `group` is a style.
    The metrics of a reward that are held against a truth, and any metric of pooled generators, have none.
    Raises MissingScores if the table holds no such rows.
    """
    request = Request(
        metric=metric,
        set=METRICS[metric].set,
        evidence=evidence,
        models=models,
        base_model=base_model,
        scorer=scorer,
        expected=None if expected is None else tuple(sorted(set(expected))),
        group=group,
        reference=reference,
        audit=metric,
    )
    if metric in _PLANNING:
        return ItemValues(*_PLANNING[metric](request))
    planned = request.planned(*models, *([base_model] if base_model else []))
    reader = _READERS.get(metric) if len(models) == 1 else None
    return ItemValues(planned, None if reader is None else reader(request))


def _successes(request: Request, model: str) -> Floats:
    planned = request.planned(*request.models, *([request.base_model] if request.base_model else []))
    values = read(request, [Cell(model, "pair", "wide", request.scorer)], planned)[:, 0]
    return np.where(np.isnan(values), np.nan, (values == 1).astype(np.float64))


def _success(request: Request) -> Floats:
    return _successes(request, request.sole_model())


def _shift(request: Request) -> Floats:
    model = request.sole_model()
    cells = [Cell(model, image, "original", request.scorer) for image in ("original", "wide")]
    original, wide = read(request, cells, request.planned(model)).T
    return np.asarray(wide - original)


def _wide(prompt: str) -> Callable[[Request], Floats]:
    def values(request: Request) -> Floats:
        model = request.sole_model()
        cell = Cell(model, "wide", prompt, request.scorer)
        return read(request, [cell], request.planned(model))[:, 0]

    return values


def _moved(arms: Callable[[Request], Floats]) -> Callable[[Request], Floats]:
    def values(request: Request) -> Floats:
        original, wide = arms(request).T
        return np.asarray(wide - original)

    return values


def _preferred(request: Request) -> Floats:
    rows = compared(request, with_truth=False)
    order = np.argsort(rows.item, kind="stable")
    return np.where(rows.known, (rows.margin > 0).astype(np.float64), np.nan)[order]


def _quality_difference(request: Request) -> Floats:
    aligned, base = request.pair_of_models()
    planned = request.planned(aligned, base)
    return np.asarray(wide_scores(request, aligned, planned) - wide_scores(request, base, planned))


def _success_difference(request: Request) -> Floats:
    aligned, base = request.pair_of_models()
    return np.asarray(_successes(request, aligned) - _successes(request, base))


_Planning: TypeAlias = Callable[[Request], tuple[tuple[str, ...], Floats]]


def _wins(margins: _Planning) -> _Planning:
    def values(request: Request) -> tuple[tuple[str, ...], Floats]:
        tuples, found = margins(request)
        return tuples, np.where(np.isnan(found), np.nan, (found > 0).astype(np.float64))

    return values


# A recorded table need not hold every cell of every item: these metrics say themselves which were planned.
_PLANNING: Mapping[str, _Planning] = {
    "art_z": works_z,
    "emotion_accuracy": _wins(emotion_margins),
    "emotion_accuracy_happy": _wins(happy_margins),
    "emotion_rendering": renderings,
    "positivity_shift": positivity,
    "realignment_emotion": rendering_differences,
}

_READERS: Mapping[str, Callable[[Request], Floats]] = {
    "image_faults": lost_shares,
    "success_rate": _success,
    "quality_shift": _shift,
    "wide_quality": _wide("original"),
    "concept_kept": _wide("wide"),
    "dimension_shift": _moved(asked_arms),
    "dimension_shift_all": _moved(every_arms),
    "edit_shift": _moved(edited_arms),
    "prefers_wide": _preferred,
    "realignment_quality": _quality_difference,
    "realignment_success": _success_difference,
}
