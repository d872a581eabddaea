"""--audit-health: a reward that cannot order known cases gates nothing."""

from __future__ import annotations

import json

import pytest

from plugin.live import LiveProject


def test_an_unhealthy_reward_is_an_error_and_never_a_regression(live: LiveProject) -> None:
    result = live.run("--audit-health=check", "--audit-json=out.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (found,) = json.loads((live.root / "out.json").read_text())["measurements"]
    assert (found["verdict"], found["estimate"]) == ("error", None)
    assert found["reason"].startswith("not measured: tiny/clip: scorer unhealthy: ")
    assert "known cases" in found["reason"]


def test_the_check_can_be_switched_off_and_its_ini_twin_too(live: LiveProject) -> None:
    assert live.run("--audit-health=off").ret == pytest.ExitCode.OK
    live.pytester.makeini("[pytest]\naudit_health = sometimes")
    result = live.pytester.runpytest("--profile=tiny")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*ini key audit_health: invalid value 'sometimes': choose check, off.*"])
