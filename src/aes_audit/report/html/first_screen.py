"""The first screen: what did not pass, a line per question, most telling first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aes_audit.measures.measurement import Measurement
from aes_audit.report.html.material import Material, severity
from aes_audit.report.html.sections import anchor_of
from aes_audit.report.html.sentences import finding
from aes_audit.report.html.words import asked, distance, gap_of, interval, number, scored_by
from aes_audit.report.outcome import WRONG, outcome
from aes_audit.report.results import Entry

__all__ = ["Finding", "findings"]

_TELLING = (
    "success_rate",
    "realignment_success",
    "reward_auroc",
    "prefers_wide",
    "art_z",
    "realignment_quality",
    "quality_shift",
    "dimension_shift",
    "edit_shift",
)
"""Metrics that a newcomer understands soonest; the others follow."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One question whose answer is not what was asked."""

    says: str
    """What was found, in a sentence."""
    interval: str
    """Around the number in the sentence."""
    asked: str
    """What the gate asks."""
    distance: str
    """By how much that was missed, or kept where the interval leaves both open."""
    base: str
    """What the base model itself reaches; empty where that is not known."""
    by: str
    """Who measured it, and who else found the same."""
    verdict: str
    anchor: str
    """The section that has all of it."""


def findings(material: Material, base: Mapping[int, Measurement]) -> Sequence[Finding]:
    """One line per subject, metric and outcome; of several scorers the one that missed by most speaks."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for position, entry in enumerate(material.entries):
        if outcome(entry) in WRONG:
            key = (str(severity(entry)), str(entry["subject"]), entry["metric"], str(entry["group"] or ""))
            alike.setdefault(key, []).append(position)
    ordered = sorted(alike, key=lambda key: (key[0], _rank(key[2]), key))
    return [_finding([(material.entries[each], base.get(each)) for each in alike[key]]) for key in ordered]


def _rank(metric: str) -> int:
    return _TELLING.index(metric) if metric in _TELLING else len(_TELLING)


def _finding(alike: Sequence[tuple[Entry, Measurement | None]]) -> Finding:
    entry, base = min(alike, key=lambda each: gap_of(each[0]) or 0.0)
    others = [scored_by(other) for other, _ in alike if other is not entry]
    return Finding(
        says=finding(entry),
        interval=interval(entry),
        asked=asked(entry),
        distance=distance(entry),
        base=number(base.estimate, entry["metric"]) if base else "",
        by=" and ".join(each.removeprefix("preference/") for each in (scored_by(entry), *others)),
        verdict=outcome(entry),
        anchor=anchor_of(str(entry["audit"])),
    )
