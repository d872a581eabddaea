"""Which measurements failed, and which items fail most in all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aes_audit.report.html.items import Place, badness, ranked
from aes_audit.report.html.material import SIDES, Material, severity
from aes_audit.report.results import Entry

__all__ = ["failed", "together"]

_FAILED, _INCONCLUSIVE = 0, 2


def failed(material: Material) -> Sequence[Entry]:
    """The failed measurements of the first subject that has some, on one set, `pairs` before others.

    Falls back on inconclusive measurements where none failed.
    """
    for worst in (_FAILED, _INCONCLUSIVE):
        entries = [entry for entry in material.entries if severity(entry) == worst and entry["set"] in SIDES]
        if entries:
            first = min(entries, key=lambda entry: list(SIDES).index(entry["set"]))
            return [entry for entry in entries if _of(entry) == _of(first)]
    return []


def together(material: Material) -> Mapping[Place, float]:
    """How bad each item is over all failed measurements, from 0 to 1, more being worse; empty where none failed.

    Each measurement ranks its items, and ranks are averaged: so an item counts that fails in everything, and none for
    having the largest number. An item that a measurement has no value for takes its middle.
    """
    entries = failed(material)
    if material.evidence is None or not entries:
        return {}
    ranks = [ranked(badness(entry, material.evidence)) for entry in entries]
    places = sorted({place for each in ranks for place in each})
    return {place: round(sum(each.get(place, 0.5) for each in ranks) / len(ranks), 9) for place in places}


def _of(entry: Entry) -> tuple[str, str]:
    return str(entry["subject"]), str(entry["set"])
