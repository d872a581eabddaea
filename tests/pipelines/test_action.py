"""The action: its inputs are texts and never commands, and its outputs are what the audit said."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from pipelines.runner import ACTION, INPUT, ROOT, Runner
from plugin.recorded import THRESHOLDS, rows_of, write_evidence, write_thresholds

AUDIT = """
import pytest

@pytest.mark.audit("success_rate")
def test_success_rate_holds(audit):
    audit.check()
"""
HOSTILE = '$(touch created); "'


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A repository with one audit, and recorded evidence of a model that fails it."""
    workspace = tmp_path / "work space"
    workspace.mkdir()
    write_thresholds(workspace, THRESHOLDS)
    (workspace / "audits" / "test_success_rate.py").write_text(AUDIT)
    write_evidence(workspace / "table.csv", rows_of("bad", success=0.2, shift=0.0))
    return Runner(workspace)


def test_no_input_is_written_into_a_script() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", ""), step["name"]
        assert all(INPUT.fullmatch(value) for value in step.get("env", {}).values())


def test_every_input_and_output_is_used_and_said_what_it_is() -> None:
    text = (ROOT / "action.yml").read_text()
    for name, told in ACTION["inputs"].items():
        assert told["description"].endswith(".")
        assert isinstance(told["default"], str)
        assert len(re.findall(rf"inputs\.{name}\b", text)) >= 1, name
    outputs = {told["value"] for told in ACTION["outputs"].values()}
    assert outputs == {"${{ steps.audit.outputs.verdict }}", "${{ steps.audit.outputs.report }}"}


def test_actions_of_others_have_a_version_and_what_is_kept_is_kept_after_a_failure_too() -> None:
    used = {step["name"]: step for step in ACTION["runs"]["steps"] if "uses" in step}
    assert all(re.fullmatch(r"actions/[\w/-]+@v\d+", step["uses"]) for step in used.values())
    for name in ("Keep images and scores", "Upload the report"):
        assert used[name]["if"].startswith("always()")
    kept, restored = used["Keep images and scores"]["with"], used["Restore images and scores"]["with"]
    assert kept["key"] == restored["key"]
    # A prefix ends with its hyphen, or it would match the beginning of another commit.
    assert all(prefix.endswith("-") for prefix in restored["restore-keys"].splitlines())
    assert kept["key"].startswith(restored["restore-keys"].splitlines()[0])


def test_a_failing_audit_leaves_verdict_report_summary_and_annotation(runner: Runner) -> None:
    done = runner.run(args="--evidence=table.csv\n-q", install="false", cache="false", report="out/my report/")
    assert done.codes == {"Audit": 1}, done.log
    assert done.outputs["verdict"] == "fail"
    report = runner.workspace / done.outputs["report"]
    assert json.loads((report / "results.json").read_text())["measurements"][0]["verdict"] == "fail"
    assert (report / "index.html").is_file()
    assert "verdict" in (report.parent / "my report.xml").read_text()
    assert done.summary.startswith("### aes_audit: fail")
    assert "\n::error title=success_rate%3A fail::bad: " in done.log


def test_a_hostile_input_stays_a_text_and_an_old_report_is_not_taken_for_a_new_one(runner: Runner) -> None:
    old = runner.workspace / "aes-audit-report"
    old.mkdir()
    (old / "results.json").write_text('{"schema": 1, "run": {}, "measurements": [{"metric": "m", "verdict": "pass"}]}')
    (old / "index.html").write_text("")
    done = runner.run(args=f"--evidence=table.csv\n{HOSTILE}", model=HOSTILE, install="false", cache="false")
    assert done.codes == {"Audit": 4}, done.log
    assert done.outputs["verdict"] == "error"
    assert HOSTILE in done.log
    assert "nothing was audited" in done.summary
    assert not list(runner.workspace.rglob("created"))


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["model", "base_model", "reward", "profile", "baselines", "audits", "args", "report"])
def test_no_input_is_ever_run_or_splits_a_word(runner: Runner, name: str) -> None:
    inputs = {"args": "--evidence=table.csv", "install": "false", **{name: HOSTILE}}
    done = runner.run(**inputs)
    assert done.codes["Audit"] in (1, 4)
    assert done.codes["Name the cache"] == 0, done.log
    assert not list(runner.workspace.rglob("created"))


@pytest.mark.heavy
def test_the_extras_are_one_argument_of_pip(runner: Runner) -> None:
    done = runner.run(extras=HOSTILE, cache="false")
    assert done.codes["Install"] != 0
    assert not list(runner.workspace.rglob("created"))


@pytest.mark.heavy
def test_the_control_pair_passes_and_fails_end_to_end(tmp_path: Path) -> None:
    workspace = tmp_path / "repository"
    shutil.copytree(ROOT / "audits", workspace / "audits", ignore=shutil.ignore_patterns("__pycache__"))
    runner = Runner(workspace)
    small = "--audit-pairs=40\n--audit-inconclusive=warn\n-p\nno:cacheprovider"
    common = {"base_model": "control/faithful", "args": small, "install": "false"}
    passed = runner.run(model="control/instructed", report="good", **common)
    assert passed.codes == {"Name the cache": 0, "Audit": 0}, passed.log
    assert passed.outputs["verdict"] in ("pass", "inconclusive"), passed.log
    assert passed.outputs["changed"] == "true"
    assert re.fullmatch(r"aes-audit-\w{12}-[\w.+]+", passed.outputs["key"])
    assert passed.outputs["key"].startswith(f"{passed.outputs['prompts']}-")
    failed = runner.run(model="control/beautified", report="bad", **common)
    assert failed.codes["Audit"] == 1, failed.log
    assert failed.outputs["verdict"] == "fail", failed.log
    again = runner.run(model="control/beautified", report="bad", **common)
    assert "changed" not in again.outputs, "a warm run has nothing to keep"
