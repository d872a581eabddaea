"""What a difference says, in the words that terminal, Markdown and page share; not escaped for any of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from aes_audit.report.diff.change import ALPHA, Change, ItemChange
from aes_audit.report.diff.difference import Difference
from aes_audit.report.diff.folder_texts import Texts
from aes_audit.report.diff.side import part_of
from aes_audit.report.outcome import about, outcome, subject
from aes_audit.report.results import Entry

__all__ = [
    "HEADINGS",
    "NUMERIC",
    "alone",
    "cells",
    "columns",
    "gates",
    "headline",
    "item_line",
    "measured_by",
    "method",
    "name_of",
    "prompt_of",
    "sides",
    "title",
    "tolerated",
    "unpaired",
    "what_of",
]

HEADINGS = ("change", "verdict", "subject", "metric", "by", "A", "B", "difference", "item by item", "n", "p (Holm)")
"""Columns of the table of changes."""

NUMERIC = frozenset({"A", "B", "difference", "item by item", "n", "p (Holm)"})
"""Columns of numbers, which stand right."""

_DIRECTIONS = {"worse": "WORSE", "better": "better", "no evidence of change": "no evidence", "not tested": "not tested"}
_LONGEST_PROMPT = 120


def title(found: Difference) -> str:
    """One line for the whole."""
    counted = Counter(change.direction for change in found.changes)
    parts = [f"{counted[name]} {name}" for name in ("worse", "better") if counted[name]]
    return ", ".join(parts) if parts else "no evidence of change" if found.tested else "nothing could be tested"


def headline(found: Difference) -> str:
    """How many measurements there are, by what became of them."""
    counted = Counter(change.direction for change in found.changes)
    parts = [f"{count} {name}" for name, count in counted.items()]
    flips = sum(change.flipped for change in found.changes)
    parts += [f"{flips} with another verdict"] if flips else []
    return (
        f"{len(found.changes)} measurements in both runs"
        + (f": {', '.join(parts)}" if parts else "")
        + f"; {len(found.new)} new, {len(found.vanished)} vanished"
    )


def method(found: Difference) -> str:
    """How it was decided what changed, in one sentence."""
    if not found.tested:
        return "Nothing was tested, so no difference below is more than two numbers beside each other."
    return (
        f"Worse and better are decided item by item over {found.tested} tested measurements, two-sided, "
        f"Holm-adjusted p at most {ALPHA:g}; exact McNemar for rates, DeLong for areas, Wilcoxon's signed ranks for "
        "everything else."
    )


def columns(found: Difference) -> list[tuple[str, ...]]:
    """The table of changes by columns, headings first, without those that say nothing or always the same subject."""
    if not found.changes:
        return []
    table = list(zip(HEADINGS, *map(cells, found.changes), strict=True))
    told_apart = len({name_of(change) for change in found.changes}) > 1
    return [column for column in table if set(column[1:]) != {""} and (told_apart or column[0] != "subject")]


def sides(found: Difference) -> tuple[str, str]:
    """Where the runs lie, with their subject where each has one."""
    told = []
    for side, which in ((found.before, "A"), (found.after, "B")):
        subjects = sorted({subject(entry) for entry in side.entries})
        told.append(f"{which}: {side.name}" + (f" ({subjects[0]})" if len(subjects) == 1 else ""))
    return told[0], told[1]


def cells(change: Change) -> tuple[str, ...]:
    """One change under the HEADINGS; `-` where there is nothing."""
    new = change.after
    return (
        _DIRECTIONS[change.direction],
        _verdicts(change),
        name_of(change),
        _metric(new),
        _by(new),
        _estimate(change.before),
        _estimate(new),
        "-" if change.difference is None else f"{change.difference:+.3f}",
        _paired(change),
        _count(change),
        "-" if change.p_adjusted is None else f"{change.p_adjusted:.2g}",
    )


def name_of(change: Change) -> str:
    """Subject, with both names where it was renamed."""
    old, new = subject(change.before), subject(change.after)
    return new if old == new else f"{old} -> {new}"


def what_of(change: Change) -> str:
    """Metric, group and who measured it, in a few words."""
    return " ".join(filter(None, (_metric(change.after), measured_by(change))))


def measured_by(change: Change) -> str:
    """`by` the scorer, for a reward under audit `against` what it was held against; empty where there is nothing."""
    name = _by(change.after)
    how = "against" if change.after["subject"] == change.after["scorer"] else "by"
    return f"{how} {name}" if name else ""


def unpaired(found: Difference) -> Iterator[str]:
    """A line per reason why measurements were not compared item by item, with those it is true of."""
    told: dict[str, list[str]] = {}
    for change in found.changes:
        if change.obstacles:
            told.setdefault("; ".join(change.obstacles), []).append(about(change.after))
    for why, names in told.items():
        yield f"not comparable item by item, because {why}: {_listed(names)}"


def gates(found: Difference) -> Iterator[str]:
    """A line per difference between thresholds, with the measurements it is true of."""
    told: dict[str, list[str]] = {}
    for change in found.changes:
        if change.note:
            told.setdefault(change.note, []).append(about(change.after))
    for note, names in told.items():
        yield f"verdicts not comparable because of {note}: {_listed(names)}"


def tolerated(found: Difference) -> Iterator[str]:
    """A line per significant difference that is not called a change, because its baseline tolerates it."""
    for change in found.changes:
        if change.tolerated:
            sizes = f"{abs(change.difference or 0.0):.3g} is within its baseline's tolerance {change.tolerance:.3g}"
            yield f"not called a change, because {sizes}: {about(change.after)}"


def alone(entries: Sequence[Entry]) -> Iterator[str]:
    """A line per measurement that only one run has."""
    for entry in entries:
        bounds = entry["interval"]
        around = f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""
        yield f"{about(entry)}: {_estimate(entry)}{around}, {outcome(entry)}"


def item_line(item: ItemChange, texts: Mapping[tuple[str, str], Texts], set_: str) -> str:
    """One item that moved, with what it asked for where that is known, cut where it is long."""
    asked = prompt_of(texts, set_, item.item)
    shown = asked if len(asked) <= _LONGEST_PROMPT else f"{asked[: _LONGEST_PROMPT - 1]}…"
    return f"{item.item}: {item.before:.4g} -> {item.after:.4g}" + (f"  {shown}" if shown else "")


def prompt_of(texts: Mapping[tuple[str, str], Texts], set_: str, item: str) -> str:
    """What was asked of an item, whichever of several generators it is by; empty where it is not known."""
    found = texts.get((set_, item)) or texts.get((set_, item.partition(" by ")[0]))
    return found.wide if found else ""


def _metric(entry: Entry) -> str:
    return f"{entry['metric']} ({entry['group']})" if entry["group"] else str(entry["metric"])


def _by(entry: Entry) -> str:
    """The scorer; of a reward under audit what it was held against, if anything."""
    if entry["subject"] != entry["scorer"]:
        return str(entry["scorer"])
    return str(entry["details"].get("truth") or part_of(entry["details"], "reference").get("model") or "")


def _verdicts(change: Change) -> str:
    old, new = outcome(change.before), outcome(change.after)
    return new if old == new else f"{_loud(old)} -> {_loud(new)}"


def _loud(verdict: str) -> str:
    return verdict.upper() if verdict in ("fail", "error") else verdict


def _estimate(entry: Entry) -> str:
    value = entry["estimate"]
    return "-" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def _paired(change: Change) -> str:
    """The mean difference of item values, which are scores where the estimate is an effect size."""
    if change.paired is None:
        return "-"
    bounds = change.paired.interval.bounds
    if not bounds and not change.paired.change.any():
        return "all alike"
    around = f" [{bounds[0]:+.3f}, {bounds[1]:+.3f}]" if bounds else f" ({change.paired.interval.reason})"
    return f"{change.paired.mean:+.3f}{around}"


def _count(change: Change) -> str:
    if change.paired is not None:
        return str(change.paired.n)
    old, new = change.before["n"], change.after["n"]
    return str(new) if old == new else f"{old} -> {new}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
