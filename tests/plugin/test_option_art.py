"""--art: artworks that rewards are shown, from a folder with a table."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from weights.hub_server import COMMIT, Hub, serving, turn_client

from plugin.live import THRESHOLDS, LiveProject
from plugin.recorded import write_audits, write_thresholds

GATE = """
[[gates]]
profile = "tiny"
metric = "art_z"
at_least = -1000
max_missing = 0.2
"""
"""Any model keeps it."""

STYLES = ("Cubism", "Fauvism", "Dada")


def gallery(folder: Path, *, control: bool = True) -> Path:
    """48 works in three styles, 20 of the first two each, one of them broken, and six photographs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for number in range(48):
        pixels: np.ndarray[Any, np.dtype[np.uint8]] = rng.integers(0, 255, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        row = {"image": f"{number}.png", "caption": f"a {('red', 'blue')[number % 2]} shape number {number}"}
        lines.append({**row, "artist": f"artist {number % 24}", "style": STYLES[number // 20], "year": 1900})
    (folder / "7.png").write_bytes(b"\x89PNG broken")
    (folder / "works.jsonl").write_text("\n".join(map(json.dumps, lines)))
    if control:
        (folder / "control").mkdir()
        for number in range(6):
            Image.new("RGB", (24, 24), (40 * number, 90, 90)).save(folder / "control" / f"{number}.png")
        rows = "\n".join(f"{number}.png,a photograph of shape number {number}" for number in range(6))
        (folder / "control" / "table.csv").write_text(f"image,caption\n{rows}\n")
    return folder


@pytest.fixture
def project(live: LiveProject) -> LiveProject:
    """A project whose profile has a pool of one model and a gate for art."""
    write_thresholds(live.root, THRESHOLDS.replace("pool = []", 'pool = ["./model"]') + GATE)
    write_audits(live.pytester, "art_z")
    gallery(live.root / "gallery")
    return live


def measured(project: LiveProject, file: str) -> dict[str | None, dict[str, Any]]:
    """Measurements by style."""
    return {entry["group"]: entry for entry in json.loads((project.root / file).read_text())["measurements"]}


def test_a_folder_is_scored_against_originals_of_the_pool(project: LiveProject) -> None:
    result = project.run("--reward=tiny/clip", "--art=gallery", "-k", "art_z", "--audit-json=r.json")
    result.stdout.re_match_lines(
        [r"  art: 48 works, of gallery \([0-9a-f]{12}\), control arm of 6, against originals of \./model"]
    )
    result.assert_outcomes(passed=3, deselected=1)
    found = measured(project, "r.json")
    assert set(found) == {None, "Cubism", "Fauvism"}, "eight works of Dada are too few"
    everything = found[None]
    assert (everything["model"], everything["n"], everything["missing"]) == ("human", 47, 1)
    assert (everything["verdict"], found["Cubism"]["verdict"]) == ("pass", "advisory")
    details = everything["details"]
    assert details["artists"] == 24
    assert details["reference"]["model"] == "./model"
    assert details["reference"]["n"] == 5
    assert details["control_arm"]["n"] == 6
    assert set(details["captions"]) == {"tiny/clip"}
    run = json.loads((project.root / "r.json").read_text())["run"]
    assert run["art"]["set"] == "gallery"
    result.stdout.fnmatch_lines(["tiny/clip on human art: against 5 originals of ./model (mean *"])


@pytest.mark.heavy
def test_an_ini_key_names_the_folder_and_a_second_run_scores_nothing(project: LiveProject) -> None:
    project.pytester.makeini("[pytest]\naudit_art = gallery\n")
    project.run("--reward=tiny/clip", "-k", "art_z", "--audit-json=one.json")
    scores = sorted((project.root / ".aes_audit" / "scores").rglob("*.json"))
    before = {path: path.stat().st_mtime_ns for path in scores}
    project.run("--reward=tiny/clip", "-k", "art_z", "--audit-json=two.json")
    assert measured(project, "one.json") == measured(project, "two.json")
    assert {path: path.stat().st_mtime_ns for path in scores} == before


@pytest.mark.heavy
def test_a_data_set_of_the_hub_is_fetched_and_named_with_its_commit(
    project: LiveProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    pictures = []
    for number in range(24):
        pixels: np.ndarray[Any, np.dtype[np.uint8]] = rng.integers(0, 255, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(stream := io.BytesIO(), format="PNG")
        pictures.append({"bytes": stream.getvalue(), "path": f"{number}.png"})
    (tmp_path / "lapis").mkdir()
    columns = {"image": pictures, "text": [f"a red shape number {n}" for n in range(24)]}
    pq.write_table(pa.table(columns), tmp_path / "lapis" / "train.parquet")
    with serving(Hub({"datasets/museum/works": tmp_path / "lapis"})) as hub:
        turn_client(monkeypatch, hub.url, tmp_path / "cache")
        result = project.run("--reward=tiny/clip", "--art=hub:museum/works", "-k", "art_z", "--audit-json=r.json")
        absent = project.run("--reward=tiny/clip", "--art=hub:museum/absent")
        floating = project.run("--reward=tiny/clip", "--art=hub:museum/works", "--audit-require-pinned=on")
    result.stdout.fnmatch_lines([f"  art: 24 works, of museum/works@{COMMIT[:12]} (*), against originals of ./model"])
    assert measured(project, "r.json")[None]["n"] == 24
    about = json.loads((project.root / "r.json").read_text())["run"]["art"]
    assert (about["hub"], about["commit"]) == ("museum/works", COMMIT)
    assert about["columns"] == {"image": "image", "caption": "text"}
    assert absent.ret == pytest.ExitCode.USAGE_ERROR
    absent.stderr.fnmatch_lines(["*museum/absent is not on the hub (or private)*"])
    assert floating.ret == pytest.ExitCode.USAGE_ERROR
    floating.stderr.fnmatch_lines([f"*refuses revisions that may change: write 'hub:museum/works@{COMMIT}' for *"])


def test_a_wrong_folder_is_a_usage_error_before_anything_is_drawn(project: LiveProject) -> None:
    result = project.run("--reward=tiny/clip", "--art=nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*nowhere: no such folder; give one with a table of the columns image, caption,*"])
    assert not (project.root / ".aes_audit" / "images").exists()


def test_without_a_reward_under_audit_there_is_no_art(project: LiveProject) -> None:
    result = project.run("--model=./model", "--art=gallery", "--collect-only")
    result.stdout.no_fnmatch_line("*  art:*")


def test_photographs_are_held_against_their_clean_counterparts(project: LiveProject) -> None:
    folder = project.root / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(1)
    lines = []
    for number in range(24):
        for name in ("wide", "clean"):
            pixels: np.ndarray[Any, np.dtype[np.uint8]] = rng.integers(0, 255, (24, 24, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{name}{number}.png")
        lines.append(f"wide{number}.png,clean{number}.png,a shape number {number} and very blurry")
    (folder / "clean5.png").unlink()
    (folder / "pairs.csv").write_text("\n".join(["wide_image,clean_image,caption", *lines]))
    write_audits(project.pytester, "prefers_wide")
    result = project.run("--reward=tiny/clip", "--photographs=photographs", "-k", "photographs", "--audit-json=r.json")
    result.stdout.re_match_lines([r"  photographs: 24 pairs of photographs \([0-9a-f]{12}\)"])
    (found,) = json.loads((project.root / "r.json").read_text())["measurements"]
    assert (found["model"], found["metric"], found["n"], found["missing"]) == ("photographs", "prefers_wide", 23, 1)
    assert 0 <= found["estimate"] <= 23 / 24
    (folder / "pairs.csv").write_text("wide_image,clean_image\n")
    refused = project.run("--reward=tiny/clip", "--photographs=photographs")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*has no column 'caption'; it needs wide_image, clean_image, caption.*"])
