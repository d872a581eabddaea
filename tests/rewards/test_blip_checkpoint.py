"""BLIP files of every published form: official names, the transformers folder, and what is wrong with the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity import vocabularies
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BlipConfig, BlipForImageTextRetrieval

from aes_audit.errors import InfrastructureError
from aes_audit.rewards.bert_texts import LENGTH
from aes_audit.rewards.blip_checkpoint import read_blip, stock_name
from aes_audit.rewards.blip_itm import BlipMatching, load_blip_itm
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.image_recipes import square
from aes_audit.rewards.pair_scorer import PairScorer

TEXTS = ["a cat", "an ancient city by the ocean, high towers, two birds " * 3, ""]
SIDE = 32
NARROW = {"hidden_size": 96, "num_attention_heads": 6, "intermediate_size": 80}
OFFICIAL_768 = {"hidden_size": 768, "num_attention_heads": 8, "intermediate_size": 32}


def _save(folder: Path, text: Mapping[str, Any]) -> BlipForImageTextRetrieval:
    """A tiny retrieval model and its tokenizer, as save_pretrained writes them."""
    vision = {"hidden_size": 48, "intermediate_size": 80, "num_attention_heads": 3, "image_size": SIDE, "patch_size": 8}
    config = BlipConfig(
        text_config={"num_hidden_layers": 2, "vocab_size": 303, "bos_token_id": 301, **text},
        vision_config={"num_hidden_layers": 2, **vision},
        image_text_hidden_size=24,
    )
    torch.manual_seed(0)
    model: BlipForImageTextRetrieval = BlipForImageTextRetrieval(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # The initial weights hardly tell two texts apart.
            parameter.copy_(parameter + 0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    vocabularies.write_bert(folder)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blip")


@pytest.fixture(scope="module")
def stock(folder: Path) -> BlipForImageTextRetrieval:
    return _save(folder, NARROW)


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (40, 60 + 9 * i, 3), dtype=np.uint8)) for i in range(3)]


def _files(folder: Path, name: str = "model.safetensors") -> RewardFiles:
    return RewardFiles(folder / name, folder, {"tokenizer": folder})


def _load(files: RewardFiles, output: str = "probability") -> Any:
    return load_blip_itm(files, {"output": output, "dtype": "float32"}, "cpu")


@pytest.mark.parametrize("output", ["probability", "logit", "itc"])
def test_a_transformers_folder_scores_as_its_own_class_does(
    folder: Path, stock: BlipForImageTextRetrieval, images: list[Image.Image], output: str
) -> None:
    reward = _load(_files(folder), output)
    asked = [(image, text) for image in images for text in TEXTS]
    ours = PairScorer(reward).score([image for image, _ in asked], [text for _, text in asked])
    assert ours == pytest.approx([_stock_score(stock, reward, output, *pair) for pair in asked], abs=1e-4)
    assert max(ours) - min(ours) > 0.01


def _stock_score(stock: Any, reward: Any, output: str, image: Image.Image, text: str) -> float:
    (ids,) = reward.texts.ids([text])
    mask = torch.ones(1, len(ids), dtype=torch.long)
    pixels = square(image, SIDE)[None]
    with torch.inference_mode():
        answer = stock(ids[None], pixels, attention_mask=mask, use_itm_head=output != "itc").itm_score[0]
    if output == "itc":
        return float(answer[0])
    return float(answer.softmax(-1)[1] if output == "probability" else answer[1])


def test_a_long_text_reaches_the_model_cut_at_35_tokens(folder: Path, stock: object) -> None:
    reward = _load(_files(folder))
    assert isinstance(reward, BlipMatching)
    assert reward.read_text(TEXTS[1]).truncated
    assert [len(ids) for ids in reward.encode_texts([TEXTS[1]])] == [LENGTH]


def test_the_training_state_in_the_official_file_is_left_out(folder: Path, stock: object, tmp_path: Path) -> None:
    official = {_official_name(name): tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    copies = {name.replace("encoder.", "encoder_m.", 1): torch.zeros_like(t) for name, t in official.items()}
    queues = {"temp": torch.tensor(0.07), "image_queue": torch.zeros(24, 8), "ptr_queue": torch.zeros(1)}
    counter = {"text_encoder.embeddings.position_ids": torch.arange(512)[None]}
    _write(tmp_path, {**copies, **official, **queues, **counter})
    assert set(read_blip(tmp_path / "model.pth", tmp_path).tensors) == set(load_file(folder / "model.safetensors"))


def test_official_names_become_those_of_transformers(folder: Path, stock: object) -> None:
    for name in load_file(folder / "model.safetensors"):
        assert stock_name(_official_name(name)) == name


_NAMES = [
    ("vision_model.embeddings.class_embedding", "visual_encoder.cls_token"),
    ("vision_model.embeddings.position_embedding", "visual_encoder.pos_embed"),
    ("vision_model.embeddings.patch_embedding", "visual_encoder.patch_embed.proj"),
    ("vision_model.post_layernorm", "visual_encoder.norm"),
    ("vision_model.encoder.layers", "visual_encoder.blocks"),
    ("layer_norm", "norm"),
    ("self_attn.projection", "attn.proj"),
    ("self_attn", "attn"),
]


def _official_name(name: str) -> str:
    """Key map K2 backwards."""
    if name.startswith("vision_model."):
        for ours, theirs in _NAMES:
            name = name.replace(ours, theirs)
    return name


def _write(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    torch.save({"model": dict(tensors)}, folder / "model.pth")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("itm_head.weight", "'itm_head.weight' is missing"),
        ("vision_model.embeddings.position_embedding", "position_embedding' is missing"),
        ("text_encoder.encoder.layer.1.output.dense.bias", "layer.1.output.dense.bias' .* is missing"),
    ],
)
def test_a_file_without_a_tensor_is_refused_by_name(
    folder: Path, stock: object, tmp_path: Path, name: str, why: str
) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InfrastructureError, match=why):
        _load(RewardFiles(tmp_path / "model.safetensors", folder, {"tokenizer": folder}))


def test_a_tensor_that_no_blip_has_is_refused(folder: Path, stock: object, tmp_path: Path) -> None:
    tensors = {**load_file(folder / "model.safetensors"), "extra.weight": torch.zeros(2)}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InfrastructureError, match=r"'extra\.weight' .* is unexpected"):
        _load(RewardFiles(tmp_path / "model.safetensors", folder, {"tokenizer": folder}))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"num_attention_heads": 7}, "num_attention_heads 7, which does not divide the width 96"),
        ({"hidden_size": 768}, "hidden_size 768 where the text encoder is 96 wide"),
    ],
)
def test_a_config_of_another_checkpoint_is_refused(
    folder: Path, stock: object, tmp_path: Path, settings: Mapping[str, int], why: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"].update(settings)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InfrastructureError, match=why):
        _load(RewardFiles(folder / "model.safetensors", tmp_path, {"tokenizer": folder}))


def test_a_config_that_is_no_json_is_refused(folder: Path, stock: object, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InfrastructureError, match=r"config\.json' cannot be read"):
        _load(RewardFiles(folder / "model.safetensors", tmp_path, {"tokenizer": folder}))


def test_the_eight_heads_of_early_hub_revisions_are_refused(tmp_path: Path) -> None:
    _save(tmp_path, OFFICIAL_768)
    with pytest.raises(InfrastructureError, match="num_attention_heads 8 where BLIP has 12"):
        _load(_files(tmp_path))
