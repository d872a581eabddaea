"""Editing with every pipeline class of the zoo, tiny and with random weights, against plain diffusers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.utils import logging as diffusers_log
from generators.tiny_pipelines import PIPELINES
from numpy.typing import NDArray
from PIL import Image

from aes_audit.errors import MissingScores
from aes_audit.evidence.keys import image_key
from aes_audit.generators.drawing import DiffusersGenerator
from aes_audit.generators.editing import EditRequest, ResolvedEditor
from aes_audit.generators.image_to_image import DiffusersEditor
from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.resolve import resolve_generator

PIXELS = 32
IMAGE_TO_IMAGE: dict[str, Any] = {
    "flux": diffusers.FluxImg2ImgPipeline,
    "sd3": diffusers.StableDiffusion3Img2ImgPipeline,
    "sdxl": diffusers.StableDiffusionXLImg2ImgPipeline,
    "qwen-image": diffusers.QwenImageImg2ImgPipeline,
    "z-image": diffusers.ZImageImg2ImgPipeline,
}


@dataclass(frozen=True)
class Picture:
    """A picture of random colours that lies nowhere."""

    seed: int
    side: int = PIXELS

    @property
    def sha256(self) -> str:
        """Digest of its pixels."""
        return hashlib.sha256(self.open().tobytes()).hexdigest()

    def open(self) -> Image.Image:
        """The picture."""
        colours = np.random.default_rng(self.seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        return Image.fromarray(colours).resize((self.side, self.side), Image.Resampling.BICUBIC)


REQUESTS = [
    EditRequest(text, seed, Picture(seed)) for seed, text in enumerate(("a cat", "a very long crocodile", "dogs"))
]


@pytest.fixture(scope="module", params=sorted(IMAGE_TO_IMAGE))
def kind(request: pytest.FixtureRequest) -> str:
    """A pipeline class of the zoo."""
    return str(request.param)


@pytest.fixture(scope="module")
def folder(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The saved pipeline, drawing in four steps."""
    return PIPELINES[kind](tmp_path_factory.mktemp("pipelines") / kind, num_inference_steps=4)


@pytest.fixture(scope="module")
def editor(folder: Path) -> DiffusersEditor:
    """The loaded editor."""
    return pinned(folder).load()


def pinned(folder: Path) -> ResolvedEditor:
    """The editor of a folder."""
    return ResolvedEditor(resolve_generator(str(folder), root=Path("/nowhere"), device="cpu"))


def edit(editor: DiffusersEditor, *requests: EditRequest) -> list[NDArray[np.int16]]:
    """Pixels, wide enough to be subtracted."""
    images = editor.generate(requests)
    assert all(isinstance(image, Image.Image) and image.size == (PIXELS, PIXELS) for image in images)
    return [np.asarray(image).astype(np.int16) for image in images]


def edited_by_diffusers(kind: str, folder: Path, request: EditRequest, **more: Any) -> NDArray[np.int16]:
    """What the image-to-image class of diffusers, loaded by itself, makes of the request with the model's settings."""
    diffusers_log.set_verbosity_error()
    drawing = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline = IMAGE_TO_IMAGE[kind](**drawing.components)
    pipeline.set_progress_bar_config(disable=True)
    call = json.loads((folder / "aes_audit.json").read_text())["call"] | more
    if kind == "sdxl":
        call = {name: value for name, value in call.items() if name not in ("height", "width")}
    noise = torch.Generator("cpu").manual_seed(request.seed)
    source = request.picture.open()
    (image,) = pipeline(request.prompt, image=source, strength=0.5, generator=noise, **call).images
    return np.asarray(image).astype(np.int16)


def test_an_edit_is_what_diffusers_makes_of_it_by_itself(kind: str, folder: Path, editor: DiffusersEditor) -> None:
    for request, image in zip(REQUESTS, [edit(editor, request)[0] for request in REQUESTS], strict=True):
        assert abs(image - edited_by_diffusers(kind, folder, request)).max() <= 1


def test_an_edit_is_the_same_in_any_batch_and_any_order(editor: DiffusersEditor) -> None:
    alone = [edit(editor, request)[0] for request in REQUESTS]
    backwards = edit(editor, *reversed(REQUESTS))[::-1]
    for one, other in zip(alone, backwards, strict=True):
        assert abs(one - other).max() <= 1, "matrix kernels may round one grey level differently"


def test_the_source_the_text_and_the_seed_all_matter(editor: DiffusersEditor) -> None:
    first = EditRequest("a cat", 1, Picture(1))
    others = [
        EditRequest("a cat", 1, Picture(2)),
        EditRequest("dogs", 1, Picture(1)),
        EditRequest("a cat", 2, Picture(1)),
    ]
    (edited,) = edit(editor, first)
    for other in others:
        assert not np.array_equal(edit(editor, other)[0], edited), other
    assert not np.array_equal(edited, np.asarray(first.picture.open())), "the source is edited, not handed back"


def test_it_draws_half_of_the_steps_with_the_weights_of_the_model(editor: DiffusersEditor) -> None:
    network = getattr(editor.pipeline, "transformer", None) or editor.pipeline.unet
    calls: list[int] = []
    handle = network.register_forward_pre_hook(lambda *_: calls.append(1))
    drawing = DiffusersGenerator(editor.pipeline, editor.model)
    drawing.generate([ImageRequest("a cat", 1)])
    drawn = len(calls)
    edit(editor, EditRequest("a cat", 1, Picture(1)))
    handle.remove()
    assert len(calls) - drawn == drawn / 2 > 0


def test_a_source_of_another_size_is_brought_to_the_size_that_the_model_draws(editor: DiffusersEditor) -> None:
    (large,) = edit(editor, EditRequest("a cat", 1, Picture(1, side=3 * PIXELS)))
    assert large.shape == (PIXELS, PIXELS, 3)


def without(folder: Path, *settings: str) -> Path:
    """The same folder, which leaves these settings of the call to its pipeline."""
    file = folder / "aes_audit.json"
    found = json.loads(file.read_text())
    call = {name: value for name, value in found["call"].items() if name not in settings}
    file.write_text(json.dumps({**found, "call": call}))
    return folder


def test_settings_that_nobody_chose_are_those_of_drawing_and_not_of_image_to_image(tmp_path: Path) -> None:
    folder = without(PIPELINES["flux"](tmp_path / "flux", num_inference_steps=4), "guidance_scale")
    (edited,) = edit(pinned(folder).load(), REQUESTS[0])
    own, other = (edited_by_diffusers("flux", folder, REQUESTS[0], guidance_scale=scale) for scale in (3.5, 7.0))
    assert abs(edited - own).max() <= 1, "FluxPipeline's default is 3.5"
    assert abs(own - other).max() > 1, "the default of FluxImg2ImgPipeline would show"


def test_a_setting_that_cannot_be_kept_is_no_edit(tmp_path: Path) -> None:
    folder = PIPELINES["sd3"](tmp_path / "sd3", skip_guidance_layers=[0])
    with pytest.raises(MissingScores, match="its setting skip_guidance_layers cannot be kept"):
        pinned(folder).load()


def test_a_model_of_one_step_has_none_left_to_draw_anew(tmp_path: Path) -> None:
    folder = PIPELINES["sd3"](tmp_path / "sd3", num_inference_steps=1)
    with pytest.raises(MissingScores, match=r"1 step leaves nothing to draw anew at strength 0\.5"):
        pinned(folder).load()


def test_a_pipeline_that_diffusers_cannot_edit_with_is_not_measured(tmp_path: Path) -> None:
    # A fault: a class that has no image-to-image counterpart.
    unheard: Any = type("Unheard", (diffusers.StableDiffusion3Pipeline,), {})
    editor = pinned(PIPELINES["sd3"](tmp_path / "sd3"))
    loaded = editor.model.load()
    strange = DiffusersGenerator(unheard(**loaded.pipeline.components), loaded.model)
    with pytest.raises(MissingScores, match="diffusers has no image-to-image pipeline for a Unheard"):
        DiffusersEditor(strange, editor)


def test_an_editor_is_kept_apart_from_its_model_and_an_edit_from_that_of_another_source(tmp_path: Path) -> None:
    editor = pinned(PIPELINES["sd3"](tmp_path / "sd3"))
    assert editor.identity == {**editor.model.identity, "task": "edit", "strength": 0.5}
    assert editor.revision == editor.model.revision
    keys = [
        image_key(identity, request.prompt, request.seed, request.source)
        for identity in (editor.model.identity, editor.identity)
        for request in (
            ImageRequest("a cat", 1),
            EditRequest("a cat", 1, Picture(1)),
            EditRequest("a cat", 1, Picture(2)),
        )
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == image_key(editor.model.identity, "a cat", 1), "drawn images keep their keys"
