"""--audit-thresholds: profiles and gates."""

from __future__ import annotations

import pytest

from plugin.conftest import Run
from plugin.recorded import THRESHOLDS, write_audits


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
