"""Annotations: which gates get one, and that no text can break out of its command."""

from __future__ import annotations

import re

import pytest
from report.entries import line

from aes_audit.report.annotations import gate_annotations

ACTIONS = {"GITHUB_ACTIONS": "true"}
COMMAND = re.compile(r"::(?P<level>error|warning) title=(?P<title>[^:,\r\n]*)::(?P<message>[^\r\n]*)")
"""How the runner takes a line apart: the properties end at the second pair of colons."""


def unescaped(text: str) -> str:
    """What the runner shows, by its own order of replacements."""
    for code, letter in (("%3A", ":"), ("%2C", ","), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, letter)
    return text


def test_one_annotation_per_gate_that_failed_or_could_not_decide_failures_first() -> None:
    verdicts = ["pass", "inconclusive", "fail", "advisory", "error"]
    shown = [COMMAND.fullmatch(text) for text in gate_annotations([line(verdict) for verdict in verdicts], ACTIONS)]
    assert [found and found["level"] for found in shown] == ["error", "error", "warning"]
    assert [found and unescaped(found["title"]) for found in shown] == [
        "quality_shift: error",
        "quality_shift: fail",
        "quality_shift: inconclusive",
    ]


def test_a_kept_gate_whose_baseline_is_not_kept_has_one_too() -> None:
    worse = {"estimate": -1.2, "interval": None, "n": 300, "verdict": "fail", "reason": "worse by 0.9"}
    (shown,) = gate_annotations([line(baseline=worse, outcome="failed")], ACTIONS)
    assert shown == "::error title=quality_shift%3A fail::flux-dev: quality_shift by tiny-reward: worse by 0.9"


@pytest.mark.parametrize(
    "hostile", ["100%", "a\r\n::error::forged", "::stop-commands::x", "title=x,line=3::", "%0A::error::x", "\x1b[2J"]
)
def test_text_stays_text(hostile: str) -> None:
    (shown,) = gate_annotations([line("fail", metric="success_rate", sentence=f"about {hostile}")], ACTIONS)
    found = COMMAND.fullmatch(shown)
    assert found
    message = unescaped(found["message"])
    assert message.isprintable()
    assert message.replace("\\x3a", ":").encode().decode("unicode_escape") == f"about {hostile}"


@pytest.mark.parametrize("environment", [{}, {"GITHUB_ACTIONS": "false"}])
def test_nowhere_else_is_there_any(environment: dict[str, str]) -> None:
    assert not list(gate_annotations([line("fail")], environment))
