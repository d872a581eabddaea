"""--audit-inconclusive: what a verdict that could be either does to the build."""

from __future__ import annotations

import pytest

from plugin.conftest import Run


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [("fail", {"failed": 1}), ("warn", {"passed": 1, "warnings": 1}), ("skip", {"skipped": 1})],
)
def test_the_policy_changes_the_build_and_not_the_verdict(judged: Run, policy: str, outcome: dict[str, int]) -> None:
    result = judged("--model=middling", f"--audit-inconclusive={policy}")
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(["middling*success_rate*0.500*>= 0.5*inconclusive"])


def test_failing_is_the_default(judged: Run) -> None:
    judged("--model=middling").assert_outcomes(failed=1)


def test_the_ini_twin_is_parsed_like_the_option(judged: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naudit_inconclusive = shrug")
    result = judged("--model=middling")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: ini key audit_inconclusive: invalid value 'shrug'*fail, warn, skip*"])
