"""--base-model: the paired comparison."""

from __future__ import annotations

import json

import pytest

from plugin.conftest import Run
from plugin.recorded import write_audits


def test_paired_audits_compare_item_by_item(judged: Run, pytester: pytest.Pytester) -> None:
    write_audits(pytester, "realignment_success", "realignment_quality")
    judged("--model=bad", "--base-model=good", "--audit-json=out.json")
    measured = {
        entry["metric"]: entry for entry in json.loads((pytester.path / "out.json").read_text())["measurements"]
    }
    success, quality = measured["realignment_success"], measured["realignment_quality"]
    assert success["base_model"] == "good"
    assert success["estimate"] == pytest.approx(-0.6)
    assert success["p_value"] < 1e-6
    assert quality["effect_r"] < -0.5
    assert measured["success_rate"]["base_model"] is None


def test_without_a_base_model_paired_audits_are_skipped(judged: Run, pytester: pytest.Pytester) -> None:
    write_audits(pytester, "realignment_success")
    judged("--model=good").assert_outcomes(passed=1, skipped=1)


def test_an_unknown_base_model_is_a_usage_error(judged: Run) -> None:
    assert judged("--model=bad", "--base-model=nobody").ret == pytest.ExitCode.USAGE_ERROR
