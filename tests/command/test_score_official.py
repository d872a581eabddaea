"""`aes-audit score` with folders in the official layout: what comes out are the official scores."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from parity.recipe import pairs, read_pack, write_checkpoint, write_images

from aes_audit.command.main import main


@pytest.mark.parametrize(
    ("pack_name", "spec", "fields"),
    [
        ("hpsv2", "hpsv2.1", {"value": "scores"}),
        ("hpsv2", "hpsv2.1[antialias=false]", {"value": "scores_no_antialias"}),
        ("mps", "mps[threshold=0.01]", {"value": "scores_threshold_0_01"}),
        ("imagereward", "imagereward", {"value": "scores"}),
        ("hpsv3", "hpsv3", {"value": "mu", "sigma": "sigma"}),
    ],
)
def test_a_folder_of_the_official_layout_gives_the_official_scores(
    pack_name: str, spec: str, fields: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pack = read_pack(pack_name)
    write_checkpoint(pack, tmp_path / "model")
    files = write_images(pack, tmp_path / "images")
    asked = list(pairs(pack))[::5]
    rows = [(files[image].relative_to(tmp_path), pack["prompts"][prompt]) for image, prompt in asked]
    with (tmp_path / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("image", "prompt"), *rows])
    output = tmp_path / "out.csv"
    reward = f"{spec}={tmp_path / 'model'}"
    command = ["score", "--pairs", str(tmp_path / "pairs.csv"), "--output", str(output), "--reward", reward]
    assert main([*command, "--device", "cpu"]) == 0
    with output.open(newline="", encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    for (image, prompt), row in zip(asked, found, strict=True):
        assert row["error"] == ""
        for column, field in fields.items():
            assert float(row[column]) == pytest.approx(pack[field][f"{image}|{prompt}"], abs=1e-4)
