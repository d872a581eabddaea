"""The shipped `control/mitigated`: what it learnt from, and that its stage trains it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from aes_audit.controls.prompts import control_pairs
from aes_audit.controls.train import main
from aes_audit.controls.training.mitigation import PAIRS, draw_pairs, mitigation_scenes
from aes_audit.controls.training.workshop import Workshop
from aes_audit.generators.resolve import LORA_MARKER, resolve_generator
from aes_audit.prompts.pairs import read_prompt_set
from aes_audit.resources import control_folder

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = control_folder("mitigated")
ADAPTER = "pytorch_lora_weights.safetensors"


def test_no_scene_of_the_training_is_one_of_an_audited_pair() -> None:
    audited = {(pair.scene.kind, pair.scene.colour, pair.scene.place) for pair in control_pairs()}
    scenes = mitigation_scenes(np.random.default_rng((0, 11)), PAIRS)
    assert audited.isdisjoint((scene.kind, scene.colour, scene.place) for scene in scenes)


def test_no_prompt_of_the_training_is_one_of_an_audited_pair(tmp_path: Path) -> None:
    audited = {words for pair in read_prompt_set("control_pairs").pairs for words in (pair.original, pair.wide)}
    assert len(audited) > 250
    data = draw_pairs(Workshop(output=tmp_path, work=tmp_path, device=torch.device("cpu")))
    assert audited.isdisjoint(data.prompts)
    # Drawing it again gives the very data that the shipped adapter names as its own.
    assert json.loads((SHIPPED / "training.json").read_text())["data"]["digest"] == data.digest


def test_the_shipped_adapter_is_half_precision_and_belongs_to_the_shipped_beautified() -> None:
    weights = load_file(SHIPPED / ADAPTER)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert (SHIPPED / ADAPTER).stat().st_size < 300_000
    base = json.loads((SHIPPED / "training.json").read_text())["base"]
    model = resolve_generator("control/beautified", root=Path.cwd(), device="cpu")
    assert base["model"] == "control/beautified"
    assert base["weights"] == model.weights.identity
    assert base["loras"] == [lora.identity for lora in model.loras]


@pytest.mark.heavy
@pytest.mark.parametrize(("model", "code"), [("control/mitigated", 0), ("control/beautified", 1)])
def test_the_mitigated_control_passes_where_the_beautified_one_fails(
    model: str, code: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = tmp_path_factory.getbasetemp() / "mitigation-store"
    options = [f"--model={model}", "--base-model=control/faithful", f"--audit-store={store}", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "audits/", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == code, run.stdout


@pytest.mark.heavy
def test_training_anew_gives_the_shipped_adapter(tmp_path: Path) -> None:
    """Five minutes on an idle core. On another processor sums round otherwise, so a hundredth of deviation is allowed.

    The committed weights come from the stage's own command in float32 on a CPU with one thread."""
    (tmp_path / "models").mkdir()
    for name in ("faithful", "beautified"):
        (tmp_path / "models" / name).symlink_to(control_folder(name))
    places = ["--output", str(tmp_path / "models"), "--work", str(tmp_path / "work"), "--device", "cpu"]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert main(["mitigated", *places]) == 0
    finally:
        torch.set_num_threads(before)
    trained, shipped = (load_file(folder / ADAPTER) for folder in (tmp_path / "models" / "mitigated", SHIPPED))
    assert trained.keys() == shipped.keys()
    for name, tensor in shipped.items():
        # Layers of the last block whose output nobody reads stay at zero.
        deviation = (trained[name].float() - tensor.float()).norm()
        assert deviation <= 0.01 * tensor.float().norm(), name
    assert resolve_generator(f"control/beautified+lora={tmp_path / 'models' / 'mitigated'}", root=Path(), device="cpu")
    assert (tmp_path / "models" / "mitigated" / LORA_MARKER).is_file()
