"""The one command after a run: what it is for, and that a shell takes it apart as it was meant."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from report.entries import line

from aes_audit.gates.thresholds import Gate
from aes_audit.report.next_command import Typed, next_command
from aes_audit.report.results import Entry

LIVE = Typed(("audits/", "--model=flux-dev"), pairs=50, planned=100, available=300)


def words(entries: list[Entry], run: Typed) -> tuple[str, list[str]]:
    """What for, and the arguments that a shell hands over."""
    found = next_command(entries, run)
    assert found is not None
    assert "\n" not in found
    what_for, _, command = found.partition(": ")
    return what_for, shlex.split(command)


def test_a_failed_comparison_with_the_base_model_is_looked_at_before_any_other_failure() -> None:
    alone = line("fail", test="audits/test_a.py::test_alone[flux-dev, by x]")
    paired = line("fail", base_model="base", test="audits/test_b.py::test_paired[flux-dev, vs base]")
    what_for, typed = words([alone, line("error"), paired], LIVE)
    assert what_for == "look at the pairs"
    chosen = ["-k", "test_paired and flux-dev", "--audit-report=audit-report"]
    assert typed == ["pytest", "audits/", "--model=flux-dev", *chosen]


def test_a_report_that_is_there_is_opened() -> None:
    run = Typed((), report=Path("my reports/one"))
    assert words([line("fail")], run) == (
        "look at the pairs",
        ["python", "-m", "webbrowser", "my reports/one/index.html"],
    )


def test_what_writes_or_chooses_tests_is_not_repeated() -> None:
    once = ["-q", "-k", "x", "--audit-json", "r.json", "--audit-bless=why", "--snapshot-update", "--junitxml=j.xml"]
    run = Typed((*once, "-n", "2", "--audit-store=s"))
    assert words([line("fail", test="t.py::test_a[x]")], run)[1][:4] == ["pytest", "-n", "2", "--audit-store=s"]


def test_a_subject_that_no_keyword_can_name_is_left_to_the_function() -> None:
    _, typed = words([line("fail", subject="me/m@main", test="t.py::test_a[me/m@main, by x]")], LIVE)
    assert typed[typed.index("-k") + 1] == "test_a"


def test_a_hostile_name_is_one_word_of_the_command() -> None:
    run = Typed(("--model=$(touch x); `y` '\"",))
    assert words([line("fail")], run)[1][1] == "--model=$(touch x); `y` '\""


@pytest.mark.parametrize(
    ("interval", "pairs"),
    [
        ((-0.60, -0.48), "--audit-pairs=120"),
        ((-0.70, -0.40), "--audit-pairs=300"),
        ((-0.64, -0.46), "--audit-pairs=170"),
    ],
)
def test_an_open_verdict_gets_the_pairs_that_would_probably_decide_it(
    interval: tuple[float, float], pairs: str
) -> None:
    # The upper half of the interval must shrink to the distance from -0.5, and it falls with the root of n: 1.5, 3 and
    # 1.8 times narrower take 2.25, 9 and 3.24 times as many pairs as 50, of the 300 that there are.
    open_ = line("inconclusive", estimate=sum(interval) / 2, interval=interval, n=50)
    what_for, typed = words([open_], LIVE)
    assert what_for == "decide with more pairs"
    assert typed[-1] == pairs


def test_without_more_pairs_an_open_verdict_is_looked_at() -> None:
    used = Typed((), pairs=300, planned=300, available=300)
    for run in (used, Typed(("--evidence=t.csv",))):
        assert words([line("inconclusive", estimate=-0.55, interval=(-0.7, -0.4))], run)[0] == "look at the pairs"


def test_too_few_pairs_for_an_interval_become_those_of_the_profile() -> None:
    open_ = line("inconclusive", estimate=0.9, interval=None, n=16)
    for typed in (("--audit-pairs=16",), ("--audit-pairs", "16")):
        run = Typed((*typed, "-n2"), pairs=16, planned=100, available=300)
        assert words([open_], run)[1] == ["pytest", "-n2", "--audit-pairs=100"], "and no second number"


def test_a_margin_is_a_limit_on_the_side_that_is_nearer() -> None:
    gate = Gate("here", "realignment_quality", margin=0.3)
    open_ = line("inconclusive", estimate=-0.25, interval=(-0.35, -0.15), n=50, gate=gate)
    assert words([open_], LIVE)[1][-1] == "--audit-pairs=200"


def test_where_the_money_ended_the_same_command_goes_on() -> None:
    spent = line("inconclusive", estimate=None, interval=None, n=0, reason="spent", details={"budget": "spent"})
    assert words([spent], LIVE) == ("go on where the money ended", ["pytest", "audits/", "--model=flux-dev"])


def test_what_was_not_measured_is_measured_again() -> None:
    lost = line("error", estimate=None, interval=None, n=0, reason="down", test="t.py::test_a[flux-dev]")
    assert words([lost, line()], LIVE)[1][-2:] == ["-k", "test_a and flux-dev"]


def test_new_numbers_are_blessed_and_known_ones_need_nothing() -> None:
    whole = Typed(("audits/",), pairs=100, planned=100, available=300)
    assert words([line()], whole)[1] == ["pytest", "audits/", "--snapshot-update", "--audit-bless=why"]
    assert next_command([line(baseline={"estimate": -1.1})], whole) is None
    assert next_command([line()], LIVE) is None, "half of the pairs cannot be blessed"
    assert next_command([], whole) is None
