"""--emotion: faces in four emotions that rewards are shown, from a folder with a table or by an editor."""

from __future__ import annotations

import json
from typing import Any

import pytest
from evidence.tuples import tuple_folder

from plugin.live import THRESHOLDS, LiveProject
from plugin.recorded import write_audits, write_thresholds

BOTH = ("emotion_accuracy", "emotion_accuracy_happy")

GATES = "".join(
    f"""
[[gates]]
profile = "tiny"
metric = "{metric}"
kind = "contractual"
at_least = 0.0
max_missing = 0.2
"""
    for metric in BOTH
)
"""Any model keeps them."""


@pytest.fixture
def project(live: LiveProject) -> LiveProject:
    """A project whose profile has gates for emotion, and a folder of tuples one of whose pictures is broken."""
    write_thresholds(live.root, THRESHOLDS + GATES)
    write_audits(live.pytester, *BOTH)
    folder = tuple_folder(live.root / "faces", 24)
    (folder / "7-sad.png").write_bytes(b"\x89PNG broken")
    return live


def results(project: LiveProject, file: str = "r.json") -> dict[str, Any]:
    """The results file."""
    return dict(json.loads((project.root / file).read_text()))


def test_an_ini_key_names_a_folder_and_each_emotion_is_measured_both_ways(project: LiveProject) -> None:
    project.pytester.makeini("[pytest]\naudit_emotion = faces\n")
    result = project.run("--reward=tiny/clip", "-k", "emotion", "--audit-json=r.json")
    result.stdout.re_match_lines([r"  emotion: 24 tuples of faces \([0-9a-f]{12}\), pictures of the folder"])
    result.assert_outcomes(passed=6)
    said = results(project)
    found = {(entry["metric"], entry["group"]): entry for entry in said["measurements"]}
    assert set(found) == {(metric, emotion) for metric in BOTH for emotion in ("sad", "angry", "fearful")}
    assert {(entry["model"], entry["scorer"], entry["verdict"]) for entry in found.values()} == {
        ("faces", "tiny/clip", "pass")
    }
    assert {key: entry["missing"] for key, entry in found.items() if entry["missing"]} == {
        (metric, "sad"): 1 for metric in BOTH
    }
    assert all(0 <= entry["p_value"] <= 1 for entry in found.values())
    about = said["run"]["emotion"]
    assert (about["set"], about["tuples"], about["drawn"], len(about["digest"])) == ("faces", 24, False, 64)


def test_a_wrong_name_is_a_usage_error_before_anything_is_scored(project: LiveProject) -> None:
    result = project.run("--reward=tiny/clip", "--emotion=nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*nowhere: no such folder; its table has the columns item, caption, happy, sad,*"])
    assert not (project.root / ".aes_audit" / "scores").exists()


@pytest.mark.heavy
def test_an_editor_makes_the_tuples_and_the_provenance_says_how(project: LiveProject) -> None:
    options = ("--reward=tiny/clip", "--emotion=edited:./model", "-k", "emotion")
    result = project.run(*options, "--audit-json=r.json")
    result.stdout.re_match_lines(
        [r"  emotion: 5 tuples of emotion_templates \(.*\), happy faces of \./model \(.*\) and its edits .* 0\.7"]
    )
    result.assert_outcomes(passed=6)
    said = results(project)
    assert {entry["model"] for entry in said["measurements"]} == {"./model edits"}
    about = said["run"]["emotion"]
    assert (about["editor"], about["strength"], about["templates"]["name"]) == ("./model", 0.7, "emotion_templates")
    images = list((project.root / ".aes_audit" / "images").rglob("*.json"))
    assert len(images) == 5 * 4, "as few as there are pairs"
    project.run(*options, "--audit-json=again.json")
    assert results(project, "again.json")["measurements"] == said["measurements"]


@pytest.mark.heavy
def test_a_model_that_takes_no_picture_is_refused(project: LiveProject) -> None:
    result = project.run("--reward=tiny/clip", "--emotion=edited:aes_audit.controls.renderer:as_asked")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*edited:aes_audit.controls.renderer:as_asked: it cannot edit here; name a model*"])


def test_a_folder_with_the_name_of_an_audited_generator_is_refused(project: LiveProject) -> None:
    name = "aes_audit.controls.renderer:as_asked"
    (project.root / "sets").mkdir()
    (project.root / "faces").rename(project.root / "sets" / name)
    result = project.run("--reward=tiny/clip", f"--model={name}", f"--emotion=sets/{name}", "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--emotion=*{name}: in the evidence its tuples would pass for faces*rename*"])


@pytest.mark.heavy
def test_without_a_reward_under_audit_there_are_no_tuples(project: LiveProject) -> None:
    result = project.run("--model=./model", "--emotion=faces", "--collect-only")
    result.stdout.no_fnmatch_line("*  emotion:*")


def test_a_plan_counts_an_editors_pictures_as_far_as_they_are_known(project: LiveProject) -> None:
    options = ("--reward=tiny/clip", "--emotion=edited:./model", "--audit-pairs=2", "-k", "emotion")

    def planned() -> list[tuple[str, int, int, int, bool]]:
        project.run("--audit-plan", *options, "--audit-json=plan.json")
        steps = results(project, "plan.json")["plan"]["steps"]
        return [(one["who"], one["total"], one["left"], one["run"], one["at_most"]) for one in steps]

    assert planned() == [
        ("./model", 2, 2, 2, False),
        ("./model, editing", 6, 6, 6, True),
        ("tiny/clip", 8, 8, 8, True),
    ]
    project.run(*options).assert_outcomes(passed=6)
    assert [(who, left, run, at_most) for who, _, left, run, at_most in planned()] == [
        ("./model", 0, 0, False),
        ("./model, editing", 0, 0, False),
        ("tiny/clip", 0, 0, False),
    ]
