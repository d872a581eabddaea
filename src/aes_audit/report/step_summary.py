"""The summary of a pipeline's step as Markdown: every verdict, failures first, within GitHub's limit on its size."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from aes_audit.errors import UsageError
from aes_audit.report.escaping import markdown, printable
from aes_audit.report.outcome import WRONG, explanation, ordered, outcome, overall
from aes_audit.report.results import Entry
from aes_audit.report.table import columns, counts

__all__ = ["LIMIT", "fitting", "markdown_table", "step_summary", "write_step_summary"]

LIMIT = 1024 * 1024
"""Bytes that GitHub takes for one step; of a longer summary it shows nothing."""

_RESERVED = 512
"""Bytes kept for saying what was left out."""


def write_step_summary(
    environment: Mapping[str, str], entries: Sequence[Entry], command: str | None = None, *, interrupted: bool = False
) -> None:
    """Append to the file that GITHUB_STEP_SUMMARY names; nothing where it names none or there are no entries.

    What earlier commands of the step wrote counts towards the limit. Raises UsageError when the file cannot be written.
    """
    named = environment.get("GITHUB_STEP_SUMMARY")
    if not named or not entries:
        return
    path = Path(named)
    try:
        written = path.stat().st_size if path.exists() else 0
        with path.open("a", encoding="utf-8") as file:
            file.write(step_summary(entries, LIMIT - written, command, interrupted=interrupted))
    except OSError as error:
        raise UsageError(f"step summary {path} cannot be written: {error.strerror}.") from error


def step_summary(
    entries: Sequence[Entry], limit: int = LIMIT, command: str | None = None, *, interrupted: bool = False
) -> str:
    """Verdict, counts, a table of all measurements, why each bad one is bad, and what to run next.

    At most `limit` bytes of UTF-8: what does not fit is left out from the end of the table and of the reasons, and
    said so. Empty when not even the counts fit.
    """
    shown = ordered(entries)
    lost = "The run was interrupted: audits that it did not reach are missing here.\n\n" if interrupted else ""
    head = f"### aes_audit: {overall(entries, interrupted=interrupted)}\n\n{counts(entries)}\n\n{lost}"
    tail = f"\nNext:\n\n<pre>{html.escape(printable(command))}</pre>\n" if command else ""
    room = limit - _RESERVED - len((head + tail).encode())
    if room < 0:
        return ""
    heading, *rows = _rows(shown)
    # Half for the table: a long one must not take the place of the reasons.
    table = fitting(rows, room // 2 - len(heading.encode()))
    reasons = [f"- {markdown(explanation(entry))}\n" for entry in shown if outcome(entry) in WRONG]
    told = fitting(reasons, room - len((heading + "".join(table)).encode()))
    body = [heading, *table, _left_out(len(rows) - len(table), "measurements"), "\n"]
    body += [*told, _left_out(len(reasons) - len(told), "reasons")]
    return head + "".join(body) + tail + "\n"


def markdown_table(entries: Sequence[Entry]) -> str:
    """The verdict table as Markdown, one line per entry, in their order."""
    return "".join(_rows(entries))


def _rows(entries: Sequence[Entry]) -> Iterator[str]:
    table = columns(entries)
    names = [column[0] for column in table]
    yield f"| {' | '.join(names)} |\n|{'---|' * len(names)}\n"
    for entry, row in zip(entries, zip(*(column[1:] for column in table), strict=True), strict=True):
        bold = "**" if outcome(entry) in WRONG else ""
        *numbers, verdict = map(markdown, row)
        yield f"| {' | '.join([*numbers, f'{bold}{verdict}{bold}'])} |\n"


def fitting(lines: Sequence[str], room: int) -> Sequence[str]:
    """As many lines from the beginning as fit into `room` bytes."""
    for number, line in enumerate(lines):
        room -= len(line.encode())
        if room < 0:
            return lines[:number]
    return lines


def _left_out(number: int, noun: str) -> str:
    return f"\n{number} more {noun} are not shown: GitHub takes 1 MiB. The results file has all.\n" if number else ""
