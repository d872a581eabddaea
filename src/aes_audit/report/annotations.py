"""Workflow commands of GitHub Actions: one annotation per gate that failed or could not decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from aes_audit.report.escaping import command_data, command_property, printable
from aes_audit.report.outcome import WRONG, explanation, ordered, outcome
from aes_audit.report.results import Entry

__all__ = ["gate_annotations"]

_LEVELS = {"error": "error", "fail": "error", "inconclusive": "warning"}


def gate_annotations(entries: Sequence[Entry], environment: Mapping[str, str]) -> Iterator[str]:
    """Lines for the log of a job, none outside GitHub Actions.

    `environment` is that of the process. An inconclusive verdict is a warning whatever it does to the build, because
    it is no regression. GitHub shows the first ten errors and the first ten warnings of a step: failures come first.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        return
    for entry in ordered(entries):
        if (found := outcome(entry)) in WRONG:
            title = command_property(printable(f"{entry['metric']}: {found}"))
            yield f"::{_LEVELS[found]} title={title}::{command_data(printable(explanation(entry)))}"
