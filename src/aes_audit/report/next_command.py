"""The one command that a person most probably wants to run after a run."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aes_audit.report.outcome import ordered, outcome
from aes_audit.report.results import Entry

__all__ = ["Typed", "next_command"]

REPORT = "audit-report"
"""Where the suggested report goes."""

_WRITING = ("--audit-json", "--audit-report", "--audit-bless", "--audit-calibrate", "--junitxml", "--junit-xml", "-k")
"""Options with a value that a command run for a look must not repeat: they write, or choose the tests."""
_SWITCHES = ("--snapshot-update", "-q", "--quiet", "-qq")

_ROUNDED = 10
"""Suggested numbers of pairs are multiples of this."""

_KEYWORD = re.compile(r"[\w:+\-.\[\]\\/]+")
"""What pytest's -k reads as one word."""


@dataclass(frozen=True, slots=True)
class Typed:
    """The run that is over."""

    arguments: tuple[str, ...]
    """Arguments of pytest, as typed."""
    report: Path | None = None
    """The report it has written."""
    pairs: int | None = None
    """Pairs in use; None for recorded evidence."""
    planned: int = 0
    """Pairs of the profile."""
    available: int = 0
    """Pairs of the whole prompt set."""


def next_command(entries: Sequence[Entry], run: Typed) -> str | None:
    """One line, `what for: command`, for the most pressing outcome; None when nothing is left to do.

    A failure is looked at, what was not measured is measured again, an inconclusive verdict gets the pairs that would
    probably decide it, and new numbers that are as they should be are blessed.
    """
    shown = ordered(entries)
    by_outcome = {word: [entry for entry in shown if outcome(entry) == word] for word in ("fail", "error")}
    if failed := by_outcome["fail"]:
        return _look(failed, run)
    if lost := by_outcome["error"]:
        return f"measure again when the cause above is gone: {_again(run, *_chosen(lost[0]))}"
    if open_ := [entry for entry in shown if outcome(entry) == "inconclusive"]:
        return _decide(open_, run)
    return _bless(shown, run)


def _look(failed: Sequence[Entry], run: Typed) -> str:
    """A comparison with the base model shows most: both models' images of a pair stand side by side."""
    if run.report:
        return f"look at the pairs: python -m webbrowser {shlex.quote(str(run.report / 'index.html'))}"
    worst = next((entry for entry in failed if entry["base_model"]), failed[0])
    return f"look at the pairs: {_again(run, *_chosen(worst), f'--audit-report={REPORT}')}"


def _decide(open_: Sequence[Entry], run: Typed) -> str:
    if any(entry["details"].get("budget") == "spent" for entry in open_):
        return f"go on where the money ended: {_again(run)}"
    needed = [count for entry in open_ if (count := _needed(entry, run.planned))]
    if run.pairs is not None and run.pairs < run.available and needed:
        pairs = min(max(*needed, run.pairs + _ROUNDED), run.available)
        return f"decide with more pairs: {_again(run, f'--audit-pairs={pairs}')}"
    return _look(open_, run)


def _needed(entry: Entry, planned: int) -> int | None:
    """Items at which the interval would probably leave the threshold: its width falls with the root of their number.

    As many as are `planned` where there are too few for an interval.
    """
    estimate, bounds, items = entry["estimate"], entry["interval"], int(entry["n"])
    limits = _limits(entry["threshold"] or {})
    if entry["set"] != "pairs" or estimate is None or not limits:
        return None
    if bounds is None:
        return planned if items < planned else None
    limit = min(limits, key=lambda each: abs(estimate - each))
    reach = bounds[1] - estimate if limit > estimate else estimate - bounds[0]
    if estimate == limit:
        return None
    return _ROUNDED * math.ceil(items * float(reach / (estimate - limit)) ** 2 / _ROUNDED)


def _limits(condition: Mapping[str, float]) -> list[float]:
    # A margin is on the bad side of zero; which side that is, the nearer one tells.
    margin = condition.get("margin")
    both = [] if margin is None else [margin, -margin]
    return both + [condition[name] for name in ("at_least", "at_most") if name in condition]


def _bless(entries: Sequence[Entry], run: Typed) -> str | None:
    new = [entry for entry in entries if entry["baseline"] is None and entry["estimate"] is not None]
    whole = run.pairs is None or run.pairs >= run.planned
    if not new or not whole or any(entry["missing"] for entry in new):
        return None
    return f"make these numbers the baseline: {_again(run, '--snapshot-update', '--audit-bless=why')}"


def _chosen(entry: Entry) -> Iterator[str]:
    """Options that select the test of an entry; its subject is named where -k can read it."""
    _, _, function = str(entry.get("test", "")).rpartition("::")
    words = [word for word in (function.partition("[")[0], str(entry["subject"])) if _KEYWORD.fullmatch(word)]
    if function and words:
        yield from ("-k", " and ".join(words))


def _again(run: Typed, *more: str) -> str:
    replaced = {word.partition("=")[0] for word in more if word.startswith("--")}
    return shlex.join(["pytest", *_kept(run.arguments, {*_WRITING, *replaced}), *more])


def _kept(arguments: Sequence[str], dropped: Collection[str]) -> Iterator[str]:
    """What was typed, without options that are `dropped`, each with its value."""
    left = iter(arguments)
    for argument in left:
        name, _, value = argument.partition("=")
        if name in dropped and not value and name not in _SWITCHES:
            next(left, None)
        elif name not in dropped and name not in _SWITCHES:
            yield argument
