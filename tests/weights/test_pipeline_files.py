"""Which files of a pipeline are fetched: one set of weights per component, nothing twice, nothing that runs."""

from __future__ import annotations

from typing import Any

import pytest

from aes_audit.errors import ModelNotFound, UnsafeWeights
from aes_audit.weights.pipeline_files import refuse_custom_code, wanted_files

INDEX: dict[str, Any] = {
    "_class_name": "StableDiffusionXLPipeline",
    "_diffusers_version": "0.19.0",
    "force_zeros_for_empty_prompt": True,
    "feature_extractor": [None, None],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
BESIDE = [
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.fp16.safetensors.index.json",
    "vae/config.json",
]
FP16 = [
    "text_encoder/model.fp16.safetensors",
    "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
    "unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
]
PLAIN = [
    "text_encoder/model.safetensors",
    "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
    "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
]
VAE = "vae/diffusion_pytorch_model.safetensors"
# What real repositories hold besides: the same weights for other programs, and pickles.
OTHERS = [
    "README.md",
    "model_index.json",
    "sd_xl_base_1.0.safetensors",
    "comparison.png",
    "scripts/run.py",
    "text_encoder/flax_model.msgpack",
    "text_encoder/model.onnx",
    "text_encoder/pytorch_model.bin",
    "text_encoder/pytorch_model.fp16.bin",
    "unet/diffusion_pytorch_model.bin",
    "vae_1_0/diffusion_pytorch_model.safetensors",
    "vae/openvino_model.bin",
]
EVERYTHING = [*BESIDE, *FP16, *PLAIN, VAE, *OTHERS]


def test_plain_weights_alone_are_wanted_without_a_variant() -> None:
    assert set(wanted_files("it", INDEX, EVERYTHING)) == {"model_index.json", *BESIDE, *PLAIN, VAE}


def test_a_variant_replaces_the_plain_weights_where_a_component_has_it() -> None:
    assert set(wanted_files("it", INDEX, EVERYTHING, "fp16")) == {"model_index.json", *BESIDE, *FP16, VAE}


def test_the_older_spelling_of_sharded_variants_is_understood() -> None:
    files = [*BESIDE, "unet/diffusion_pytorch_model-00001-of-00001.fp16.safetensors", *PLAIN]
    wanted = set(wanted_files("it", INDEX, files, "fp16"))
    assert "unet/diffusion_pytorch_model-00001-of-00001.fp16.safetensors" in wanted
    assert not wanted & set(PLAIN[1:])


def test_of_what_comes_from_elsewhere_only_the_configuration_is_wanted() -> None:
    wanted = set(wanted_files("it", INDEX, EVERYTHING, given=["unet"]))
    assert {name for name in wanted if name.startswith("unet/")} == {
        name for name in BESIDE if name.startswith("unet/")
    }


def test_a_variant_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ModelNotFound, match=r"^owner/name has no bf16 weight files: leave the variant out"):
        wanted_files("owner/name", INDEX, EVERYTHING, "bf16")


def test_weights_that_exist_only_as_pickles_are_refused() -> None:
    files = [*BESIDE, "unet/diffusion_pytorch_model.bin", VAE]
    with pytest.raises(UnsafeWeights, match=r"^owner/name: unet/diffusion_pytorch_model\.bin can run code when loaded"):
        wanted_files("owner/name", INDEX, files)


@pytest.mark.parametrize(
    ("change", "files", "complaint"),
    [
        ({"_class_name": ["pipeline", "Mine"]}, ["pipeline.py"], r"the pipeline is Mine of pipeline\.py"),
        ({"unet": ["my_unet", "Mine"]}, ["unet/my_unet.py"], r"unet is Mine of my_unet\.py"),
    ],
)
def test_code_that_comes_with_the_weights_is_refused(change: dict[str, Any], files: list[str], complaint: str) -> None:
    with pytest.raises(UnsafeWeights, match=rf"^owner/name brings its own code \({complaint}\), which is never run"):
        refuse_custom_code("owner/name", {**INDEX, **change}, [*EVERYTHING, *files])


def test_scripts_that_nothing_names_are_no_reason_to_refuse() -> None:
    refuse_custom_code("owner/name", INDEX, [*EVERYTHING, "unet/convert.py"])
