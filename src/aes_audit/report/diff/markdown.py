"""A difference as Markdown for a pull request: within the size of a comment, and nothing in it is anybody's markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aes_audit.report.diff.change import Change
from aes_audit.report.diff.difference import Difference
from aes_audit.report.diff.folder_texts import Texts
from aes_audit.report.diff.words import (
    alone,
    columns,
    gates,
    headline,
    item_line,
    method,
    name_of,
    sides,
    title,
    tolerated,
    unpaired,
    what_of,
)
from aes_audit.report.escaping import markdown, printable
from aes_audit.report.step_summary import fitting

__all__ = ["LIMIT", "markdown_text"]

LIMIT = 65_536
"""Characters that GitHub takes for one comment; bytes are counted here, of which there are at least as many."""

_RESERVED = 512
"""Bytes kept for saying what was left out."""


def markdown_text(found: Difference, texts: Mapping[tuple[str, str], Texts], limit: int = LIMIT) -> str:
    """What changed in one line, the table, notes, items, and what only one run has; at most `limit` bytes of UTF-8.

    What does not fit is left out from the end, and the last line says so.
    """
    lines = list(_lines(found, texts))
    shown = lines if sum(len(line.encode()) for line in lines) <= limit else fitting(lines, limit - _RESERVED)
    left = len(lines) - len(shown)
    more = (
        f"\n{left} more lines are not shown: a comment takes {limit} bytes. `--format html` has all.\n" if left else ""
    )
    return "".join(shown) + more


def _lines(found: Difference, texts: Mapping[tuple[str, str], Texts]) -> Iterator[str]:
    yield f"### aes_audit diff: {markdown(title(found))}\n\n"
    yield f"{'<br>'.join(map(markdown, sides(found)))}\n\n{markdown(headline(found))}.\n\n"
    yield from _table(found)
    yield f"\n{markdown(method(found))}\n"
    for heading, lines in (
        ("Notes", found.notes),
        ("Not compared", [*unpaired(found), *gates(found), *tolerated(found)]),
        ("New, measured in B only", list(alone(found.new))),
        ("Vanished, measured in A only", list(alone(found.vanished))),
    ):
        if lines:
            yield f"\n**{heading}**\n\n"
            yield from map(_point, lines)
    for change in found.changes:
        yield from _moved(change, texts)


def _table(found: Difference) -> Iterator[str]:
    table = columns(found)
    if table:
        yield f"| {' | '.join(column[0] for column in table)} |\n|{'---|' * len(table)}\n"
        for change, row in zip(found.changes, zip(*(column[1:] for column in table), strict=True), strict=True):
            bold = "**" if change.direction == "worse" else ""
            first, *rest = map(markdown, row)
            yield f"| {' | '.join([f'{bold}{first}{bold}', *rest])} |\n"


def _moved(change: Change, texts: Mapping[tuple[str, str], Texts]) -> Iterator[str]:
    items = change.moved_most()
    if items:
        about = f"{what_of(change)}, {change.direction}"
        yield f"\n**{markdown(about)}** ({markdown(name_of(change))}), moved most:\n\n"
        yield from (_point(item_line(item, texts, change.after["set"])) for item in items)


def _point(text: str) -> str:
    """A point of a list. What it begins with is no list, number or indentation of its own."""
    shown = printable(text)
    first = shown[:1] if shown[:1].isalpha() else "".join(f"&#{ord(letter)};" for letter in shown[:1])
    return f"- {first}{markdown(shown[1:])}\n"
