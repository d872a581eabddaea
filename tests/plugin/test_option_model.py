"""--model: which generators are audited."""

from __future__ import annotations

import pytest

from plugin.conftest import Run
from plugin.recorded import write_audits


def test_only_the_named_models_are_audited(judged: Run) -> None:
    judged("--model=good").assert_outcomes(passed=1)
    judged("--model=good", "--model=bad").assert_outcomes(passed=1, failed=1)


def test_a_model_that_the_table_lacks_is_a_usage_error_that_lists_what_it_has(judged: Run) -> None:
    result = judged("--model=goood")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: unknown model in the evidence 'goood'. Did you mean 'good'? Known: bad, good*"]
    )


@pytest.mark.parametrize("spec", ["control/faithfull", "faithful", "./nowhere", "+lora=x", "control/faithful+laro=x"])
def test_a_mistyped_model_ends_in_one_line_before_anything_is_collected(pytester: pytest.Pytester, spec: str) -> None:
    write_audits(pytester, "success_rate")
    result = pytester.runpytest(f"--model={spec}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.errlines if line.strip()]
    assert len(errors) == 1
    assert errors[0].startswith("ERROR: ")
    assert not any("collected" in line for line in result.outlines)


def test_the_ini_twin_names_models_too(judged: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naudit_model = good")
    judged().assert_outcomes(passed=1)
