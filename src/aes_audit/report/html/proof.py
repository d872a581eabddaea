"""Three pairs that prove it: the items that fail most in the measurements that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aes_audit.report.html.items import Place, values_of
from aes_audit.report.html.material import Material
from aes_audit.report.html.sentences import item_fact
from aes_audit.report.html.worst import failed, together
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
    """The items that are worst over all failed measurements; fewer where there are few.

    Ties are settled by name, so that two reports of one run show the same pairs.
    """
    badness = together(material)
    if material.evidence is None or not badness:
        return ()
    entries = failed(material)
    read = [(entry, values_of(entry, material.evidence)) for entry in entries]
    chosen = sorted(badness, key=lambda place: (-badness[place], place))[:count]
    return tuple(Proof(str(entries[0]["set"]), *place, _facts(read, place)) for place in chosen)


def _facts(read: Sequence[tuple[Entry, Mapping[Place, float]]], place: Place) -> tuple[str, ...]:
    facts = (item_fact(entry, values[place]) for entry, values in read if place in values)
    return tuple(dict.fromkeys(fact for fact in facts if fact))
