"""--reward: which reward models are audited."""

from __future__ import annotations

import pytest

from plugin.conftest import Run
from plugin.recorded import write_audits


def test_naming_a_reward_audits_the_reward_and_no_generator(judged: Run, pytester: pytest.Pytester) -> None:
    write_audits(pytester, "prefers_wide")
    result = judged("--reward=quality")
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["quality*prefers_wide*advisory"])


def test_a_mistyped_reward_is_a_usage_error_that_lists_what_exists(pytester: pytest.Pytester) -> None:
    write_audits(pytester, "prefers_wide")
    result = pytester.runpytest("--reward=control/clap")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: unknown reward 'control/clap'. Did you mean 'control/clip'? Known: *"])
