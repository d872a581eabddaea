"""Baselines: written by syrupy's --snapshot-update, compared within a tolerance, in --audit-baselines."""

from __future__ import annotations

import json

import pytest

from plugin.conftest import Run
from plugin.recorded import rows_of, write_evidence

FILE = "baselines/good/success_rate.json"


def test_a_run_without_a_baseline_passes_and_writes_none(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good").assert_outcomes(passed=1)
    assert not (pytester.path / "baselines").exists()


def test_an_unchanged_measurement_passes_against_its_baseline(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", "--snapshot-update").assert_outcomes(passed=1)
    (kept,) = json.loads((pytester.path / FILE).read_text()).values()
    assert kept["estimate"] == pytest.approx(0.8)
    assert kept["tolerance"] == 0.05
    judged("--model=good").assert_outcomes(passed=1)


@pytest.mark.parametrize(("rate", "outcome"), [(0.77, {"passed": 1}), (0.7, {"failed": 1})])
def test_a_change_beyond_the_tolerance_fails_with_old_new_and_tolerance(
    judged: Run, pytester: pytest.Pytester, rate: float, outcome: dict[str, int]
) -> None:
    judged("--model=good", "--snapshot-update")
    write_evidence(pytester.path / "table.csv", rows_of("good", success=rate, shift=-2.0))
    result = judged("--model=good")
    result.assert_outcomes(**outcome)
    if "failed" in outcome:
        result.stdout.fnmatch_lines(["*left its baseline: old 0.8, new 0.7, tolerance 0.05.*--snapshot-update.*"])
        judged("--model=good", "--snapshot-update").assert_outcomes(passed=1)
        judged("--model=good").assert_outcomes(passed=1)


def test_another_number_of_items_is_not_comparable(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", "--snapshot-update")
    write_evidence(pytester.path / "table.csv", rows_of("good", success=0.8, shift=-2.0, items=90))
    result = judged("--model=good")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cannot be compared with its baseline: planned was 100, is 90*"])


def test_auditing_one_model_says_nothing_about_the_baselines_of_others(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", "--snapshot-update")
    result = judged("--model=bad")
    assert "unused" not in result.stdout.str()
    assert (pytester.path / FILE).exists()


def test_failing_and_inconclusive_measurements_are_not_blessed(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--snapshot-update")
    assert sorted(path.name for path in (pytester.path / "baselines").iterdir()) == ["good"]


def test_workers_write_and_compare_the_same_baselines(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", "--snapshot-update", "-n2").assert_outcomes(passed=1)
    judged("--model=good", "-n2").assert_outcomes(passed=1)
    assert (pytester.path / FILE).exists()


def test_another_folder_may_keep_them(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", "--snapshot-update", "--audit-baselines=blessed")
    assert (pytester.path / "blessed/good/success_rate.json").exists()


def test_a_broken_baseline_is_said_in_one_line(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", "--snapshot-update")
    (pytester.path / FILE).write_text("{")
    result = judged("--model=good")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*baseline *success_rate.json cannot be read as JSON*"])
    assert "Traceback" not in result.stdout.str()


def test_a_folder_that_cannot_be_written_is_said_in_one_line(judged: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "in_the_way").write_text("a file, not a folder")
    result = judged("--model=good", "--snapshot-update", "--audit-baselines=in_the_way")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["baseline *in_the_way/good/success_rate.json cannot be *"])
    assert "Traceback" not in result.stdout.str()
