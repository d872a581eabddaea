"""The verdict table that a person reads at the end of a run, as lines with what they say about the build."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aes_audit.report.escaping import printable
from aes_audit.report.outcome import ORDER, WRONG, about, ordered, outcome, overall, subject
from aes_audit.report.results import Entry

__all__ = ["HEADINGS", "Line", "cells", "columns", "counts", "images_saved", "verdict_lines", "verdict_table"]

HEADINGS = ("subject", "metric", "by", "estimate", "interval", "n", "threshold", "baseline", "paper", "verdict")
"""Columns of the table."""

_NUMERIC = {"estimate", "interval", "n", "baseline", "paper"}
_OPTIONAL = {"baseline", "paper"}
"""Columns that are left out when no line has anything in them."""

_WIDEST_VERDICT = len("inconclusive")


class Line(NamedTuple):
    """One line of the terminal."""

    text: str
    """Without colours or line end."""
    verdict: str | None = None
    """What the line says about the build, for its colour; None where it says nothing."""


def verdict_table(entries: Sequence[Entry]) -> list[str]:
    """The whole table as text, however wide."""
    return [line.text for line in verdict_lines(entries)]


def verdict_lines(entries: Sequence[Entry], width: int | None = None, *, brief: bool = False) -> Iterator[Line]:
    """Header, one line per entry with what went wrong first, and a line of counts.

    Where a line would be wider than `width` columns, each entry is a short paragraph instead. `brief` leaves out what
    is as it should be.
    """
    if not entries:
        return
    shown = [entry for entry in ordered(entries) if not brief or outcome(entry) in WRONG]
    if shown:
        table = list(_table(shown))
        fits = width is None or max(len(line.text) for line in table) <= width
        yield from table if fits else _paragraphs(shown, width or 0)
    yield Line(counts(entries), overall(entries))


def columns(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """The table by columns, headings first, without those that say nothing."""
    rows = [HEADINGS, *(cells(entry) for entry in entries)]
    return [column for column in zip(*rows, strict=True) if column[0] not in _OPTIONAL or set(column[1:]) != {"-"}]


def _table(entries: Sequence[Entry]) -> Iterator[Line]:
    heading, *rows = zip(*map(_aligned, columns(entries)), strict=True)
    yield Line("  ".join(heading).rstrip())
    for entry, row in zip(entries, rows, strict=True):
        yield Line("  ".join(row).rstrip(), outcome(entry))


def _aligned(column: Sequence[str]) -> Iterator[str]:
    width = max(map(len, column))
    return (cell.rjust(width) if column[0] in _NUMERIC else cell.ljust(width) for cell in column)


def _paragraphs(entries: Sequence[Entry], width: int) -> Iterator[Line]:
    """Verdict and what it is about, and below it the numbers; broken between words where they are too long."""
    left = " " * (_WIDEST_VERDICT + 2)
    for entry in entries:
        named = dict(zip(HEADINGS, cells(entry), strict=True))
        numbers = [f"{named['estimate']} {named['interval']}".removesuffix(" -"), f"n {named['n']}"]
        numbers += [named["threshold"]] if named["threshold"] != "-" else []
        numbers += [f"{name} {named[name]}" for name in ("baseline", "paper") if named[name] != "-"]
        title = f"{named['verdict']:{len(left)}}{printable(about(entry))}"
        wrapper = textwrap.TextWrapper(width, subsequent_indent=left, break_long_words=False, break_on_hyphens=False)
        for line in (*wrapper.wrap(title), *wrapper.wrap(left + ", ".join(numbers))):
            yield Line(line, outcome(entry))


def cells(entry: Entry) -> tuple[str, ...]:
    """One entry under the HEADINGS, printable and not escaped for anything else; `-` where there is nothing."""
    missing = f" ({entry['missing']} missing)" if entry["missing"] else ""
    return (
        printable(subject(entry)),
        printable(f"{entry['metric']} ({entry['group']})" if entry["group"] else entry["metric"]),
        printable(_read(entry)),
        f"stopped at {entry['details']['stopped_at']}" if _stopped(entry) else _number(entry["estimate"]),
        _interval(entry["details"]["bounds"] if _stopped(entry) else entry["interval"]),
        f"{entry['n']}{missing}",
        _threshold(entry["threshold"]),
        _number((entry["baseline"] or {}).get("estimate")),
        _number((entry["published"] or {}).get("estimate")),
        _verdict(entry),
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


def _read(entry: Entry) -> str:
    """What stands behind the number: the scorer, or for a reward what it was held against."""
    if entry["subject"] == entry["scorer"]:
        reference = entry["details"].get("reference") or {}
        return str(entry["details"].get("truth") or reference.get("model") or "")
    if judges := entry["details"].get("judges"):
        return " and ".join(str(judge).removeprefix("preference/") for judge in judges)
    return str(entry["scorer"])


def _verdict(entry: Entry) -> str:
    """The verdict; where the gate is kept and the baseline is not, both."""
    found = outcome(entry)
    shown = found.upper() if found in ("fail", "error") else found
    if found == entry["verdict"]:
        return shown
    return f"{entry['verdict']}, baseline {shown}" if entry["baseline"] else f"{entry['verdict']}, test {shown}"


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


def counts(entries: Sequence[Entry]) -> str:
    """How many measurements there are, by what they mean for the build."""
    counted = Counter(map(outcome, entries))
    shown = [f"{counted[verdict]} {verdict}" for verdict in ORDER if counted[verdict]]
    return f"{len(entries)} measurement{'s' if len(entries) != 1 else ''}: {', '.join(shown)}"
