"""--profile: instruments, pairs and thresholds."""

from __future__ import annotations

import pytest

from plugin.conftest import Run


def test_an_unknown_profile_is_a_usage_error_that_lists_what_exists(judged: Run) -> None:
    result = judged("--profile=controll")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: unknown profile 'controll'. Did you mean 'control'? Known: control."])
