"""A difference as lines of a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from aes_audit.report.diff.change import Change
from aes_audit.report.diff.difference import Difference
from aes_audit.report.diff.folder_texts import Texts
from aes_audit.report.diff.words import (
    HEADINGS,
    NUMERIC,
    alone,
    cells,
    columns,
    gates,
    headline,
    item_line,
    method,
    name_of,
    sides,
    tolerated,
    unpaired,
    what_of,
)
from aes_audit.report.escaping import printable

__all__ = ["terminal_lines"]


def terminal_lines(
    found: Difference, texts: Mapping[tuple[str, str], Texts], width: int | None = None
) -> Iterator[str]:
    """Everything, what matters first. Where the table would be wider than `width`, each change is a paragraph."""
    for line in _lines(found, texts, width):
        yield printable(line)


def _lines(found: Difference, texts: Mapping[tuple[str, str], Texts], width: int | None) -> Iterator[str]:
    yield from sides(found)
    yield from (f"note: {note}" for note in found.notes)
    yield ""
    yield from _table(found, width)
    yield headline(found)
    yield method(found)
    for change in found.changes:
        yield from _moved(change, texts)
    for heading, lines in (
        ("Not compared", [*unpaired(found), *gates(found), *tolerated(found)]),
        ("New, measured in B only", list(alone(found.new))),
        ("Vanished, measured in A only", list(alone(found.vanished))),
    ):
        if lines:
            yield from ("", f"{heading}:", *(f"  {line}" for line in lines))


def _table(found: Difference, width: int | None) -> Iterator[str]:
    padded = map(_aligned, columns(found))
    lines = ["  ".join(row).rstrip() for row in zip(*padded, strict=True)]
    if width is None or max(map(len, lines), default=0) <= width:
        yield from lines
        return
    several = len({name_of(change) for change in found.changes}) > 1
    for change in found.changes:
        about = f"{name_of(change)}: {what_of(change)}" if several else what_of(change)
        yield from _paragraph(about, dict(zip(HEADINGS, cells(change), strict=True)), width)


def _aligned(column: Sequence[str]) -> list[str]:
    size = max(map(len, column))
    return [cell.rjust(size) if column[0] in NUMERIC else cell.ljust(size) for cell in column]


def _paragraph(about: str, row: Mapping[str, str], width: int) -> Iterator[str]:
    numbers = f"{row['A']} -> {row['B']} ({row['difference']})"
    if row["item by item"] != "-":
        numbers += f", item by item {row['item by item']}, p {row['p (Holm)']}"
    wrapper = textwrap.TextWrapper(width, subsequent_indent=" " * 12, break_long_words=False, break_on_hyphens=False)
    yield from wrapper.wrap(f"{row['change']:12}{row['verdict']}, {about}")
    yield from wrapper.wrap(f"{'':12}{numbers}, n {row['n']}")


def _moved(change: Change, texts: Mapping[tuple[str, str], Texts]) -> Iterator[str]:
    items = change.moved_most()
    if not items or change.paired is None:
        return
    paired = change.paired
    counts = f"{paired.raised} of {len(paired.items)} items higher, {paired.lowered} lower"
    yield ""
    yield f"{what_of(change)}, {change.direction}: {counts}; moved most:"
    yield from (f"  {item_line(item, texts, change.after['set'])}" for item in items)
