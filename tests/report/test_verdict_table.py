"""The verdict table: what comes first, how it is aligned, and what a line says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.entries import line

from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import Verdict
from aes_audit.report.table import verdict_lines, verdict_table


def test_without_measurements_there_is_no_table() -> None:
    assert list(verdict_table([])) == []


def test_a_line_shows_subject_metric_scorer_numbers_threshold_and_verdict() -> None:
    heading, shown, counts = verdict_table([line()])
    assert heading.split() == ["subject", "metric", "by", "estimate", "interval", "n", "threshold", "verdict"]
    words = ["flux-dev", "quality_shift", "tiny-reward", "-1.105", "[-1.340,", "-0.870]", "300", "<=", "-0.5", "pass"]
    assert shown.split() == words
    assert counts == "1 measurement: 1 pass"


def test_what_went_wrong_comes_first_and_in_capitals() -> None:
    verdicts = ["advisory", "pass", "fail", "inconclusive", "error", "pass"]
    lines = list(verdict_table([line(verdict) for verdict in verdicts]))
    assert [row.split()[-1] for row in lines[1:-1]] == ["ERROR", "FAIL", "inconclusive", "pass", "pass", "advisory"]
    assert lines[-1] == "6 measurements: 1 error, 1 fail, 1 inconclusive, 2 pass, 1 advisory"


def test_columns_stand_below_each_other_and_numbers_end_below_each_other() -> None:
    rows = [line(subject="a"), line("fail", subject="a-much-longer-name", estimate=12345.678, interval=None, n=7)]
    heading, *shown, _ = verdict_table(rows)
    for column in ("metric", "by", "threshold", "verdict"):
        start = heading.index(column)
        assert all(row[start - 1] == " " != row[start] for row in shown), column
    for column in ("estimate", "n"):
        end = heading.index(f" {column} ") + len(column) + 1
        assert all(row[end - 1] != " " and row[end : end + 1] == " " for row in shown), column
    assert not any(row.endswith(" ") for row in (heading, *shown))


def test_missing_items_are_shown_beside_the_count() -> None:
    _, shown, _ = verdict_table([line(n=294, missing=6)])
    assert "294 (6 missing)" in shown


def test_what_was_not_measured_is_a_dash_and_not_a_zero() -> None:
    _, shown, _ = verdict_table([line("error", estimate=None, interval=None, n=0, missing=300, reason="down")])
    assert shown.split()[3:5] == ["-", "-"]
    assert "0 (300 missing)" in shown


def test_a_comparison_names_both_models() -> None:
    _, shown, _ = verdict_table([line(subject="dance-flux", base_model="flux-dev")])
    assert shown.startswith("dance-flux vs flux-dev ")


def test_a_reward_under_audit_shows_the_truth_it_was_held_against() -> None:
    row = line(subject="hpsv3", model="a+b", scorer="hpsv3", details={"truth": "preference/vlm"})
    _, shown, _ = verdict_table([row])
    assert shown.split()[:3] == ["hpsv3", "quality_shift", "preference/vlm"]
    assert shown.count("hpsv3") == 1


def test_a_baseline_is_shown_where_any_line_has_one() -> None:
    blessed = {"estimate": -1.2, "interval": [-1.4, -1.0], "n": 300, "tolerance": 0.3}
    heading, *shown, _ = verdict_table([line(baseline=blessed), line(subject="other")])
    assert "baseline" in heading.split()
    assert sum("-1.200" in row for row in shown) == 1


@pytest.mark.parametrize(
    ("condition", "words"),
    [({"at_least": 0.5}, ">= 0.5"), ({"at_most": 0.0}, "<= 0"), ({"margin": 0.15}, "margin 0.15")],
)
def test_the_condition_is_shown_as_it_was_written(condition: dict[str, float], words: str) -> None:
    row = {**line(), "threshold": dict(Gate("here", "m", **condition).threshold)}  # type: ignore[arg-type]
    assert f" {words} " in list(verdict_table([row]))[1]
    assert list(verdict_table([{**line(), "threshold": None}]))[1].split()[-2] == "-"


@given(
    verdicts=st.lists(st.sampled_from([member.value for member in Verdict]), min_size=1, max_size=8), seed=st.randoms()
)
def test_every_measurement_has_one_line_whatever_the_order(verdicts: list[str], seed: Any) -> None:
    rows = [line(verdict, subject=f"model-{number}") for number, verdict in enumerate(verdicts)]
    shuffled = seed.sample(rows, len(rows))
    assert list(verdict_table(rows)) == list(verdict_table(shuffled))
    assert len(list(verdict_table(rows))) == len(rows) + 2


def test_only_what_went_wrong_is_shown_when_asked_to_be_brief_but_everything_is_counted() -> None:
    rows = [line("pass", subject="kept"), line("inconclusive", subject="open"), line("fail", subject="broken")]
    shown = [each.text for each in verdict_lines(rows, brief=True)]
    assert [text.split()[0] for text in shown] == ["subject", "broken", "open", "3"]
    assert [each.text for each in verdict_lines(rows[:1], brief=True)] == ["1 measurement: 1 pass"]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_on_a_narrow_terminal_no_line_is_too_wide_and_nothing_is_lost(width: int) -> None:
    long = line("fail", subject="a-model-of-my-own", base_model="the-model-it-came-from", scorer="preference/vlm")
    shown = [each.text for each in verdict_lines([long, line()], width)]
    assert max(map(len, shown)) <= width
    words = set(" ".join(shown).replace(":", "").replace(",", "").split())
    assert words >= set(" ".join(verdict_table([long, line()])[1:-1]).replace(",", "").split())
    assert len(shown) > 3, "paragraphs, because the table is wider than the terminal"
    assert [each.text for each in verdict_lines([long, line()], 400)] == verdict_table([long, line()])


def test_a_kept_gate_with_a_worse_baseline_is_shown_and_counted_as_what_failed_the_build() -> None:
    worse = {"estimate": -1.2, "interval": None, "n": 300, "verdict": "fail", "reason": "worse by 0.9"}
    rows = [line(baseline=worse, outcome="failed"), line(baseline=worse, outcome="passed", subject="warned")]
    _, first, second, counts = verdict_table(rows)
    assert first.endswith("pass, baseline FAIL")
    assert second.endswith("  pass")
    assert counts == "2 measurements: 1 fail, 1 pass"


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[31mred", "::error::forged", "a\u202eb"])
def test_a_name_cannot_forge_a_line_or_a_colour(name: str) -> None:
    for width in (None, 40):
        shown = [each.text for each in verdict_lines([line("fail", subject=name)], width)]
        assert all(text.isprintable() and not text.lstrip().startswith("::") for text in shown)
    assert len(verdict_table([line(subject=name)])) == 3


def test_a_paragraph_has_no_dash_for_an_interval_that_is_not_there() -> None:
    shown = [each.text.strip() for each in verdict_lines([line(interval=None)], 40)]
    assert "-1.105, n 300, <= -0.5" in shown
    assert "-1.105 [-1.340, -0.870], n 300, <= -0.5" in [each.text.strip() for each in verdict_lines([line()], 70)]
