"""Training of the controls at a tiny scale: every stage runs, and an interrupted run ends like an undisturbed one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from sharing import made_once

from aes_audit.controls.train import main

LOOPS = ("vae", "clip", "judge", "generator", "preference", "beautified", "instructed")
WEIGHTS = {
    "vae": "work/vae/diffusion_pytorch_model.safetensors",
    "clip": "models/clip/model.safetensors",
    "judge": "models/judge/model.safetensors",
    "generator": "models/faithful/transformer/diffusion_pytorch_model.safetensors",
    "preference": "models/preference/model.safetensors",
    "beautified": "models/beautified/pytorch_lora_weights.safetensors",
    "instructed": "models/instructed/pytorch_lora_weights.safetensors",
}


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    """Sums in one order: equal runs shall be equal to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(folder: Path, stage: str, *options: str) -> int:
    """One stage at the smallest scale; the exit code."""
    places = ["--output", str(folder / "models"), "--work", str(folder / "work")]
    return main([stage, *places, "--device", "cpu", "--scale", "0.0002", "--workers", "1", *options])


@pytest.fixture(scope="session")
def undisturbed(run_folder: Path) -> Path:
    """All stages, each in one go; copy it before changing it."""
    torch.set_num_threads(1)
    return made_once(run_folder / "trained_controls", _run_all)


def _run_all(folder: Path) -> None:
    assert run(folder, "all") == 0


@pytest.fixture
def copied(undisturbed: Path, tmp_path: Path) -> Path:
    """What the stages made, without the checkpoints by which they would know that they are done."""
    without = shutil.ignore_patterns("checkpoints", "mitigation")
    return Path(shutil.copytree(undisturbed, tmp_path / "copied", ignore=without))


def test_every_stage_leaves_its_model_and_a_report(undisturbed: Path) -> None:
    assert all((undisturbed / file).is_file() for file in WEIGHTS.values())
    models = undisturbed / "models"
    reports = {path.stem: json.loads(path.read_text()) for path in (models / "reports").glob("*.json")}
    assert set(LOOPS) <= set(reports)
    assert all(reports[name]["steps"] >= 3 for name in LOOPS)
    assert {"audit_faithful", "audit_beautified", "audit_instructed", "audit_rewards"} <= set(reports)
    sheets = {path.stem for path in (models / "sheets").glob("*.png")}
    assert sheets == {"world", "faithful", "beautified", "instructed"}


@pytest.mark.parametrize(
    "stage",
    [
        "generator",  # Keeps an average beside its weights.
        "beautified",  # Paints before it trains; `instructed` is the same with another reward.
        "preference",
        "clip",
        *(pytest.param(stage, marks=pytest.mark.heavy) for stage in ("vae", "judge")),
    ],
)
def test_an_interrupted_stage_ends_with_the_weights_of_an_undisturbed_one(
    undisturbed: Path, copied: Path, stage: str
) -> None:
    (copied / WEIGHTS[stage]).unlink()
    assert run(copied, stage, "--stop-after", "2") == 3
    assert run(copied, stage) == 0
    one, other = (load_file(folder / WEIGHTS[stage]) for folder in (undisturbed, copied))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_a_finished_stage_run_again_trains_no_further(undisturbed: Path, copied: Path) -> None:
    (copied / WEIGHTS["preference"]).unlink()
    kept = Path("work/checkpoints/preference.pt")
    (copied / kept).parent.mkdir()
    shutil.copy(undisturbed / kept, copied / kept)
    assert run(copied, "preference") == 0
    before, after = (load_file(folder / WEIGHTS["preference"]) for folder in (undisturbed, copied))
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_a_half_drawn_corpus_is_completed(copied: Path) -> None:
    folder = copied / "work" / "corpus"
    before = (folder / "images.npy").read_bytes()
    record = json.loads((folder / "done.json").read_text())
    (folder / "done.json").write_text(json.dumps({**record, "done": []}))
    assert run(copied, "corpus") == 0
    assert (folder / "images.npy").read_bytes() == before
    assert json.loads((folder / "done.json").read_text()) == record


def test_a_vocabulary_is_learnt_alike_in_every_folder(undisturbed: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "tokenizer") == 0
    learnt = [(folder / "work" / "tokenizer" / "tokenizer.json").read_bytes() for folder in (undisturbed, tmp_path)]
    assert learnt[0] == learnt[1]


def test_no_temporary_file_stays_behind(undisturbed: Path) -> None:
    assert not list(undisturbed.rglob("*.tmp"))
