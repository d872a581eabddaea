"""--audit-edit-source: whose wide images the audited generators edit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from plugin.live import THRESHOLDS, LiveProject
from plugin.recorded import write_audits, write_thresholds

EDITS = """
[[gates]]
profile = "tiny"
metric = "edit_shift"
kind = "contractual"
at_most = 1000
"""
"""A promise that holds for any model."""


@pytest.fixture
def project(live: LiveProject, tiny_lora: Path) -> LiveProject:
    """A project whose profile edits, with an adapter that makes another model."""
    keys = 'truth = "preference/tiny"\nedit_source = "./model"\nedits = 3'
    write_thresholds(live.root, THRESHOLDS.replace('truth = "preference/tiny"', keys) + EDITS)
    write_audits(live.pytester, "edit_shift")
    shutil.copytree(tiny_lora, live.root / "lora")
    return live


def test_the_audited_model_edits_pictures_of_the_source_and_draws_none_itself(project: LiveProject) -> None:
    model = "./model+lora=./lora"
    result = project.run(f"--model={model}", "-k", "edit_shift", "--audit-json=r.json")
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.re_match_lines(
        [r"  edits: up to 3 wide images of \./model \([0-9a-f]{12}\) with preference/tiny = 1, strength 0\.5"]
    )
    run = json.loads((project.root / "r.json").read_text())
    edits = run["run"]["edits"]
    assert (edits["source"], edits["at_most"], edits["strength"]) == ("./model", 3, 0.5)
    assert edits["rule"] == "the first wide images with preference/tiny = 1, in the order of collection"
    assert {(m["model"], m["set"], m["scorer"]) for m in run["measurements"]} == {
        (model, "edits", scorer) for scorer in ("tiny/clip", "judge")
    }
    assert {m["n"] for m in run["measurements"]} == {edits["edited"]}
    records = [json.loads(file.read_text())["record"] for file in (project.root / ".aes_audit/images").rglob("*.json")]
    edited = [record for record in records if "source" in record]
    assert len(edited) == edits["edited"] >= 1
    assert {bool(record["generator"]["loras"]) for record in records if "source" not in record} == {False}
    assert len(records) - len(edited) == 2 * 5, "the source's five pairs, and none of the audited model"


def test_another_source_is_named_by_the_option(project: LiveProject) -> None:
    source = "./model+lora=./lora"
    result = project.run("--model=./model", f"--audit-edit-source={source}", "--audit-pairs=2", "--collect-only")
    result.stdout.fnmatch_lines([f"  edits: up to 2 wide images of {source} (*", f"*, on pictures of {source}]*"])


def test_an_unknown_source_and_a_profile_that_edits_nothing_are_usage_errors(project: LiveProject) -> None:
    for options, complaint in (
        (("--audit-edit-source=./nowhere",), "*nowhere*"),
        (
            ("--audit-edit-source=./model", "--audit-thresholds=none.toml"),
            "ERROR: --audit-edit-source=./model: profile 'tiny' edits nothing; give it `edits`.",
        ),
    ):
        (project.root / "none.toml").write_text(THRESHOLDS)
        result = project.run("--model=./model", *options)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([complaint])


def test_a_plan_counts_edits_once_the_store_says_what_is_edited(project: LiveProject) -> None:
    def planned() -> tuple[list[dict[str, object]], pytest.RunResult]:
        found = project.run("--audit-plan", "--model=./model", "-k", "edit_shift", "--audit-json=plan.json")
        steps = json.loads((project.root / "plan.json").read_text())["plan"]["steps"]
        return [step for step in steps if step["set"] == "edits"], found

    steps, shown = planned()
    assert [(step["total"], step["left"], step["at_most"]) for step in steps] == [(3, 3, True)] * 3
    shown.stdout.fnmatch_lines(["./model, editing * <= 3 * 0 * <= 3 *", "together * <= *", "<= at most: *"])

    run = ("--model=./model", "-k", "edit_shift", "--audit-json=r.json")
    project.run(*run).assert_outcomes(passed=2, deselected=1)
    edited = json.loads((project.root / "r.json").read_text())["run"]["edits"]["edited"]
    steps, shown = planned()
    assert steps[0]["total"] == edited
    assert {(step["stored"], step["left"], step["at_most"]) for step in steps} == {(edited, 0, False)}
    assert "<=" not in shown.stdout.str().partition("who ")[2]

    # One of them is gone: it is known which, and nothing else is to be done.
    records = {file: json.loads(file.read_text())["record"] for file in project.root.glob(".aes_audit/images/*/*.json")}
    next(file for file, record in records.items() if "source" in record).unlink()
    steps, _ = planned()
    assert (steps[0]["who"], steps[0]["left"], steps[0]["at_most"]) == ("./model, editing", 1, False)
    # And where an image of a source's run is gone, nobody knows which are chosen.
    next(file for file, record in records.items() if "source" not in record).unlink()
    assert all(step["at_most"] for step in planned()[0])
