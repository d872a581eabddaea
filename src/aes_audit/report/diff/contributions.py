"""What the items of one run contribute to a measurement, in the form in which two runs can be paired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from aes_audit.errors import AesAuditError
from aes_audit.evidence.table import Evidence
from aes_audit.measures.comparisons import compared
from aes_audit.measures.item_values import item_values
from aes_audit.measures.request import Request
from aes_audit.measures.success import TIE
from aes_audit.report.diff.pairing import artists_of
from aes_audit.report.diff.side import Side, part_of
from aes_audit.report.html.material import models_of
from aes_audit.report.results import Entry
from aes_audit.statistics.bootstrap import Floats

__all__ = ["Contributions", "contributions"]

_WITH_TRUTH = frozenset({"reward_accuracy", "reward_auroc"})
_BY_ROW = _WITH_TRUTH | {"prefers_wide"}
"""Metrics of a reward that every pair of images contributes to; of several generators an item has several pairs."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """The planned items of a measurement and what each is worth."""

    items: tuple[str, ...]
    """Their names, sorted; with the generator where there are several."""
    values: Floats
    """Shape (items,), NaN where there is none; for `reward_auroc` r(I_a, p_a) - r(I_o, p_a)."""
    clusters: Mapping[str, str] = field(default_factory=dict)
    """What dependent items have in common, by item; empty where all are independent."""
    truth: Floats | None = None
    """For the metrics of a reward that have one: 1 where I_a is the better image, 0 where I_o is; NaN for neither."""


def contributions(side: Side, entry: Entry) -> Contributions | str:
    """What each item contributed, or why that is not known."""
    if side.evidence is None:
        return f"{side.name} has no evidence"
    try:
        found = _by_row(side.evidence, entry) if entry["metric"] in _BY_ROW else _by_item(side.evidence, entry)
    except AesAuditError as error:
        return f"the evidence of {side.name} does not have it: {str(error).removesuffix('.')}"
    return found or f"{entry['metric']} has no value per item"


def _by_item(evidence: Evidence, entry: Entry) -> Contributions | None:
    found = item_values(
        entry["metric"],
        evidence,
        models=models_of(entry, evidence),
        base_model=entry["base_model"],
        scorer=entry["scorer"],
        group=entry["group"],
        reference=part_of(entry["details"], "reference").get("model"),
    )
    artists = artists_of(evidence, entry["model"]) if entry["set"] == "art" else {}
    return None if found.values is None else Contributions(found.items, found.values, artists)


def _by_row(evidence: Evidence, entry: Entry) -> Contributions:
    request = Request(
        metric=entry["metric"],
        set=entry["set"],
        evidence=evidence,
        models=models_of(entry, evidence),
        scorer=entry["scorer"],
        truth=entry["details"].get("truth"),
        audit=entry["audit"],
    )
    rows = compared(request, with_truth=entry["metric"] in _WITH_TRUTH)
    # `compared` gives the rows of one generator after the other, each in the order of its items.
    places = [(item, model) for model in request.models for item in request.planned(model)]
    several = len(request.models) > 1
    names = [f"{item} by {model}" if several else item for item, model in places]
    clusters = {name: item for name, (item, _) in zip(names, places, strict=True)} if several else {}
    truth = np.where(rows.known & (rows.truth != TIE), rows.truth, np.nan)
    right = {
        "prefers_wide": np.where(rows.known, rows.margin > 0, np.nan),
        "reward_accuracy": np.where(np.isnan(truth), np.nan, (rows.margin > 0) == (truth == 1)),
        "reward_auroc": np.where(np.isnan(truth), np.nan, rows.margin),
    }[entry["metric"]]
    order = sorted(range(len(names)), key=names.__getitem__)
    known = truth[order] if entry["metric"] in _WITH_TRUTH else None
    return Contributions(tuple(names[at] for at in order), right[order].astype(np.float64), clusters, known)
