"""A comparison that shows more than the alignment says so: at the start, in the results file, and as a warning."""

from __future__ import annotations

import json
import shutil

import pytest

from plugin.live import LiveProject
from plugin.recorded import write_audits, write_thresholds


def test_arms_with_different_settings_are_named_in_header_results_and_warnings(live: LiveProject) -> None:
    shutil.copytree(live.root / "model", live.root / "other")
    options = ("--model=./other[steps=1]", "--base-model=./model", "--audit-pairs=1", "--audit-json=out.json")
    result = live.run(*options)
    assert result.ret == pytest.ExitCode.OK, result.outlines
    said = "./other[steps=1] and ./model differ in steps (1, 2): their images differ by more than the alignment."
    result.stdout.fnmatch_lines([f"  warning: {said.replace('[', '[[]')}"])
    result.stdout.fnmatch_lines([f"*ProvenanceWarning: {said.replace('[', '[[]')}"])
    assert json.loads((live.root / "out.json").read_text())["run"]["warnings"] == [said]


def test_a_model_that_descends_from_another_says_so_at_the_start(pytester: pytest.Pytester) -> None:
    write_audits(pytester, "success_rate")
    lines = pytester.runpytest("--model=control/beautified", "--collect-only").outlines
    assert "  control/beautified has a base: --base-model=control/faithful compares them, pair by pair" in lines
    assert not any("warning" in line for line in lines)


def test_a_profile_may_ask_for_the_papers_settings(live: LiveProject) -> None:
    thresholds = (live.root / "audits" / "thresholds.toml").read_text()
    write_thresholds(live.root, thresholds.replace("pairs = 5\n", 'pairs = 5\nrecipe = "paper"\n'))
    specs = ["flux-dev", "flux-dev[recipe=default]", "./model"]
    result = live.run(*(f"--model={spec}" for spec in specs), "-k", "nothing", "--audit-json=out.json")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    models = json.loads((live.root / "out.json").read_text())["run"]["models"]
    steps = [models[spec]["identity"]["call"]["num_inference_steps"] for spec in specs]
    assert steps == [32, 50, 2]
    assert any("warning: models drawn with different settings" in line for line in result.outlines)
