"""The built-in rewards with random weights, in three sizes: what they compute means nothing, how long it takes does.

Tokenizers are those of tests/parity: CLIP's own, and small ones for BERT and Qwen2. HPSv3's conversation therefore has
made-up tokens in the numbers of the real ones, about 4.7 characters each.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers import AutoModel, BlipTextConfig, BlipVisionConfig, CLIPConfig, CLIPModel, Qwen2VLConfig

from aes_audit.rewards import image_recipes
from aes_audit.rewards.batch_sizes import images_per_pass
from aes_audit.rewards.bert_texts import BertTexts
from aes_audit.rewards.blip_checkpoint import BlipCheckpoint
from aes_audit.rewards.blip_itm import BlipItmModel, BlipMatching
from aes_audit.rewards.clip_family import ClipArchitecture, faster_clip
from aes_audit.rewards.clip_texts import ClipTexts
from aes_audit.rewards.cpu_kernels import faster_on_cpu
from aes_audit.rewards.hpsv3 import HpsV3
from aes_audit.rewards.imagereward import ImageReward, ImageRewardModel
from aes_audit.rewards.mps import Mps, _Network, faster_mps
from aes_audit.rewards.mps_cross_model import CrossModel
from aes_audit.weights.loading import quiet_libraries

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["FAMILY", "SIZES", "Timed", "build", "write_clip"]

SIZES = ("tiny", "medium", "full")
"""medium has a quarter of the published width and depth."""

FAMILY = {
    "hpsv1": "clip", "hpsv2.1": "clip", "clip-l": "clip", "pickscore": "clip",
    "mps": "cross", "imagereward": "blip", "blip-itm": "blip", "hpsv3": "hpsv3",
}  # fmt: skip
"""Reward -> family, which the ratios are stated for."""


class _Tower(NamedTuple):
    width: int
    layers: int
    head: int = 64


# size -> (vision, text)
_CLIP_H = {
    "tiny": (_Tower(160, 2, 80), _Tower(128, 2)),
    "medium": (_Tower(320, 8, 80), _Tower(256, 6)),
    "full": (_Tower(1280, 32, 80), _Tower(1024, 24)),
}
_CLIP_L = {
    "tiny": (_Tower(128, 2), _Tower(128, 2)),
    "medium": (_Tower(256, 6), _Tower(192, 3)),
    "full": (_Tower(1024, 24), _Tower(768, 12)),
}
_QWEN = {
    "tiny": (_Tower(160, 2, 80), _Tower(256, 2, 128)),
    "medium": (_Tower(320, 8, 80), _Tower(640, 5, 128)),
    "full": (_Tower(1280, 32, 80), _Tower(3584, 28, 128)),
}


Plain = Callable[["Image", str], Any]
"""Scores one pair: image and text prepared and run by themselves, at batch 1."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A reward to be timed."""

    architecture: Any
    """An `Architecture`."""
    towers: tuple[nn.Module, ...]
    """The networks whose forward passes are the work itself."""
    plain: Plain
    """One pair as an official package scores it, with the stock modules; the weights are the same."""
    plain_kernels: Plain
    """The same loop with the modules that `architecture` runs."""


def build(reward: str, size: str, device: str) -> Timed:
    """The reward with random weights; raises KeyError for an unknown one."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, torch.device(device):
        makers: Mapping[str, Callable[[str, str, str, Path], Timed]] = {
            "clip": _clip,
            "cross": _mps,
            "blip": _blip,
            "hpsv3": _hpsv3,
        }
        return makers[FAMILY[reward]](reward, size, device, Path(folder))


def write_clip(reward: str, size: str, folder: Path) -> None:
    """Weights, configuration and tokenizer of clip-l or pickscore, as their repositories have them."""
    torch.manual_seed(0)
    with quiet_libraries():
        _clip_model((_CLIP_L if reward == "clip-l" else _CLIP_H)[size], "cpu").save_pretrained(folder)
    _parity().write_clip(folder)


def _clip_model(sizes: tuple[_Tower, _Tower], device: str) -> Any:
    vision, text = sizes
    sides: dict[str, Any] = {
        name: {
            "hidden_size": tower.width,
            "intermediate_size": 4 * tower.width,
            "num_hidden_layers": tower.layers,
            "num_attention_heads": tower.width // tower.head,
        }
        for name, tower in (("vision_config", vision), ("text_config", text))
    }
    sides["vision_config"] |= {"image_size": 224, "patch_size": 14}
    sides["text_config"] |= {"vocab_size": 49408, "eos_token_id": 49407, "bos_token_id": 49406}
    return _ready(CLIPModel(CLIPConfig(**sides, projection_dim=text.width)), device)


def _clip(reward: str, size: str, device: str, folder: Path) -> Timed:
    model = _clip_model((_CLIP_L if reward in ("hpsv1", "clip-l") else _CLIP_H)[size], device)
    _parity().write_clip(folder)
    texts = ClipTexts.from_folder(folder, cleaned=reward != "pickscore")
    recipes: Mapping[str, Callable[[Image], Tensor]] = {
        "hpsv2.1": partial(image_recipes.letterbox_224, antialias=True),
        "pickscore": image_recipes.hf_clip_224,
    }
    pixels = recipes.get(reward, image_recipes.openai_224)
    stock = _copied(model, device)
    architecture = ClipArchitecture(faster_clip(model), texts, pixels, scaled=reward == "pickscore")

    def plain(model: Any, image: Image, text: str) -> float:
        seen = model.get_image_features(pixel_values=pixels(image)[None].to(device)).pooler_output
        # The official packages run all 77 positions.
        read = model.get_text_features(input_ids=texts.ids([text]).to(device)).pooler_output
        return float(nn.functional.cosine_similarity(seen, read)[0])

    towers = (model.vision_model, model.text_model)
    return Timed(architecture, towers, partial(plain, stock), partial(plain, model))


def _mps(reward: str, size: str, device: str, folder: Path) -> Timed:
    sizes = _CLIP_H[size]
    width = sizes[1].width
    network = _Network(_clip_model(sizes, device), CrossModel(width, 4, max(width // 64, 1), 64, 4 * width))
    _parity().write_clip(folder)
    texts = ClipTexts.from_folder(folder, cleaned=False)
    stock = Mps(_copied(_ready(network, device), device), texts, 0.3, 224, device)
    architecture = Mps(faster_mps(network), texts, 0.3, 224, device)
    towers = (network.model.vision_model, network.model.text_model, network.cross_model)
    return Timed(architecture, cast(tuple[nn.Module, ...], towers), _apart(stock), _apart(architecture))


class _BlipSizes:
    """What a checkpoint says about its own sizes."""

    def __init__(self, size: str, side: int, rows: int) -> None:
        self._vision, self._text = _CLIP_L[size]
        self._side, self._rows = side, rows

    def vision_config(self) -> BlipVisionConfig:
        tower = self._vision
        return BlipVisionConfig(
            hidden_size=tower.width,
            intermediate_size=4 * tower.width,
            num_hidden_layers=tower.layers,
            num_attention_heads=tower.width // tower.head,
            image_size=self._side,
            patch_size=16,
        )

    def text_config(self) -> BlipTextConfig:
        tower = self._text
        return BlipTextConfig(
            vocab_size=self._rows,
            hidden_size=tower.width,
            encoder_hidden_size=self._vision.width,
            intermediate_size=4 * tower.width,
            num_hidden_layers=tower.layers,
            num_attention_heads=tower.width // tower.head,
            is_decoder=True,
            bos_token_id=None,
        )

    def shape(self, name: str) -> tuple[int, ...]:
        widths = [self._text.width, 1024, 128, 64, 16, 1]
        layers = {
            f"mlp.layers.{layer}.weight": (after, before)
            for layer, before, after in zip(("0", "2", "4", "6", "7"), widths, widths[1:], strict=False)
        }
        heads = {"vision_proj.weight": (256, self._vision.width), "text_proj.weight": (256, self._text.width)}
        return {**layers, **heads, "itm_head.weight": (2, self._text.width)}[name]


def _blip(reward: str, size: str, device: str, folder: Path) -> Timed:
    _parity().write_bert(folder)
    rows = sum(1 for _ in (folder / "vocab.txt").open()) + 2
    texts = BertTexts.from_folder(folder, rows=rows)
    side = 384 if reward == "blip-itm" else 224
    sizes = cast(BlipCheckpoint, _BlipSizes(size, side, rows))
    kind: Any = BlipMatching if reward == "blip-itm" else ImageReward
    model: Any = _ready(BlipItmModel(sizes) if reward == "blip-itm" else ImageRewardModel(sizes), device)
    stock = kind(_copied(model, device), texts, side)
    architecture = kind(faster_on_cpu(model), texts, side, image_batch=images_per_pass(sizes.vision_config(), device))
    return Timed(architecture, (model.vision_model, model.text_encoder), _apart(stock), _apart(architecture))


@dataclass(frozen=True, slots=True)
class _Conversation:
    """HPSv3's conversation in made-up tokens: as many as Qwen2's tokenizer makes of English text."""

    before_image: tuple[int, ...] = tuple(range(14))
    after_image: tuple[int, ...] = tuple(100 + i % 100 for i in range(530))
    pad_id: int = 0

    def refusal(self, text: str) -> None:
        return None

    def tail(self, text: str) -> tuple[int, ...]:
        return (*(200 + ord(letter) % 50 for letter in text[::5]), *range(18))

    def count(self, text: str) -> int:
        return len(self.before_image) + len(self.after_image) + len(self.tail(text))


def _hpsv3(reward: str, size: str, device: str, folder: Path) -> Timed:
    vision, text = _QWEN[size]
    heads = text.width // text.head
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": 151658 if size == "full" else 1000,
            "hidden_size": text.width,
            "intermediate_size": text.width * 37 // 7,
            "num_hidden_layers": text.layers,
            "num_attention_heads": heads,
            "num_key_value_heads": max(heads // 7, 1),
            "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
            "pad_token_id": None,
            "bos_token_id": None,
            "eos_token_id": None,
        },
        vision_config={
            "depth": vision.layers,
            "embed_dim": vision.width,
            "hidden_size": text.width,
            "num_heads": vision.width // vision.head,
        },
    )
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    body = AutoModel.from_config(config, attn_implementation="sdpa", dtype=dtype)
    head = nn.Sequential(
        nn.Linear(text.width, 1024), nn.ReLU(), nn.Dropout(), nn.Linear(1024, 16), nn.ReLU(), nn.Linear(16, 2)
    )
    conversation = cast(Any, _Conversation())
    stock = HpsV3(_copied(_ready(body, device), device), _ready(head, device), conversation)
    architecture = HpsV3(faster_on_cpu(body), head, conversation)
    return Timed(architecture, (body.visual, body.language_model), _apart(stock), _apart(architecture))


def _apart(architecture: Any) -> Plain:
    def plain(image: Image, text: str) -> Any:
        return architecture.combine(architecture.encode_images([image]), architecture.encode_texts([text]))

    return plain


def _copied(model: Any, device: str) -> Any:
    """The model with stock modules; where none are exchanged, itself."""
    return copy.deepcopy(model) if device == "cpu" else model


def _ready(model: Any, device: str) -> Any:
    return model.requires_grad_(False).train(False).to(device)


def _parity() -> Any:
    # The vocabularies lie with the tests, which only pytest puts on the path.
    tests = str(Path(__file__).resolve().parents[1] / "tests")
    if tests not in sys.path:
        sys.path.insert(0, tests)
    from parity import vocabularies

    return vocabularies
