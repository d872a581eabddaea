"""--engine: who runs the stages."""

from __future__ import annotations

import json

import pytest

from plugin.conftest import Run
from plugin.live import LiveProject
from plugin.recorded import write_audits


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("cluster", "*--engine: invalid value 'cluster': choose local, ray*"),
        ("ray[gpus=1.5]", "*--engine: invalid value 'ray?gpus=1.5?': gpus=1.5 is no share of GPUs: give 0 to 1, or*"),
    ],
)
def test_an_engine_that_does_not_exist_or_have_the_option_is_refused_with_the_choices(
    value: str, complaint: str, judged: Run
) -> None:
    result = judged(f"--engine={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([complaint])


def test_a_cluster_that_cannot_be_reached_is_told_once_and_every_case_is_not_measured(live: LiveProject) -> None:
    write_audits(live.pytester, "quality_shift", "success_rate", "preference_shift")
    result = live.run("--engine=ray[address=127.0.0.1:1]", "--model=./model", "--audit-json=results.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = json.loads((live.root / "results.json").read_text())["measurements"]
    assert len(found) >= 2
    assert {each["verdict"] for each in found} == {"error"}
    told, *others = sorted(found, key=lambda each: "nothing answers" not in each["reason"])
    assert "nothing answers at address '127.0.0.1:1' (" in told["reason"]
    again = "not measured: its engine cannot be reached, as was said of the first case that needs it."
    assert {each["reason"] for each in others} == {again}


@pytest.mark.heavy
def test_ray_gives_the_verdict_of_this_process_and_is_named_in_the_results(live: LiveProject) -> None:
    def run(engine: str, store: str) -> pytest.RunResult:
        return live.run(f"--engine={engine}", f"--audit-store={store}", f"--audit-json={store}.json")

    here = run("local", "one")
    there = run("ray[actors=1,cpus=0.5]", "other")
    there.assert_outcomes(passed=1)
    assert there.stderr.str() == here.stderr.str() == ""
    one, other = (json.loads((live.root / f"{name}.json").read_text()) for name in ("one", "other"))
    assert one["measurements"] == other["measurements"]
    assert one["run"]["engine"] == {"name": "local"}
    assert other["run"]["engine"] == {"name": "ray", "actors": 1, "cpus": 0.5}
    # What is complete is judged without a cluster, on any engine.
    again = run("ray[address=127.0.0.1:1]", "one")
    again.assert_outcomes(passed=1)
