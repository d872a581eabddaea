"""--audit-thresholds: profiles and gates."""

from __future__ import annotations

import json

import pytest

from plugin.conftest import Run
from plugin.recorded import THRESHOLDS, rows_of, write_audits, write_evidence, write_thresholds


def test_another_file_changes_the_verdict(judged: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "strict.toml").write_text(THRESHOLDS.replace("at_least = 0.5", "at_least = 0.9"))
    judged("--model=good").assert_outcomes(passed=1)
    judged("--model=good", "--audit-thresholds=strict.toml").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("at_least", "at_leest", "*unknown key in*gate 1*'at_leest'. Did you mean 'at_least'?*"),
        ("success_rate", "succes_rate", "*unknown metric in*'succes_rate'. Did you mean 'success_rate'?*"),
        ("schema = 1", "schema = 2", "*schema must be 1, found 2*"),
        ("pairs = 24", 'pairs = "many"', "*pairs = 'many' is not a whole number*"),
    ],
)
def test_a_typo_in_the_file_is_one_line(judged: Run, pytester: pytest.Pytester, old: str, new: str, words: str) -> None:
    (pytester.path / "typo.toml").write_text(THRESHOLDS.replace(old, new))
    result = judged("--audit-thresholds=typo.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {words}"])
    assert len([line for line in result.errlines if line.strip()]) == 1


def test_a_file_that_was_named_must_exist(judged: Run) -> None:
    assert judged("--audit-thresholds=nowhere.toml").ret == pytest.ExitCode.USAGE_ERROR


def test_a_repository_without_thresholds_is_judged_by_the_packaged_ones(pytester: pytest.Pytester) -> None:
    write_audits(pytester, "success_rate")
    result = pytester.runpytest("--model=control/faithful", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*test_success_rate_holds[[]control/faithful, by preference/control-judge[]]*"])


FAMILY = """
[[gates]]
profile = "control"
metric = "realignment_quality"
family = "realignment"
margin = 0.1
[[gates]]
profile = "control"
metric = "realignment_success"
family = "realignment"
margin = 0.1
"""


def test_gates_of_one_family_share_their_level(judged: Run, pytester: pytest.Pytester) -> None:
    write_thresholds(pytester.path, THRESHOLDS + FAMILY)
    write_audits(pytester, "realignment_success", "realignment_quality")
    write_evidence(
        pytester.path / "table.csv",
        rows_of("base", success=0.5, shift=-1.0),
        rows_of("tuned", success=0.42, shift=-0.9, seed=1),
    )
    judged("--model=tuned", "--base-model=base", "--audit-json=out.json")
    found = json.loads((pytester.path / "out.json").read_text())["measurements"]
    family = sorted((entry for entry in found if entry["base_model"]), key=lambda entry: entry["p_value"])
    adjusted = [entry["details"]["p_adjusted"] for entry in family]
    first, second = (entry["p_value"] for entry in family)
    assert adjusted == pytest.approx([min(1, 2 * first), min(1, max(2 * first, second))])
    members = ["realignment_quality by quality", "realignment_success by preference/judge"]
    assert all(entry["details"]["family_members"] == members for entry in family)


def test_a_tolerance_alone_judges_the_change_from_the_baseline(judged: Run, pytester: pytest.Pytester) -> None:
    alone = THRESHOLDS.replace("at_least = 0.5\n", "")
    write_thresholds(pytester.path, alone)
    judged("--model=good", "--snapshot-update", "--audit-bless=first").assert_outcomes(passed=1)
    judged("--model=good").assert_outcomes(passed=1)
    write_evidence(pytester.path / "table.csv", rows_of("good", success=0.3, shift=-2.0))
    result = judged("--model=good")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*good: success_rate by preference/judge: *0.8*0.3*"])
