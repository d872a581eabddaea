"""Training of the controls at a tiny scale: every stage runs, and an interrupted run ends like an undisturbed one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from aes_audit.controls.train import main

LOOPS = ("vae", "clip", "judge", "generator", "preference", "beautified", "instructed")
# Not `instructed`: it is `beautified` with another reward.
INTERRUPTED = ("vae", "clip", "judge", "generator", "preference", "beautified")
WEIGHTS = {
    "clip": "clip/model.safetensors",
    "judge": "judge/model.safetensors",
    "generator": "faithful/transformer/diffusion_pytorch_model.safetensors",
    "preference": "preference/model.safetensors",
    "beautified": "beautified/pytorch_lora_weights.safetensors",
    "instructed": "instructed/pytorch_lora_weights.safetensors",
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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages, each in one go."""
    folder = tmp_path_factory.mktemp("undisturbed")
    torch.set_num_threads(1)
    assert run(folder, "all") == 0
    return folder


@pytest.fixture(scope="module")
def interrupted(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures, but every training loop is stopped after its second step and started again."""
    folder = tmp_path_factory.mktemp("interrupted")
    torch.set_num_threads(1)
    for drawn in ("tokenizer", "corpus"):
        shutil.copytree(undisturbed / "work" / drawn, folder / "work" / drawn)
    for stage in INTERRUPTED:
        assert run(folder, stage, "--stop-after", "2") == 3
        assert run(folder, stage) == 0
    return folder


def test_every_stage_leaves_its_model_and_a_report(undisturbed: Path) -> None:
    models = undisturbed / "models"
    assert all((models / file).is_file() for file in WEIGHTS.values())
    reports = {path.stem: json.loads(path.read_text()) for path in (models / "reports").glob("*.json")}
    assert set(LOOPS) <= set(reports)
    assert all(reports[name]["steps"] >= 3 for name in LOOPS)
    assert {"audit_faithful", "audit_beautified", "audit_instructed", "audit_rewards"} <= set(reports)
    sheets = {path.stem for path in (models / "sheets").glob("*.png")}
    assert sheets == {"world", "faithful", "beautified", "instructed"}


@pytest.mark.parametrize("stage", INTERRUPTED[1:])
def test_an_interrupted_stage_ends_with_the_weights_of_an_undisturbed_one(
    undisturbed: Path, interrupted: Path, stage: str
) -> None:
    one, other = (load_file(folder / "models" / WEIGHTS[stage]) for folder in (undisturbed, interrupted))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_a_finished_stage_run_again_trains_no_further(interrupted: Path) -> None:
    before = load_file(interrupted / "models" / WEIGHTS["judge"])
    assert run(interrupted, "judge") == 0
    after = load_file(interrupted / "models" / WEIGHTS["judge"])
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_a_half_drawn_corpus_is_completed(undisturbed: Path) -> None:
    folder = undisturbed / "work" / "corpus"
    before = (folder / "images.npy").read_bytes()
    record = json.loads((folder / "done.json").read_text())
    (folder / "done.json").write_text(json.dumps({**record, "done": []}))
    assert run(undisturbed, "corpus") == 0
    assert (folder / "images.npy").read_bytes() == before
    assert json.loads((folder / "done.json").read_text()) == record


def test_a_vocabulary_is_learnt_alike_in_every_folder(undisturbed: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "tokenizer") == 0
    learnt = [(folder / "work" / "tokenizer" / "tokenizer.json").read_bytes() for folder in (undisturbed, tmp_path)]
    assert learnt[0] == learnt[1]


def test_no_temporary_file_stays_behind(undisturbed: Path) -> None:
    assert not list(undisturbed.rglob("*.tmp"))
