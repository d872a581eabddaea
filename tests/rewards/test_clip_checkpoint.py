"""CLIP weights in the publishers' formats: names, sizes, and what is said about files that are broken or foreign."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from parity.clip import Bench
from safetensors.torch import load_file, save_file
from torch import Tensor

from aes_audit.errors import InfrastructureError, UnsafeWeights
from aes_audit.rewards.clip_checkpoint import from_openai_names, openai_name
from aes_audit.rewards.clip_family import load_hpsv1
from aes_audit.rewards.registry import resolve_reward


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.build("hpsv2", tmp_path_factory.mktemp("hpsv2"))


@pytest.fixture(scope="module")
def tensors(bench: Bench) -> Mapping[str, Tensor]:
    found: Mapping[str, Tensor] = torch.load(bench.files.checkpoint, weights_only=True)["state_dict"]
    return found


@pytest.fixture
def folder(bench: Bench, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(bench.files.folder, tmp_path / "reward"))


def refusal(folder: Path, reward: str = "hpsv2.1") -> str:
    """What is said when the folder is loaded."""
    with pytest.raises((InfrastructureError, UnsafeWeights)) as raised:
        resolve_reward(f"{reward}={folder}", device="cpu").load()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_every_name_is_found_back(tensors: Mapping[str, Tensor]) -> None:
    renamed = from_openai_names(tensors)
    assert {openai_name(name) for name in renamed} == set(tensors)
    assert from_openai_names(renamed).keys() == renamed.keys()


@pytest.mark.parametrize("form", ["prefixed", "transformers", "safetensors"])
def test_copies_by_other_tools_score_the_same(
    bench: Bench, tensors: Mapping[str, Tensor], folder: Path, form: str
) -> None:
    (folder / bench.files.checkpoint.name).unlink()
    named = from_openai_names(tensors) if form == "transformers" else tensors
    prefix = "model." if form == "prefixed" else ""
    save_file(
        {prefix + name: tensor.contiguous().clone() for name, tensor in named.items()}, folder / "copy.safetensors"
    )
    keys = bench.keys[:3]
    ours = bench.asked(resolve_reward(f"hpsv2.1={folder}", device="cpu").load().score, keys)
    assert ours == pytest.approx(bench.resolved("hpsv2.1", keys), abs=1e-7)


@pytest.mark.parametrize(
    "name",
    ["visual.proj", "token_embedding.weight", "visual.transformer.resblocks.1.attn.in_proj_bias", "ln_final.bias"],
)
@pytest.mark.parametrize("fault", ["lost", "cut"])
def test_a_bad_tensor_is_named_as_the_file_names_it(
    bench: Bench, tensors: Mapping[str, Tensor], folder: Path, name: str, fault: str
) -> None:
    broken = dict(tensors)
    tensor = broken.pop(name)
    if fault == "cut":
        broken[name] = tensor[:-3].clone() if tensor.ndim > 1 else tensor[:-6].clone()
    file = folder / bench.files.checkpoint.name
    torch.save({"state_dict": broken}, file)
    said = refusal(folder)
    assert str(file) in said
    assert repr(name) in said


def test_an_unexpected_tensor_is_named(bench: Bench, tensors: Mapping[str, Tensor], folder: Path) -> None:
    file = folder / bench.files.checkpoint.name
    torch.save({"state_dict": {**tensors, "reward_head.weight": torch.zeros(2)}}, file)
    assert "'reward_head.weight'" in refusal(folder)


def test_another_model_is_no_clip(bench: Bench, folder: Path) -> None:
    file = folder / bench.files.checkpoint.name
    torch.save({"state_dict": {"blip.visual_encoder.cls_token": torch.zeros(1, 1, 8)}}, file)
    said = refusal(folder)
    assert str(file) in said
    assert "'token_embedding.weight' is missing. Is it a CLIP?" in said


def test_a_truncated_file_is_named(bench: Bench, folder: Path) -> None:
    file = folder / bench.files.checkpoint.name
    file.write_bytes(file.read_bytes()[:-5000])
    assert str(file) in refusal(folder)


class Payload:
    """Leaves a file behind when it is unpickled in the ordinary way."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("reward", ["hpsv1", "hpsv2.1"])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(
    tensors: Mapping[str, Tensor], folder: Path, tmp_path: Path, reward: str
) -> None:
    trace = tmp_path / "trace"
    for file in folder.glob("*.pt"):
        file.unlink()
    torch.save({"state_dict": dict(tensors), "extra": Payload(trace)}, folder / "hpc.pt")
    assert str(folder / "hpc.pt") in refusal(folder, reward)
    assert not trace.exists()


def test_extra_objects_are_read_around_in_hps_v1_only(tensors: Mapping[str, Tensor], folder: Path) -> None:
    for file in folder.glob("*.pt"):
        file.unlink()
    torch.save({"state_dict": dict(tensors), "args": torch.optim.SGD([torch.zeros(1)], lr=1.0)}, folder / "copy.pt")
    assert "would run code" in refusal(folder)
    resolve_reward(f"hpsv1={folder}", device="cpu").load()


@pytest.mark.parametrize("content", ["{", "[]", '{"text_cfg": {"heads": 2}}', '{"text_cfg": 3, "vision_cfg": {}}'])
def test_a_configuration_that_is_none_is_named(folder: Path, content: str) -> None:
    (folder / "open_clip_config.json").write_text(content)
    said = refusal(folder)
    assert str(folder / "open_clip_config.json") in said


def test_heads_that_do_not_divide_the_width_are_said(folder: Path) -> None:
    file = folder / "open_clip_config.json"
    settings = json.loads(file.read_text())
    settings["text_cfg"]["heads"] = 3
    file.write_text(json.dumps(settings))
    assert "128 channels are not divisible by 3 heads" in refusal(folder)


def test_without_a_configuration_heads_are_those_of_the_published_sizes(bench: Bench, folder: Path) -> None:
    (folder / "open_clip_config.json").unlink()
    keys = bench.keys[:3]
    ours = bench.asked(resolve_reward(f"hpsv2.1={folder}", device="cpu").load().score, keys)
    assert ours == pytest.approx(bench.resolved("hpsv2.1", keys), abs=1e-7)


def test_half_precision_weights_are_computed_in_float32(tmp_path: Path) -> None:
    bench = Bench.build("clip", tmp_path / "clip")
    weights = {name: tensor.half() for name, tensor in load_file(bench.files.checkpoint).items()}
    save_file(weights, bench.files.checkpoint, metadata={"format": "pt"})
    architecture = bench.loaded(load_hpsv1)
    assert {parameter.dtype for parameter in architecture.model.parameters()} == {torch.float32}
