"""BLIP checkpoints: official names to those of transformers, and a model's sizes from its tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import BlipTextConfig, BlipVisionConfig

from aes_audit.errors import InfrastructureError
from aes_audit.weights.checkpoint import read_tensors, without_prefix
from aes_audit.weights.loading import loading

__all__ = ["BlipCheckpoint", "read_blip", "stock_name"]

VISION_EPS = 1e-6
"""Layer norm epsilon of BLIP's vision transformer; config files on the hub say 1e-5, with which it never ran."""
HEAD_WIDTH = 64
"""Width of an attention head in every published BLIP, where no config file says how many there are."""

_VISION = {
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding",
    "patch_embed.proj": "embeddings.patch_embedding",
    "norm": "post_layernorm",
}
_BLOCK = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.qkv": "self_attn.qkv",
    "attn.proj": "self_attn.projection",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
# Written by old versions of torch and transformers; they are counters, not weights.
_COUNTERS = ("position_ids",)
# What BLIP's training keeps beside the model: momentum copies, queues of embeddings, the contrastive temperature.
_TRAINING = (
    *("visual_encoder_m.", "text_encoder_m.", "vision_proj_m.", "text_proj_m."),
    *("image_queue", "text_queue", "idx_queue", "ptr_queue", "queue_ptr", "temp"),
)


@dataclass(frozen=True, slots=True)
class BlipCheckpoint:
    """The tensors of one BLIP by the names of transformers, and what the config file beside them says."""

    file: Path
    """Where they come from, for messages."""
    tensors: Mapping[str, Tensor]
    """`vision_model.*`, `text_encoder.*` and the heads."""
    text: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the text encoder: `med_config.json`, or `text_config` of a hub folder; empty without a file."""
    vision: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the vision model: `vision_config` of a hub folder; empty for official files."""

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor; raises InfrastructureError that names file and tensor where it is missing."""
        if name not in self.tensors:
            raise InfrastructureError(
                f"{str(self.file)!r} is no checkpoint of this kind: tensor {name!r} is missing. "
                "Is it the right file, and complete?"
            )
        return tuple(self.tensors[name].shape)

    @property
    def image_side(self) -> int:
        """Pixels per side of the images that the position embedding is made for (384 for BLIP-L ITM)."""
        patch = self._sides("vision_model.embeddings.patch_embedding.weight", 4)[3]
        # One position is the class token's, the others form a square.
        return patch * isqrt(self._sides("vision_model.embeddings.position_embedding", 3)[1] - 1)

    def vision_config(self) -> BlipVisionConfig:
        """Sizes from the tensors; heads from the hub folder's config, else 64 wide."""
        width, _, _, patch = self._sides("vision_model.embeddings.patch_embedding.weight", 4)
        inner = self._sides("vision_model.encoder.layers.0.mlp.fc1.weight", 2)[0]
        with loading(f"model of {str(self.file)!r}"):
            return BlipVisionConfig(
                hidden_size=width,
                intermediate_size=inner,
                num_hidden_layers=self._layers("vision_model.encoder.layers."),
                num_attention_heads=self._heads(self.vision, width),
                image_size=self.image_side,
                patch_size=patch,
                hidden_act=str(self.vision.get("hidden_act", "gelu")),
                layer_norm_eps=VISION_EPS,
            )

    def text_config(self) -> BlipTextConfig:
        """Sizes from the tensors; heads, activation and epsilon from the config file, else BLIP's own.

        The file's `encoder_width` does not count: the official code sets it to the width of the vision model.
        """
        rows, width = self._sides("text_encoder.embeddings.word_embeddings.weight", 2)
        inner = self._sides("text_encoder.encoder.layer.0.intermediate.dense.weight", 2)[0]
        if (said := self.text.get("hidden_size", width)) != width:
            raise InfrastructureError(
                f"the config beside {str(self.file)!r} has hidden_size {said} where the text encoder is {width} wide: "
                "give the config file of this checkpoint."
            )
        with loading(f"model of {str(self.file)!r}"):
            return BlipTextConfig(
                vocab_size=rows,
                hidden_size=width,
                encoder_hidden_size=self._sides("vision_model.embeddings.patch_embedding.weight", 4)[0],
                intermediate_size=inner,
                num_hidden_layers=self._layers("text_encoder.encoder.layer."),
                num_attention_heads=self._heads(self.text, width),
                max_position_embeddings=self._sides("text_encoder.embeddings.position_embeddings.weight", 2)[0],
                hidden_act=str(self.text.get("hidden_act", "gelu")),
                layer_norm_eps=float(self.text.get("layer_norm_eps", 1e-12)),
                # The default is outside a smaller vocabulary, and nothing is generated here.
                bos_token_id=None,
                # Otherwise the cross-attention is not built; attention itself stays bidirectional.
                is_decoder=True,
            )

    def _sides(self, name: str, count: int) -> tuple[int, ...]:
        shape = self.shape(name)
        if len(shape) != count:
            raise InfrastructureError(f"{str(self.file)!r} has tensor {name!r} of shape {shape}: it is no BLIP.")
        return shape

    def _layers(self, prefix: str) -> int:
        return len({name.removeprefix(prefix).split(".")[0] for name in self.tensors if name.startswith(prefix)})

    def _heads(self, settings: Mapping[str, Any], width: int) -> int:
        heads = settings.get("num_attention_heads", max(1, width // HEAD_WIDTH))
        if not isinstance(heads, int) or heads < 1 or width % heads:
            raise InfrastructureError(
                f"the config beside {str(self.file)!r} has num_attention_heads {heads!r}, which does not divide the "
                f"width {width}: give the config file of this checkpoint."
            )
        if settings.get("model_type") == "blip_text_model" and (heads, width) == (8, 768):
            raise InfrastructureError(
                f"the config beside {str(self.file)!r} has num_attention_heads 8 where BLIP has 12 (a known fault of "
                "early hub revisions): take a later revision, or write 12."
            )
        return heads


def read_blip(file: Path, folder: Path, *, prefix: str = "") -> BlipCheckpoint:
    """Read official BLIP weights (flat, or under "model") or the weights of a transformers folder.

    `folder` is where `med_config.json` (official) or `config.json` (transformers) lies; without it BLIP's own settings
    hold. `prefix` is taken off the tensors' names. Training state and position counters are left out.
    Raises ModelNotFound, UnsafeWeights or InfrastructureError naming the file.
    """
    named = without_prefix(read_tensors(file, unwrap=("model",)), prefix)
    kept = {name: tensor for name, tensor in named.items() if not _left_out(name)}
    tensors = {stock_name(name): tensor for name, tensor in kept.items()}
    if any(name.startswith("vision_model.") for name in named):
        settings = _settings(folder / "config.json")
        return BlipCheckpoint(file, tensors, _section(settings, "text_config"), _section(settings, "vision_config"))
    return BlipCheckpoint(file, tensors, _settings(folder / "med_config.json"))


def stock_name(name: str) -> str:
    """The transformers name of an official tensor (without prefix); names that both share stay as they are."""
    room, _, rest = name.partition(".")
    if room != "visual_encoder":
        return name
    table, place = _VISION, "vision_model."
    if rest.startswith("blocks."):
        _, layer, rest = rest.split(".", 2)
        table, place = _BLOCK, f"vision_model.encoder.layers.{layer}."
    stem = rest.removesuffix(".weight").removesuffix(".bias")
    return place + table.get(stem, stem) + rest[len(stem) :]


def _left_out(name: str) -> bool:
    return name.endswith(_COUNTERS) or name.startswith(_TRAINING[:4]) or name in _TRAINING


def _section(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = settings.get(name)
    return section if isinstance(section, Mapping) else {}


def _settings(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InfrastructureError(f"{str(file)!r} cannot be read: {error}.") from error
    if not isinstance(content, Mapping):
        raise InfrastructureError(f"{str(file)!r} holds a {type(content).__name__} where settings are wanted.")
    return content
