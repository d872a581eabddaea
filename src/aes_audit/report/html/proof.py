"""Three pairs that prove it: the items that fail most in the measurements that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aes_audit.report.html.gallery import SIDES
from aes_audit.report.html.items import Place, badness, ranked, values_of
from aes_audit.report.html.material import Material, severity
from aes_audit.report.html.words import item_fact
from aes_audit.report.results import Entry

__all__ = ["SHOWN", "Proof", "worst_pairs"]

SHOWN = 3
"""How many pairs the first screen shows."""


@dataclass(frozen=True, slots=True)
class Proof:
    """One item that shows what a number says."""

    set: str
    """`pairs` or `edits`."""
    model: str
    """The generator whose item it is."""
    item: str
    """The item."""
    facts: tuple[str, ...]
    """What each failed measurement read there, a line each."""


def worst_pairs(material: Material, count: int = SHOWN) -> Sequence[Proof]:
    """The items that are worst over all failed measurements of the first subject that has any; fewer where few are.

    Each measurement ranks its items, and ranks are averaged: so an item counts that fails in everything, and none for
    having the largest number. Items that a measurement has no value for take its middle. Ties are settled by name, so
    that two reports of one run show the same pairs. Falls back on inconclusive measurements where none failed.
    """
    failed = _failed(material)
    if material.evidence is None or not failed:
        return ()
    found = {id(entry): badness(entry, material.evidence) for entry in failed}
    totals: dict[Place, float] = {}
    for place in {place for values in found.values() for place in values}:
        totals[place] = 0.0
    for values in found.values():
        ranks = ranked(values)
        for place in totals:
            totals[place] += ranks.get(place, 0.5)
    chosen = sorted(totals, key=lambda place: (-round(totals[place], 9), place))[:count]
    read = [(entry, values_of(entry, material.evidence)) for entry in failed]
    return tuple(Proof(failed[0]["set"], model, item, _facts(read, (model, item))) for model, item in chosen)


def _failed(material: Material) -> list[Entry]:
    """Failed measurements about one subject and one set, those of the set `pairs` first."""
    for worst in (0, 2):
        entries = [entry for entry in material.entries if severity(entry) == worst and entry["set"] in SIDES]
        entries.sort(key=lambda entry: list(SIDES).index(entry["set"]))
        alike = [
            entry for entry in entries
            if (entry["subject"], entry["set"]) == (entries[0]["subject"], entries[0]["set"])
        ]  # fmt: skip
        if alike:
            return alike
    return []


def _facts(values: Sequence[tuple[Entry, Mapping[Place, float]]], place: Place) -> tuple[str, ...]:
    facts = (item_fact(entry, found[place]) for entry, found in values if place in found)
    return tuple(dict.fromkeys(fact for fact in facts if fact))
