"""--engine: who runs the stages."""

from __future__ import annotations

import pytest

from plugin.conftest import Run


def test_an_engine_that_does_not_exist_is_refused_with_the_choices(judged: Run) -> None:
    result = judged("--engine=cluster")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--engine: invalid value 'cluster': choose local, ray"])
