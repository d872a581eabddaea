"""Forward passes that are said before a model is loaded, against those that its loaded denoiser makes."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from generators.test_image_to_image import Picture
from generators.tiny_pipelines import PIPELINES as TINY

from aes_audit.generators.editing import EditRequest, ResolvedEditor
from aes_audit.generators.passes import PIPELINES, passes_per_image
from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.resolve import DiffusersModel, resolve_generator
from aes_audit.generators.zoo import ZOO


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny pipelines of the classes that are known, drawing in five steps."""
    root = tmp_path_factory.mktemp("pipelines")
    return {kind: TINY[kind](root / kind, num_inference_steps=5) for kind in ("flux", "sd3", "sdxl")}


def pinned(folder: Path, options: str = "") -> DiffusersModel:
    """A model of a folder."""
    return resolve_generator(f"{folder}{options}", root=Path("/nowhere"), device="cpu", batch_size=2)


def images_through(denoiser: torch.nn.Module, at_work: Any, requests: list[Any]) -> int:
    """Images that the denoiser was run on while they were drawn."""
    seen: list[int] = []

    def count(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        latents = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        seen.append(len(latents))

    hook = denoiser.register_forward_pre_hook(count, with_kwargs=True)
    at_work.generate(requests)
    hook.remove()
    return sum(seen)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("flux", "", 5),
        ("flux", "[true_cfg=4]", 5),
        ("flux", "[true_cfg=4]+negative=grey", 10),
        ("sd3", "", 10),
        ("sd3", "[guidance=1]", 5),
        ("sdxl", "[steps=3]", 6),
        ("sdxl", "[guidance=0]", 5),
    ],
)
def test_a_step_is_one_pass_and_two_where_the_guidance_is_not_distilled(
    folders: dict[str, Path], kind: str, options: str, expected: int
) -> None:
    model = pinned(folders[kind], options)
    assert passes_per_image(model) == expected
    loaded = model.load()
    denoiser = loaded.pipeline.unet if kind == "sdxl" else loaded.pipeline.transformer
    drawn = [ImageRequest("a cat", 0), ImageRequest("a dog", 1)]
    assert images_through(denoiser, loaded, drawn) == expected * len(drawn)


@pytest.mark.parametrize(("kind", "kept"), [("flux", 3), ("sd3", 6), ("sdxl", 4)])
def test_an_edit_takes_its_share_of_the_steps_rounded_as_the_pipeline_does(
    folders: dict[str, Path], kind: str, kept: int
) -> None:
    editor = ResolvedEditor(pinned(folders[kind]), 0.5)
    assert passes_per_image(editor) == kept
    loaded = editor.load()
    denoiser = loaded.pipeline.unet if kind == "sdxl" else loaded.pipeline.transformer
    assert images_through(denoiser, loaded, [EditRequest("a cat", 0, Picture(0))]) == kept


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_what_a_call_does_not_say_is_the_default_of_diffusers(name: str) -> None:
    taken = inspect.signature(getattr(diffusers, name).__call__).parameters
    known = PIPELINES[name]
    assert (taken["num_inference_steps"].default, taken[known.scale].default) == (known.steps, known.guidance)


@pytest.mark.parametrize("name", sorted(name for name, entry in ZOO.items() if entry.base and not entry.base.folder))
def test_a_model_of_the_zoo_is_known_before_its_weights_are_here(name: str, folders: dict[str, Path]) -> None:
    entry = ZOO[name]
    assert entry.base
    here = pinned(folders["flux"])
    source = replace(here.weights.source, folder=None, repo=entry.base.repo)
    settings = replace(here.settings, call=entry.recipe("default").call)
    model = replace(here, entry=entry, weights=replace(here.weights, source=source), settings=settings)
    steps = settings.call["num_inference_steps"]
    assert passes_per_image(model) == (steps if entry.family == "flux" else 2 * steps)


def test_what_is_not_known_is_not_guessed(folders: dict[str, Path], tmp_path: Path) -> None:
    assert passes_per_image(object()) is None
    model = pinned(folders["sd3"])
    assert passes_per_image(replace(model, settings=replace(model.settings, call={"sigmas": [1.0, 0.5]}))) is None
    for key, value in (("_class_name", "OtherPipeline"), ("scheduler", ["diffusers", "HeunDiscreteScheduler"])):
        folder = tmp_path / key
        folder.mkdir()
        index = json.loads((folders["sd3"] / "model_index.json").read_text())
        (folder / "model_index.json").write_text(json.dumps({**index, key: value}))
        source = replace(model.weights.source, folder=folder)
        assert passes_per_image(replace(model, weights=replace(model.weights, source=source))) is None


def test_a_u_net_that_takes_the_scale_as_an_input_makes_one_pass_a_step(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    model = pinned(folders["sdxl"])
    folder = tmp_path / "distilled"
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text((folders["sdxl"] / "model_index.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps({"time_cond_proj_dim": 8}))
    source = replace(model.weights.source, folder=folder)
    assert passes_per_image(replace(model, weights=replace(model.weights, source=source))) == 5
