"""Loading HPSv3, and what is refused with a sentence that helps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from parity.recipe import read_pack, write_checkpoint
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from aes_audit.errors import InfrastructureError, ModelNotFound
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.hpsv3 import HpsV3, load_hpsv3
from aes_audit.rewards.hpsv3_checkpoint import body_dtype
from aes_audit.rewards.pair_scorer import PairScorer

OPTIONS = {"dtype": "float32"}


@pytest.fixture
def files(tmp_path: Path) -> RewardFiles:
    return RewardFiles(write_checkpoint(read_pack("hpsv3"), tmp_path), tmp_path, {"base": tmp_path / "base"})


def _rewrite(files: RewardFiles, without: str = "", changed: Mapping[str, Tensor] | None = None) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(files.checkpoint).items() if name != without}
    save_file(tensors | dict(changed or {}), files.checkpoint)


def _score(reward: HpsV3) -> float:
    return PairScorer(reward).score([Image.linear_gradient("L")], ["a cat"])[0]


def test_the_vocabulary_size_comes_from_the_file(files: RewardFiles) -> None:
    config = json.loads((files.companions["base"] / "config.json").read_text())
    embeddings = load_hpsv3(files, OPTIONS, "cpu").body.language_model.embed_tokens.weight
    assert len(embeddings) == 288 != config["vocab_size"]


def test_the_language_models_own_head_may_be_missing(files: RewardFiles) -> None:
    before = _score(load_hpsv3(files, OPTIONS, "cpu"))
    _rewrite(files, without="lm_head.weight")
    assert _score(load_hpsv3(files, OPTIONS, "cpu")) == pytest.approx(before, abs=1e-5)


def test_weights_in_half_precision_are_widened_for_a_cpu(files: RewardFiles) -> None:
    half = {name: tensor.bfloat16() for name, tensor in load_file(files.checkpoint).items()}
    save_file(half, files.checkpoint)
    reward = load_hpsv3(files, {"dtype": "official"}, "cpu")
    kinds = {tensor.dtype for part in (reward.body, reward.head) for tensor in part.parameters()}
    assert kinds == {torch.float32}


def test_rotary_frequencies_are_computed_though_no_file_holds_them(files: RewardFiles) -> None:
    body = load_hpsv3(files, OPTIONS, "cpu").body
    assert not [name for name, buffer in body.named_buffers() if buffer.is_meta]
    assert not [name for name, parameter in body.named_parameters() if parameter.is_meta or parameter.requires_grad]
    frequencies = body.language_model.rotary_emb.inv_freq
    torch.testing.assert_close(frequencies, 1e6 ** -(torch.arange(8) / 8))


@pytest.mark.parametrize(
    ("option", "device", "wanted"),
    [
        ("official", "cpu", torch.float32),
        ("official", "cuda", torch.bfloat16),
        ("official", "mps", torch.bfloat16),
        ("float32", "cpu", torch.float32),
        ("float32", "cuda", torch.float32),
    ],
)
def test_the_body_runs_in_bfloat16_on_an_accelerator_only(option: str, device: str, wanted: torch.dtype) -> None:
    assert body_dtype(option, device) is wanted


@pytest.mark.parametrize(
    "name", ["rm_head.3.weight", "visual.merger.ln_q.bias", "model.layers.1.mlp.up_proj.weight", "model.norm.weight"]
)
def test_a_missing_tensor_is_named_as_the_file_would_name_it(files: RewardFiles, name: str) -> None:
    _rewrite(files, without=name)
    with pytest.raises(InfrastructureError, match=rf"HPSv3\.safetensors' .*'{name}'.* missing"):
        load_hpsv3(files, OPTIONS, "cpu")


def test_a_tensor_of_another_shape_is_named_with_both_shapes(files: RewardFiles) -> None:
    _rewrite(files, changed={"model.norm.weight": torch.ones(32)})
    with pytest.raises(InfrastructureError, match=r"'model\.norm\.weight' has shape \(32\) where \(64\) is wanted"):
        load_hpsv3(files, OPTIONS, "cpu")


def test_the_file_of_another_model_is_refused(files: RewardFiles) -> None:
    save_file({"logit_scale": torch.ones(1)}, files.checkpoint)
    with pytest.raises(
        InfrastructureError, match=r"does not fit hpsv3: tensor 'model\.embed_tokens\.weight' is missing"
    ):
        load_hpsv3(files, OPTIONS, "cpu")


def test_a_truncated_file_is_named(files: RewardFiles) -> None:
    files.checkpoint.write_bytes(files.checkpoint.read_bytes()[:100_000])
    with pytest.raises(InfrastructureError, match=r"HPSv3\.safetensors' cannot be read"):
        load_hpsv3(files, OPTIONS, "cpu")


def test_a_missing_base_folder_says_what_to_put_there(files: RewardFiles) -> None:
    with pytest.raises(ModelNotFound, match="Qwen/Qwen2-VL-7B-Instruct into the folder base/"):
        load_hpsv3(RewardFiles(files.checkpoint, files.folder, {}), OPTIONS, "cpu")


def test_a_base_folder_without_configuration_is_named(files: RewardFiles) -> None:
    (files.companions["base"] / "config.json").unlink()
    with pytest.raises(InfrastructureError, match="hpsv3 base folder"):
        load_hpsv3(files, OPTIONS, "cpu")


def test_a_tokenizer_beyond_the_files_vocabulary_is_refused(files: RewardFiles) -> None:
    _rewrite(files, changed={"model.embed_tokens.weight": torch.ones(287, 64)})
    with pytest.raises(InfrastructureError, match=r"id 287, the file has 287 embeddings"):
        load_hpsv3(files, OPTIONS, "cpu")


def test_a_prompt_that_is_refused_costs_no_other_pair_its_score(files: RewardFiles) -> None:
    reward = load_hpsv3(files, OPTIONS, "cpu")
    image = Image.linear_gradient("L")
    refused, scored = PairScorer(reward).answers([image, image], ["a <|Reward|>", "a cat"])
    assert refused.value is None
    assert "<|Reward|>" in str(refused.error)
    assert scored.value == pytest.approx(_score(reward), abs=1e-5)
    assert scored.extra["sigma"] != scored.value


def test_an_image_is_read_once_for_all_its_prompts(files: RewardFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    reward = load_hpsv3(files, OPTIONS, "cpu")
    read: list[int] = []
    original = HpsV3._read_prefixes

    def counted(self: HpsV3, tokens: Tensor) -> object:
        read.append(len(tokens))
        return original(self, tokens)

    monkeypatch.setattr(HpsV3, "_read_prefixes", counted)
    one, other = Image.linear_gradient("L"), Image.radial_gradient("L")
    PairScorer(reward).score([one, one, other, other], ["a cat", "a dog", "a cat", "a dog"])
    assert sum(read) == 2
