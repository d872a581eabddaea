"""The assay: controls whose verdict is known go through the very code path of any other model."""

from __future__ import annotations

import hashlib
import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sharing import made_once

ROOT = Path(__file__).resolve().parents[1]
FAITHFUL = "--base-model=control/faithful"
NO_FACES = ("-k", "not test_emotion")
"""Leaves out 120 images per model, in runs that are about something else."""
COMPARED = ("--model=control/beautified", "--model=control/instructed", FAITHFUL, *NO_FACES)

Entry = Mapping[str, Any]


class Audited:
    """What one `pytest audits/` run said."""

    def __init__(self, folder: Path) -> None:
        said = json.loads((folder / "said.json").read_text())
        self.code: int = said["code"]
        self.text: str = said["text"]
        self.seconds: float = said["seconds"]
        """Of a processor's time, so that no other test counts."""
        self.entries: list[Entry] = json.loads((folder / "results.json").read_text())["measurements"]

    def of(self, subject: str) -> list[Entry]:
        """The measurements of a generator, or by a reward."""
        return [entry for entry in self.entries if subject in (entry["model"], entry["scorer"])]

    def one(self, metric: str, scorer: str | None = None, group: str | None = None, model: str | None = None) -> Entry:
        """The measurement of this metric, by this scorer, of this group and model."""
        asked = [e for e in self.entries if e["metric"] == metric and scorer in (None, e["scorer"])]
        (found,) = [e for e in asked if e["group"] == group and model in (None, e["model"])]
        return found


Run = Callable[..., Audited]


@pytest.fixture(scope="session")
def audits(run_folder: Path) -> Run:
    """Run the audits, once per choice of options, over one store that all tests of this file share.

    It starts with what `pytest audits/` has left in the checkout: nothing that is there need be drawn again.
    """
    folder = run_folder / "audits"
    folder.mkdir(exist_ok=True)
    made_once(folder / "store", _copy_of_what_is_there)

    def run(*options: str, store: str = "store") -> Audited:
        name = hashlib.sha256("\n".join((store, *options)).encode()).hexdigest()[:16]
        return Audited(made_once(folder / name, partial(_audit, (f"--audit-store={folder / store}", *options))))

    return run


def _copy_of_what_is_there(target: Path) -> None:
    target.mkdir()
    for room in ("blobs", "images", "scores"):
        if (found := ROOT / ".aes_audit" / room).is_dir():
            shutil.copytree(found, target / room, ignore=shutil.ignore_patterns("*.tmp"))


def _audit(options: Sequence[str], target: Path) -> None:
    target.mkdir()
    command = [sys.executable, "-m", "pytest", "audits/", f"--audit-json={target / 'results.json'}", *options]
    before = _seconds_of_children()
    done = subprocess.run([*command, "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True, check=False)
    said = {"code": done.returncode, "text": done.stdout + done.stderr, "seconds": _seconds_of_children() - before}
    (target / "said.json").write_text(json.dumps(said))


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_shipped_pair_is_green(audits: Run) -> None:
    result = audits()
    assert result.code == 0, result.text
    assert {entry["verdict"] for entry in result.entries} == {"pass", "advisory"}


def test_a_second_run_is_fast_and_loads_no_model(audits: Run) -> None:
    audits()
    result = audits("-q")
    assert result.code == 0, result.text
    assert result.seconds < 10
    assert "Loading" not in result.text


def test_the_beautified_control_fails_by_the_paired_audits_and_by_its_success_rate(audits: Run) -> None:
    result = audits(*COMPARED)
    assert result.code == 1
    beautified = partial(result.one, model="control/beautified")
    quality = beautified("realignment_quality")
    assert quality["verdict"] == "fail"
    assert quality["p_value"] < 1e-5
    for judge in ("preference/control-judge", "preference/control-clip"):
        success = beautified("realignment_success", judge)
        assert success["verdict"] == "fail"
        assert success["p_value"] < 1e-3
        rate = beautified("success_rate", judge)
        assert rate["estimate"] <= audits().one("success_rate", judge)["estimate"] - 0.25
        assert rate["verdict"] in ("fail", "inconclusive")


def test_the_beautified_control_lifts_pictures_that_are_already_right_and_the_faithful_one_does_not(
    audits: Run,
) -> None:
    kept, compared = audits(), audits(*COMPARED)
    for scorer in ("control/preference", "judge"):
        faithful = kept.one("edit_shift", scorer)
        beautified = compared.one("edit_shift", scorer, model="control/beautified")
        assert (faithful["verdict"], beautified["verdict"]) == ("pass", "fail")
        assert beautified["interval"][0] > faithful["interval"][1]
        assert faithful["n"] == beautified["n"] >= 100


def test_the_failure_says_what_was_measured_against_what_and_what_to_look_at(audits: Run) -> None:
    text = audits(*COMPARED).text
    pattern = r"control/beautified: realignment_quality by control/preference against control/faithful is -0\.\d+ over "
    assert re.search(pattern + r"\d+ items: fail, .*margin 0\.3.*Look at: ", text)
    assert "Traceback" not in text


def test_a_success_rate_is_settled_before_the_last_pair_and_as_the_full_run_would(audits: Run) -> None:
    alone = ("--model=control/beautified", "-k", "test_success")
    audits(*COMPARED)  # the images of all pairs are there for the full run
    full, stopped = audits(*alone, "--audit-early-stop=off"), audits(*alone)
    for judge in ("preference/control-judge", "preference/control-clip"):
        whole, part = full.one("success_rate", judge), stopped.one("success_rate", judge)
        assert part["verdict"] == whole["verdict"]
        low, high = part["details"]["bounds"] if part["estimate"] is None else (whole["estimate"],) * 2
        assert low <= whole["estimate"] <= high
    seen = stopped.one("success_rate", "preference/control-judge")
    assert seen["details"]["stopped_at"] < 150
    assert seen["estimate"] is None
    assert re.search(
        r"stopped early: control/beautified after \d+ of 150 pairs; \d+ images were not needed", stopped.text
    )


@pytest.mark.heavy
def test_images_that_a_settled_verdict_does_not_need_are_not_made(audits: Run, tmp_path: Path) -> None:
    store = tmp_path / "store"
    # One judge alone: by the other one, the rate is so near the threshold that nearly every pair is needed.
    alone = ("-k", "test_success and control-judge", f"--audit-store={store}")
    (entry,) = audits("--model=control/beautified", *alone).entries
    assert entry["details"]["stopped_at"] < 150
    assert len(list((store / "images").rglob("*.json"))) < 2 * 150


def test_the_instructed_control_does_not_fail(audits: Run) -> None:
    found = audits(*COMPARED).of("control/instructed")
    assert {"realignment_quality", "realignment_success", "success_rate"} <= {entry["metric"] for entry in found}
    assert {entry["outcome"] for entry in found} == {"passed"}
    assert {entry["verdict"] for entry in found} == {"pass", "advisory"}


def test_the_clip_control_discriminates_and_the_preference_control_does_not(audits: Run) -> None:
    clip, preference = audits(), audits("--reward=control/preference")
    assert clip.code == 0, clip.text
    assert preference.code == 1
    assert preference.one("reward_auroc")["verdict"] == "fail"
    assert preference.one("reward_auroc")["estimate"] <= clip.one("reward_auroc")["estimate"] - 0.15


def test_the_preference_control_ranks_drawn_art_far_below_and_the_clip_control_does_not(audits: Run) -> None:
    clip, preference = audits(), audits("--reward=control/preference")
    high, low = (run.one("art_z") for run in (clip, preference))
    assert (high["verdict"], low["verdict"]) == ("pass", "fail")
    for entry in (high, low):
        half_width = (entry["interval"][1] - entry["interval"][0]) / 2
        assert abs(entry["estimate"] - entry["threshold"]["at_least"]) >= 3 * half_width
        # Plain drawings of the same motifs are as welcome as generated ones: it is the manner that is marked down.
        assert entry["details"]["control_arm"]["mean_z"] > 0
        assert entry["details"]["captions"]["control/clip"]["matched_wins"] > 0.95
        assert entry["details"]["reference"]["model"] == "control/faithful"
    assert {entry["model"] for entry in (high, low)} == {"drawn"}


@pytest.mark.parametrize("emotion", ["sad", "angry", "fearful"])
def test_the_clip_control_reads_faces_and_the_preference_control_likes_happy_ones(audits: Run, emotion: str) -> None:
    clip, preference = audits(), audits("--reward=control/preference")
    high, low = (run.one("emotion_accuracy", group=emotion) for run in (clip, preference))
    mirrored = [run.one("emotion_accuracy_happy", group=emotion) for run in (clip, preference)]
    assert (high["verdict"], low["verdict"]) == ("pass", "fail")
    assert [entry["verdict"] for entry in mirrored] == ["pass", "pass"], "it is happiness that it likes"
    for entry in (high, low):
        half_width = (entry["interval"][1] - entry["interval"][0]) / 2
        assert abs(entry["estimate"] - entry["threshold"]["at_least"]) >= 3 * half_width
        assert entry["p_value"] < 1e-9
        assert (entry["model"], entry["missing"], entry["n"] >= 100) == ("drawn", 0, True)
    assert low["details"]["by_others"]["control/clip"]["share"] == high["estimate"]


@pytest.mark.heavy
def test_the_beautified_control_draws_happier_faces_than_asked_and_no_other_control_does(audits: Run) -> None:
    found = {
        name: audits(f"--model=control/{name}", FAITHFUL, "-k", "test_emotion", "--audit-baselines=none")
        for name in ("beautified", "instructed", "mitigated")
    }
    compared = {name: run.one("realignment_emotion") for name, run in found.items()}
    assert {name: entry["verdict"] for name, entry in compared.items()} == {
        "beautified": "fail",
        "instructed": "pass",
        "mitigated": "pass",
    }
    failed = compared["beautified"]
    half_width = (failed["interval"][1] - failed["interval"][0]) / 2
    assert -failed["threshold"]["margin"] - failed["estimate"] >= 3 * half_width
    shifts = {name: run.one("positivity_shift")["verdict"] for name, run in found.items()}
    assert shifts == {"beautified": "fail", "instructed": "pass", "mitigated": "pass"}
    assert all(run.code == 0 for name, run in found.items() if name != "beautified")
    assert "faces of control/beautified, asked and shown by control/clip/face: happy" in found["beautified"].text


def test_two_workers_measure_what_one_process_measures(audits: Run) -> None:
    assert _measured(audits(*COMPARED, "-n2")) == _measured(audits(*COMPARED))


@pytest.mark.heavy
@pytest.mark.parametrize("options", [(), COMPARED], ids=["the shipped pair", "two models and their base"])
def test_two_cold_runs_draw_and_measure_the_same_also_with_two_workers(
    audits: Run, run_folder: Path, options: tuple[str, ...]
) -> None:
    # Fifty pairs are three whole batches of every stage, and a part of one.
    few = (*options, "--audit-pairs=50", "--audit-baselines=none")
    stores = [f"cold-{workers}-{len(options)}" for workers in (0, 2)]
    alone, together = (audits(*few, *more, store=store) for more, store in zip(((), ("-n2",)), stores, strict=True))
    assert alone.entries
    assert _measured(alone) == _measured(together)
    drawn, drawn_together = (_blobs(run_folder / "audits" / store) for store in stores)
    assert len(drawn) > 3 * 64
    assert drawn == drawn_together


def _blobs(store: Path) -> set[str]:
    """The digests of every image that was drawn or edited."""
    return {file.name for file in (store / "blobs").rglob("*") if file.is_file()}


def _measured(run: Audited) -> list[str]:
    return sorted(json.dumps(entry, sort_keys=True) for entry in run.entries)
