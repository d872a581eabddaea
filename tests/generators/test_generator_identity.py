"""What makes a generator another one: everything that changes a pixel, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.keys import image_key
from aes_audit.generators.resolve import DiffusersModel, resolve_generator


def resolve(spec: str, device: str = "cpu", batch_size: int | None = None) -> DiffusersModel:
    """Pin a SPEC."""
    return resolve_generator(spec, root=Path("/nowhere"), device=device, batch_size=batch_size)


def test_place_name_device_and_batch_size_do_not_make_another_generator(tiny_pipeline: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_pipeline, tmp_path / "a copy")
    here, there = resolve(str(tiny_pipeline)), resolve(str(copy), device="cuda", batch_size=3)
    assert here.identity == there.identity
    assert here.name != there.name
    assert image_key(here.identity, "a cat", 1) == image_key(there.identity, "a cat", 1)


def _call(key: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "aes_audit.json"
        said = json.loads(file.read_text())
        file.write_text(json.dumps({**said, "call": {**said["call"], key: value}}))

    return change


def _dtype(folder: Path) -> None:
    file = folder / "aes_audit.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "dtype": "bfloat16"}))


def _scheduler(folder: Path) -> None:
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "shift": 2.0}))


def _weights(folder: Path) -> None:
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


CHANGES = [
    _call("num_inference_steps", 3),
    _call("guidance_scale", 2.0),
    _call("height", 24),
    _call("negative_prompt", "ugly"),
    _dtype,
    _scheduler,
    _weights,
]


def test_every_setting_and_every_weight_makes_another_generator(tiny_pipeline: Path, tmp_path: Path) -> None:
    seen = [resolve(str(tiny_pipeline)).identity]
    for number, change in enumerate(CHANGES):
        folder = Path(shutil.copytree(tiny_pipeline, tmp_path / str(number)))
        change(folder)
        seen.append(resolve(str(folder)).identity)
    keys = {image_key(identity, "a cat", 1) for identity in seen}
    assert len(keys) == 1 + len(CHANGES)


def test_what_most_models_do_not_have_is_no_part_of_their_keys(tiny_pipeline: Path) -> None:
    plain = resolve(str(tiny_pipeline)).identity
    # One more key here would be other keys for every image that anybody has stored.
    assert plain.keys() == {"kind", "weights", "loras", "call", "dtype", "scheduler"}


def test_another_transformer_a_negative_text_and_other_weight_files_make_another_generator(
    tiny_pipeline: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "variant"))
    said = json.loads((folder / "aes_audit.json").read_text())
    specs = [str(folder), f"{folder}+transformer={tiny_pipeline}", f"{folder}+negative=pretty"]
    identities = [resolve(spec).identity for spec in specs]
    (folder / "aes_audit.json").write_text(json.dumps({**said, "call": {**said["call"], "negative_prompt": "pretty"}}))
    identities.append(resolve(str(folder)).identity)
    (folder / "aes_audit.json").write_text(json.dumps({**said, "variant": "fp16"}))
    identities.append(resolve(str(folder)).identity)
    assert len({image_key(identity, "a cat", 1) for identity in identities}) == 5


def test_adapters_and_their_order_make_another_generator(
    tiny_pipeline: Path, tiny_lora: Path, other_lora: Path
) -> None:
    first, second = f"+lora={tiny_lora}", f"+lora={other_lora}"
    specs = [str(tiny_pipeline) + loras for loras in ("", first, second, first + second, second + first)]
    keys = {image_key(resolve(spec).identity, "a cat", 1) for spec in specs}
    assert len(keys) == 5


def test_a_model_without_a_declared_precision_is_another_one_where_the_device_chooses_another(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusion3Pipeline"}')
    on = {device: resolve(str(tmp_path), device=device) for device in ("cpu", "cuda", "mps")}
    assert {device: model.dtype for device, model in on.items()} == {
        "cpu": "float32",
        "cuda": "bfloat16",
        "mps": "bfloat16",
    }
    assert on["cpu"].identity != on["cuda"].identity == on["mps"].identity


def test_the_revision_names_pipeline_and_adapters(tiny_pipeline: Path, tiny_lora: Path) -> None:
    model = resolve(f"{tiny_pipeline}+lora={tiny_lora}")
    base, lora = model.revision.split("+")
    assert base == resolve(str(tiny_pipeline)).revision
    assert lora == model.loras[0].revision


def test_the_identity_names_the_scheduler_for_people(tiny_pipeline: Path) -> None:
    assert resolve(str(tiny_pipeline)).identity["scheduler"] == "FlowMatchEulerDiscreteScheduler"


def test_a_device_that_torch_cannot_use_is_an_infrastructure_error(tiny_pipeline: Path) -> None:
    import torch

    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(InfrastructureError, match=rf"cannot use device '{absent}': pass --audit-device=cpu\.$"):
        resolve(str(tiny_pipeline), device=absent).load()
