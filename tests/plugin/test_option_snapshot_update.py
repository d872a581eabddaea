"""Baselines: written by syrupy's --snapshot-update with --audit-bless, compared within a tolerance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plugin.conftest import Run
from plugin.recorded import THRESHOLDS, rows_of, write_audits, write_evidence, write_thresholds

FILE = "baselines/good/success_rate.json"
BLESS = ("--snapshot-update", "--audit-bless=the first release")


def kept_in(file: Path) -> dict[str, Any]:
    """The only entry of a baseline file."""
    (entry,) = json.loads(file.read_text()).values()
    assert isinstance(entry, dict)
    return entry


def test_a_run_without_a_baseline_passes_and_writes_none(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good").assert_outcomes(passed=1)
    assert not (pytester.path / "baselines").exists()


def test_an_unchanged_measurement_passes_against_its_baseline(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", *BLESS).assert_outcomes(passed=1)
    kept = kept_in(pytester.path / FILE)
    assert kept["estimate"] == pytest.approx(0.8)
    assert kept["tolerance"] == 0.05
    result = judged("--model=good", "--audit-json=results.json")
    result.assert_outcomes(passed=1)
    (entry,) = json.loads((pytester.path / "results.json").read_text())["measurements"]
    assert entry["baseline"]["verdict"] == "pass"
    assert entry["baseline"]["estimate"] == kept["estimate"]


@pytest.mark.parametrize(("rate", "outcome"), [(0.77, {"passed": 1}), (0.55, {"failed": 1})])
def test_a_change_for_the_worse_beyond_the_tolerance_fails_with_old_new_and_tolerance(
    judged: Run, pytester: pytest.Pytester, rate: float, outcome: dict[str, int]
) -> None:
    write_thresholds(pytester.path, THRESHOLDS.replace("at_least = 0.5", 'at_least = 0.5\nkind = "contractual"'))
    judged("--model=good", *BLESS)
    write_evidence(pytester.path / "table.csv", rows_of("good", success=rate, shift=-2.0))
    result = judged("--model=good")
    result.assert_outcomes(**outcome)
    if "failed" in outcome:
        said = f"*worse than its baseline: old 0.8, new {rate}, tolerance 0.05; item by item * got worse*McNemar*p = *"
        result.stdout.fnmatch_lines([said])
        result.stdout.fnmatch_lines(["*--snapshot-update --audit-bless*"])
        judged("--model=good", *BLESS).assert_outcomes(passed=1)
        judged("--model=good").assert_outcomes(passed=1)


@pytest.mark.parametrize(("policy", "outcome"), [("fail", {"failed": 1}), ("warn", {"passed": 1, "warnings": 1})])
def test_a_change_for_the_worse_that_could_be_chance_is_inconclusive(
    judged: Run, pytester: pytest.Pytester, policy: str, outcome: dict[str, int]
) -> None:
    judged("--model=good", *BLESS)
    # The rate drops by .06, but ten items got better while sixteen got worse.
    rows = [dict(row) for row in rows_of("good", success=0.8, shift=-2.0)]
    judgements = [row for row in rows if row["scorer"] == "preference/judge"]
    for row in [row for row in judgements if row["value"] == 0][:10]:
        row["value"] = 1.0
    for row in [row for row in judgements if row["value"] == 1][-16:]:
        row["value"] = 0.0
    write_evidence(pytester.path / "table.csv", rows)
    result = judged("--model=good", f"--audit-inconclusive={policy}")
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(["*worse than its baseline: old 0.8, new 0.74, *which could be chance (alpha 0.05)*"])


def test_a_change_for_the_better_passes_with_a_note_to_bless_it(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", *BLESS)
    write_evidence(pytester.path / "table.csv", rows_of("good", success=0.9, shift=-2.0))
    result = judged("--model=good")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "baseline of good: success_rate by preference/judge: better than its baseline: "
            "old 0.8, new 0.9, tolerance 0.05; bless it*"
        ]
    )


def test_another_number_of_items_is_not_comparable(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", *BLESS)
    write_evidence(pytester.path / "table.csv", rows_of("good", success=0.8, shift=-2.0, items=90))
    result = judged("--model=good")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not comparable with its baseline: planned was 100, is 90; items digest was *"])


def test_auditing_one_model_says_nothing_about_the_baselines_of_others(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", *BLESS)
    for options in (("--model=bad",), ("--model=middling", *BLESS)):
        result = judged(*options)
        assert "unused" not in result.stdout.str()
        assert "deleted" not in result.stdout.str()
        assert (pytester.path / FILE).exists()


def test_a_partial_selection_neither_deletes_nor_reports_the_baselines_of_the_rest(
    judged: Run, pytester: pytest.Pytester
) -> None:
    write_audits(pytester, "quality_shift", "wide_quality")
    judged("--model=good", "--model=middling", *BLESS)
    before = {file: file.read_bytes() for file in (pytester.path / "baselines").rglob("*.json")}
    assert len(before) == 5
    some = ("-k", "quality_shift and good")
    for selection in (some, (*some, "-n1"), ("test_wide_quality.py",), ("-k", "no such test")):
        result = judged("--model=good", "--model=middling", *BLESS, *selection)
        assert "unused" not in result.stdout.str()
        assert set((pytester.path / "baselines").rglob("*.json")) == set(before)
    assert (pytester.path / FILE).read_bytes() == before[pytester.path / FILE]


def test_workers_write_and_compare_the_same_baselines(judged: Run, pytester: pytest.Pytester) -> None:
    write_thresholds(pytester.path, THRESHOLDS.replace("at_least = 0.5", 'at_least = 0.5\nkind = "contractual"'))
    judged("--model=good", *BLESS, "-n1").assert_outcomes(passed=1)
    judged("--model=good").assert_outcomes(passed=1)
    write_evidence(pytester.path / "table.csv", rows_of("good", success=0.55, shift=-2.0))
    judged("--model=good", "-n1").stdout.fnmatch_lines(["*worse than its baseline: old 0.8, new 0.55, *"])


@pytest.mark.parametrize("distribution", ["load", "worksteal"])
def test_many_workers_lose_no_entry_of_files_that_several_tests_share(
    judged: Run, pytester: pytest.Pytester, distribution: str
) -> None:
    metrics = ("success_rate", "quality_shift", "wide_quality", "prefers_wide")
    marks = "".join(
        f"""
@pytest.mark.audit("{metric}")
def test_{metric}(audit):
    audit.check()
"""
        for metric in metrics
    )
    pytester.makepyfile(test_everything=f"import pytest\n{marks}")
    (pytester.path / "test_success_rate.py").unlink()
    models = [rows_of(f"m{number}", success=0.9, shift=-2.0, items=40, seed=number) for number in range(4)]
    write_evidence(pytester.path / "table.csv", *models)
    outcome = judged(*BLESS, "-n3", f"--dist={distribution}").parseoutcomes()
    assert set(outcome) <= {"passed", "warnings"}
    files = sorted((pytester.path / "baselines").rglob("*"))
    assert [file.relative_to(pytester.path / "baselines").as_posix() for file in files if file.is_file()] == [
        f"{subject}/everything.json" for subject in ("m0", "m1", "m2", "m3", "quality")
    ]
    counts = {file.parent.name: len(json.loads(file.read_text())) for file in files if file.is_file()}
    # The reward `quality` is audited on each of the four generators.
    assert counts == {"m0": 3, "m1": 3, "m2": 3, "m3": 3, "quality": 4}
    assert {**judged().parseoutcomes(), "warnings": 0} == {**outcome, "warnings": 0}


def test_another_folder_may_keep_them(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", *BLESS, "--audit-baselines=blessed")
    assert (pytester.path / "blessed/good/success_rate.json").exists()


def test_only_new_ones_are_written_where_that_was_asked_for(judged: Run, pytester: pytest.Pytester) -> None:
    new_only = ("--snapshot-update-new-only", "--audit-bless=the first release")
    judged("--model=good", *new_only).assert_outcomes(passed=1)
    before = (pytester.path / FILE).read_bytes()
    write_evidence(pytester.path / "table.csv", rows_of("good", success=0.9, shift=-2.0))
    judged("--model=good", *new_only).assert_outcomes(passed=1)
    assert (pytester.path / FILE).read_bytes() == before


def test_a_broken_baseline_is_said_in_one_line(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", *BLESS)
    (pytester.path / FILE).write_text("{")
    result = judged("--model=good")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*baseline *success_rate.json cannot be read as JSON*"])
    assert "Traceback" not in result.stdout.str()


def test_a_folder_that_cannot_be_written_is_said_in_one_line(judged: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "in_the_way").write_text("a file, not a folder")
    result = judged("--model=good", *BLESS, "--audit-baselines=in_the_way")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["baseline *in_the_way/good/success_rate.json cannot be *"])
    assert "Traceback" not in result.stdout.str()
