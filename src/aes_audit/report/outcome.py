"""What measurements mean for the build: verdicts, and what became of the tests that hold them against baselines."""

from __future__ import annotations

from collections.abc import Sequence

from aes_audit.report.results import Entry

__all__ = ["ORDER", "WRONG", "about", "explanation", "ordered", "outcome", "overall", "subject"]

ORDER = ("error", "fail", "inconclusive", "pass", "advisory")
"""Verdicts, what went wrong first."""

WRONG = ("error", "fail", "inconclusive")
"""What a person has to look at."""


def outcome(entry: Entry) -> str:
    """The verdict, or that of the comparison with the baseline where this is what failed the test.

    A test that failed although gate and baseline were content, because its baseline cannot be read for instance, is
    an `error`. Entries of results files without the outcome of the test have their verdict.
    """
    verdict = str(entry["verdict"])
    if verdict in WRONG or entry.get("outcome") != "failed":
        return verdict
    compared = (entry["baseline"] or {}).get("verdict")
    return str(compared) if compared in WRONG else "error"


def ordered(entries: Sequence[Entry]) -> list[Entry]:
    """What went wrong first, then by subject and metric: the order in which workers were done says nothing."""
    return sorted(entries, key=lambda entry: (ORDER.index(outcome(entry)), subject(entry), about(entry)))


def overall(entries: Sequence[Entry], *, interrupted: bool = False) -> str:
    """One word for a whole run: its worst outcome, where a failure outweighs what was not measured.

    At least `error` for a run without measurements or one that was interrupted; `advisory` where nothing was gated.
    """
    found = {outcome(entry) for entry in entries} | ({"error"} if interrupted or not entries else set())
    return next(word for word in ("fail", "error", "inconclusive", "pass", "advisory") if word in found)


def subject(entry: Entry) -> str:
    """What the verdict is about, with the base model where there is one."""
    if entry["subject"] == entry["scorer"]:
        return str(entry["subject"])
    versus = f" vs {entry['base_model']}" if entry["base_model"] else ""
    return f"{entry['subject']}{versus}"


def about(entry: Entry) -> str:
    """Subject, metric and scorer in a few words."""
    by = "" if entry["subject"] == entry["scorer"] else f" by {entry['scorer']}"
    group = f" ({entry['group']})" if entry["group"] else ""
    return f"{subject(entry)}: {entry['metric']}{group}{by}"


def explanation(entry: Entry) -> str:
    """Why the outcome is what it is, in one sentence."""
    if outcome(entry) == entry["verdict"]:
        return str(entry.get("sentence") or f"{about(entry)}: {entry['verdict']}, {entry['reason']}")
    reason = (entry["baseline"] or {}).get("reason") or "the gate is kept, but the test failed: its message says why"
    return f"{about(entry)}: {reason}"
