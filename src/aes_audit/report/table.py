"""The verdict table that a person reads at the end of a run, as plain lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aes_audit.report.results import Entry

__all__ = ["images_saved", "verdict_table"]

_ORDER = ("error", "fail", "inconclusive", "pass", "advisory")
_HEADINGS = ("subject", "metric", "by", "estimate", "interval", "n", "threshold", "baseline", "paper", "verdict")
_NUMERIC = {"estimate", "interval", "n", "baseline", "paper"}
_OPTIONAL = {"baseline", "paper"}
"""Columns that are left out when no line has anything in them."""


def verdict_table(entries: Sequence[Entry]) -> Iterator[str]:
    """Header, one line per entry with what went wrong first, and a line of counts."""
    if not entries:
        return
    ordered = sorted(entries, key=lambda entry: (_ORDER.index(entry["verdict"]), _subject(entry)))
    rows = [_HEADINGS, *(_cells(entry) for entry in ordered)]
    columns = [column for column in zip(*rows, strict=True) if column[0] not in _OPTIONAL or set(column[1:]) != {"-"}]
    for row in zip(*map(_aligned, columns), strict=True):
        yield "  ".join(row).rstrip()
    yield _counts(entries)


def _aligned(column: Sequence[str]) -> Iterator[str]:
    width = max(map(len, column))
    return (cell.rjust(width) if column[0] in _NUMERIC else cell.ljust(width) for cell in column)


def _cells(entry: Entry) -> tuple[str, ...]:
    missing = f" ({entry['missing']} missing)" if entry["missing"] else ""
    return (
        _subject(entry),
        f"{entry['metric']} ({entry['group']})" if entry["group"] else entry["metric"],
        _read(entry),
        f"stopped at {entry['details']['stopped_at']}" if _stopped(entry) else _number(entry["estimate"]),
        _interval(entry["details"]["bounds"] if _stopped(entry) else entry["interval"]),
        f"{entry['n']}{missing}",
        _threshold(entry["threshold"]),
        _number((entry["baseline"] or {}).get("estimate")),
        _number((entry["published"] or {}).get("estimate")),
        entry["verdict"].upper() if entry["verdict"] in ("fail", "error") else entry["verdict"],
    )


def images_saved(entries: Sequence[Entry]) -> Iterator[str]:
    """One line per generator that was stopped early: what the fixed design would have cost."""
    stopped = [(entry["model"], entry["details"]) for entry in entries if _stopped(entry)]
    for model in sorted({model for model, _ in stopped}):
        # What was seen when the last of the gates was settled is what was made.
        seen, planned = max((details["stopped_at"], details["planned"]) for name, details in stopped if name == model)
        yield f"stopped early: {model} after {seen} of {planned} pairs; {2 * (planned - seen)} images were not needed"


def _stopped(entry: Entry) -> bool:
    return "early_stop" in entry["details"]


def _subject(entry: Entry) -> str:
    if entry["subject"] == entry["scorer"]:
        return str(entry["subject"])
    versus = f" vs {entry['base_model']}" if entry["base_model"] else ""
    return f"{entry['subject']}{versus}"


def _read(entry: Entry) -> str:
    """What stands behind the number: the scorer, or for a reward what it was held against."""
    if entry["subject"] == entry["scorer"]:
        reference = entry["details"].get("reference") or {}
        return str(entry["details"].get("truth") or reference.get("model") or "")
    if judges := entry["details"].get("judges"):
        return " and ".join(str(judge).removeprefix("preference/") for judge in judges)
    return str(entry["scorer"])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def _interval(bounds: Sequence[float] | None) -> str:
    return f"[{_number(bounds[0])}, {_number(bounds[1])}]" if bounds else "-"


def _threshold(threshold: Mapping[str, Any] | None) -> str:
    if threshold is None:
        return "-"
    for key, sign in (("at_least", ">="), ("at_most", "<="), ("margin", "margin")):
        if key in threshold:
            return f"{sign} {threshold[key]:g}"
    return "-"


def _counts(entries: Sequence[Entry]) -> str:
    counted = Counter(entry["verdict"] for entry in entries)
    shown = [f"{counted[verdict]} {verdict}" for verdict in _ORDER if counted[verdict]]
    return f"{len(entries)} measurements: {', '.join(shown)}"
