"""Drawing with a real (tiny) pipeline: what an image depends on, what it does not, and what is no image."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from aes_audit.errors import InfrastructureError
from aes_audit.generators.pipeline import DiffusersGenerator
from aes_audit.generators.protocol import ImageRequest, MissingImage
from aes_audit.generators.resolve import resolve_generator

REQUESTS = [
    ImageRequest(f"a {animal}", seed) for animal in ("cat", "dog", "very very long crocodile") for seed in (1, 2)
]
VAE = "vae/diffusion_pytorch_model.safetensors"
TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"
TEXT_ENCODER = "text_encoder/model.safetensors"
LORA = "pytorch_lora_weights.safetensors"


def load(spec: str) -> DiffusersGenerator:
    """A loaded generator."""
    return resolve_generator(spec, root=Path("/nowhere"), device="cpu").load()


def draw(generator: DiffusersGenerator, *requests: ImageRequest) -> list[NDArray[np.int16]]:
    """Pixels, wide enough to be subtracted."""
    images = generator.generate(requests)
    assert all(isinstance(image, Image.Image) and image.mode == "RGB" for image in images)
    return [np.asarray(image).astype(np.int16) for image in images]


@pytest.fixture(scope="module")
def drawer(tiny_pipeline: Path) -> DiffusersGenerator:
    """The tiny pipeline, loaded."""
    return load(str(tiny_pipeline))


def changed(folder: Path, copy: Path, file: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    """A copy of a model folder with other weights in one file."""
    shutil.copytree(folder, copy)
    weights = {name: change(tensor) for name, tensor in load_file(copy / file).items()}
    save_file(weights, copy / file, metadata={"format": "pt"})
    return copy


def test_an_image_is_the_same_in_any_batch_and_any_order(drawer: DiffusersGenerator) -> None:
    alone = [draw(drawer, request)[0] for request in REQUESTS]
    together = draw(drawer, *REQUESTS)
    backwards = draw(drawer, *reversed(REQUESTS))[::-1]
    for one, other, third in zip(alone, together, backwards, strict=True):
        assert abs(one - other).max() <= 1, "matrix kernels may round one grey level differently"
        assert abs(one - third).max() <= 1


def test_the_same_request_gives_the_same_pixels_also_after_another_load(
    drawer: DiffusersGenerator, tiny_pipeline: Path
) -> None:
    first = draw(drawer, *REQUESTS)
    assert all(np.array_equal(*pair) for pair in zip(first, draw(drawer, *REQUESTS), strict=True))
    assert all(np.array_equal(*pair) for pair in zip(first, draw(load(str(tiny_pipeline)), *REQUESTS), strict=True))


def test_the_global_random_state_neither_matters_nor_moves(drawer: DiffusersGenerator) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    (first,) = draw(drawer, REQUESTS[0])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert np.array_equal(draw(drawer, REQUESTS[0])[0], first)


def test_seed_and_prompt_both_matter(drawer: DiffusersGenerator) -> None:
    images = draw(drawer, *REQUESTS)
    assert len({image.tobytes() for image in images}) == len(REQUESTS)


def test_seeds_of_the_whole_range_are_taken(drawer: DiffusersGenerator) -> None:
    images = draw(drawer, *(ImageRequest("a cat", seed) for seed in (0, 2**31, 2**63 - 1)))
    assert len({image.tobytes() for image in images}) == 3


def test_adapters_change_the_pixels_and_each_of_two_counts(
    tiny_pipeline: Path, tiny_lora: Path, other_lora: Path, drawer: DiffusersGenerator
) -> None:
    first, second = f"+lora={tiny_lora}", f"+lora={other_lora}"
    specs = [first, second, first + second]
    drawn = [draw(load(str(tiny_pipeline) + loras), REQUESTS[0])[0] for loras in specs]
    assert len({image.tobytes() for image in [*drawn, draw(drawer, REQUESTS[0])[0]]}) == 4


def test_two_adapters_add_up(tiny_pipeline: Path, tiny_lora: Path, other_lora: Path) -> None:
    def weight(loras: str) -> torch.Tensor:
        tensor: torch.Tensor = (
            load(str(tiny_pipeline) + loras).pipeline.transformer.transformer_blocks[0].attn.to_q.weight
        )
        return tensor.detach()

    base, first, second = weight(""), weight(f"+lora={tiny_lora}"), weight(f"+lora={other_lora}")
    both = weight(f"+lora={tiny_lora}+lora={other_lora}")
    torch.testing.assert_close(both - base, (first - base) + (second - base))


def test_settings_beside_the_model_reach_the_pipeline(tiny_pipeline: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "model"))
    call = {"num_inference_steps": 1, "guidance_scale": 1.0, "height": 16, "width": 32, "max_sequence_length": 1}
    (folder / "aes_audit.json").write_text(json.dumps({"call": call}))
    (image,) = draw(load(str(folder)), REQUESTS[0])
    assert image.shape == (16, 32, 3)


def test_a_declared_precision_is_the_precision_of_the_weights(tiny_pipeline: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "model"))
    (folder / "aes_audit.json").write_text(json.dumps({"dtype": "bfloat16"}))
    pipeline = load(str(folder)).pipeline
    assert {pipeline.transformer.dtype, pipeline.vae.dtype, pipeline.text_encoder.dtype} == {torch.bfloat16}


@pytest.mark.parametrize("file", [TRANSFORMER, VAE])
def test_nan_pixels_are_a_missing_image(tiny_pipeline: Path, tmp_path: Path, file: str) -> None:
    folder = changed(tiny_pipeline, tmp_path / "nan", file, lambda tensor: torch.full_like(tensor, torch.nan))
    expected = MissingImage("the pipeline returned NaN or infinite pixels", "nonfinite")
    assert load(str(folder)).generate(REQUESTS[:2]) == [expected, expected]


def test_a_constant_frame_is_a_missing_image(tiny_pipeline: Path, tmp_path: Path) -> None:
    folder = changed(tiny_pipeline, tmp_path / "grey", VAE, torch.zeros_like)
    expected = MissingImage("the frame is constant (every pixel is 128, 128, 128)", "constant")
    assert load(str(folder)).generate(REQUESTS[:1]) == [expected]


@pytest.mark.parametrize("file", [TRANSFORMER, VAE, TEXT_ENCODER])
@pytest.mark.parametrize("length", [0, 100, -10])
def test_truncated_weights_are_one_line_that_names_the_model(
    tiny_pipeline: Path, tmp_path: Path, file: str, length: int
) -> None:
    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "model"))
    (folder / file).write_bytes((folder / file).read_bytes()[:length])
    with pytest.raises(InfrastructureError) as raised:
        load(str(folder))
    assert str(raised.value).startswith(f"{folder} cannot be loaded: ")
    assert "\n" not in str(raised.value)


def test_a_truncated_adapter_is_one_line_that_names_the_model(
    tiny_pipeline: Path, tiny_lora: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_lora, tmp_path / "lora"))
    (folder / LORA).write_bytes((folder / LORA).read_bytes()[:-1])
    spec = f"{tiny_pipeline}+lora={folder}"
    with pytest.raises(InfrastructureError, match=r"^.*\+lora=.* cannot be loaded: [^\n]+$"):
        load(spec)


def test_an_adapter_of_another_architecture_is_refused_not_ignored(tiny_pipeline: Path, tmp_path: Path) -> None:
    weights = {f"unet.down.to_q.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}
    save_file(weights, tmp_path / LORA)
    with pytest.raises(InfrastructureError, match=r"no weight of .* belongs to a StableDiffusion3Pipeline\.$"):
        load(f"{tiny_pipeline}+lora={tmp_path}")


@pytest.mark.parametrize("layer", ["transformer_blocks.9.attn.to_q", "transformer_blocks.0.attn.to_q"])
def test_an_adapter_for_another_size_of_model_is_refused(tiny_pipeline: Path, tmp_path: Path, layer: str) -> None:
    weights = {
        f"transformer.{layer}.lora_A.weight": torch.ones(2, 6),
        f"transformer.{layer}.lora_B.weight": torch.ones(6, 2),
    }
    save_file(weights, tmp_path / LORA)
    with pytest.raises(InfrastructureError, match=r"^.* cannot be loaded: [^\n]+$"):
        load(f"{tiny_pipeline}+lora={tmp_path}")


@pytest.mark.parametrize(
    "lost", [VAE, "vae", "tokenizer", "tokenizer_2/tokenizer.json", "scheduler", "transformer/config.json"]
)
def test_a_folder_that_lacks_a_part_is_refused_in_one_line(tiny_pipeline: Path, tmp_path: Path, lost: str) -> None:
    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "model"))
    shutil.rmtree(folder / lost) if (folder / lost).is_dir() else (folder / lost).unlink()
    with pytest.raises(InfrastructureError, match=rf"^{folder}[^\n]*$"):
        load(str(folder))


@pytest.mark.parametrize("name", ["NoSuchPipeline", "logging", "AutoencoderKL"])
def test_an_index_of_something_that_is_no_pipeline_is_refused_in_one_line(
    tiny_pipeline: Path, tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "model"))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": name}))
    with pytest.raises(InfrastructureError, match=rf"^{folder}[^\n]*$"):
        load(str(folder))


def test_a_setting_that_the_pipeline_does_not_take_is_an_infrastructure_error(
    tiny_pipeline: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "model"))
    (folder / "aes_audit.json").write_text(json.dumps({"call": {"nonsense": 1}}))
    with pytest.raises(InfrastructureError, match=r"^.*: generating 1 images failed: [^\n]*'nonsense'$"):
        load(str(folder)).generate(REQUESTS[:1])
