"""Official CLIP weights, in OpenAI's, open_clip's or transformers' names, as a CLIPModel."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from aes_audit.errors import InfrastructureError
from aes_audit.weights.checkpoint import load_strictly

__all__ = ["ClipTraits", "build_clip", "from_openai_names", "openai_name", "read_traits"]

_PARTS = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "conv1": "vision_model.embeddings.patch_embedding",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "ln_pre": "vision_model.pre_layrnorm",
    "ln_post": "vision_model.post_layernorm",
}
_OTHERS = {
    "token_embedding": "text_model.embeddings.token_embedding",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final": "text_model.final_layer_norm",
    "logit_scale": "logit_scale",
}
_BLOCK_PARTS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")
# Sizes that OpenAI's archives keep as tensors, and indices that older transformers releases saved.
_NOT_WEIGHTS = (
    "input_resolution",
    "context_length",
    "vocab_size",
    "text_model.embeddings.position_ids",
    "vision_model.embeddings.position_ids",
)


@dataclass(frozen=True, slots=True)
class ClipTraits:
    """What the tensors of a CLIP do not tell."""

    activation: str
    """`quick_gelu` for OpenAI's weights and what was trained from them, `gelu` for LAION's ViT-H."""
    text_heads: int | None = None
    """Attention heads; None is one per 64 channels."""
    vision_heads: int | None = None
    """Attention heads; None is one per `vision_head_width` channels."""
    vision_head_width: int = 64
    """Channels per head of the image tower: 80 in ViT-H."""
    epsilon: float = 1e-5
    """Of every layer norm."""


def read_traits(file: Path, usual: ClipTraits) -> ClipTraits:
    """`usual`, corrected by an `open_clip_config.json` or the `config.json` of a CLIPModel, where `file` exists.

    Raises InfrastructureError for a file that is no such configuration.
    """
    if not file.is_file():
        return usual
    reader = _open_clip_traits if file.name == "open_clip_config.json" else _transformers_traits
    try:
        return reader(json.loads(file.read_text(encoding="utf-8")), usual)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InfrastructureError(f"{file} is not the configuration of a CLIP: {error!r}.") from error


def _open_clip_traits(raw: Mapping[str, Any], usual: ClipTraits) -> ClipTraits:
    sizes = raw.get("model_cfg", raw)
    text, vision = sizes["text_cfg"], sizes["vision_cfg"]
    heads = vision["width"] // vision["head_width"] if "head_width" in vision else usual.vision_heads
    activation = "quick_gelu" if sizes.get("quick_gelu") else usual.activation
    return ClipTraits(activation, int(text["heads"]), heads, usual.vision_head_width)


def _transformers_traits(raw: Mapping[str, Any], usual: ClipTraits) -> ClipTraits:
    if raw.get("model_type") != "clip":
        raise ValueError(f"model_type is {raw.get('model_type')!r}")
    config: Any = CLIPConfig.from_dict(dict(raw))
    text, vision = config.text_config, config.vision_config
    return ClipTraits(
        vision.hidden_act, text.num_attention_heads, vision.num_attention_heads, epsilon=vision.layer_norm_eps
    )


def from_openai_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under CLIPModel's names, from those of OpenAI's CLIP and open_clip; unknown names stay as they are.

    A prefix `model.` common to all names, as copies made by other tools have it, is taken off, and names that are
    CLIPModel's already are kept.
    """
    if tensors and all(name.startswith("model.") for name in tensors):
        tensors = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    if any(name.startswith("text_model.") for name in tensors):
        return dict(tensors)
    return {new: part for name, tensor in tensors.items() for new, part in _renamed(name, tensor)}


def _renamed(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if name in ("visual.proj", "text_projection"):
        target = "visual_projection" if name == "visual.proj" else name
        yield f"{target}.weight", tensor.t().contiguous()
    elif block := _BLOCK.fullmatch(name):
        tower = "vision_model" if block[1] else "text_model"
        yield from _of_block(f"{tower}.encoder.layers.{block[2]}", block[3], tensor)
    else:
        table = _PARTS if name.startswith("visual.") else _OTHERS
        head, dot, tail = name.removeprefix("visual.").partition(".")
        yield (f"{table[head]}{dot}{tail}" if head in table else name), tensor


def _of_block(layer: str, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    part, _, kind = name.rpartition(".")
    if name in ("attn.in_proj_weight", "attn.in_proj_bias"):
        kind = name.removeprefix("attn.in_proj_")
        for letter, chunk in zip("qkv", tensor.chunk(3), strict=False):
            yield f"{layer}.self_attn.{letter}_proj.{kind}", chunk
    else:
        yield f"{layer}.{_BLOCK_PARTS.get(part, part)}.{kind}", tensor


def build_clip(
    tensors: Mapping[str, Tensor], traits: ClipTraits, file: Path, *, vocabulary: int = 49408, length: int = 77
) -> Any:
    """A CLIPModel in float32 that holds exactly these tensors, in evaluation mode and without gradients.

    Names may be OpenAI's or CLIPModel's. Sizes come from the tensors' shapes, but for the number of token ids and of
    tokens in a text, which are the tokenizer's; the last id is the end token, whose first state is pooled.
    Raises InfrastructureError that names `file` and the first bad tensor.
    """
    renamed = from_openai_names(tensors)
    ours = any(name.startswith(("text_model.", "vision_model.", "model.text_model.")) for name in tensors)
    spelling = str if ours else openai_name
    config = _config(_Found(renamed, file, spelling), traits, vocabulary, length)
    with torch.device("meta"):
        model: Any = CLIPModel(config)
    weights = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in renamed.items()}
    try:
        load_strictly(model, weights, file, ignore=_NOT_WEIGHTS, assign=True)
    except InfrastructureError as error:
        bad = [name for name, tensor in model.state_dict().items() if not _same_shape(tensor, weights.get(name))]
        spelled = f" In the file's own spelling it is {spelling(bad[0])!r}." if bad and spelling is openai_name else ""
        raise InfrastructureError(f"{error}{spelled}") from error
    for tower in (model.text_model, model.vision_model):
        # Indices are no weights: they were made on the meta device and must be made again.
        embeddings = tower.embeddings
        embeddings.position_ids = torch.arange(embeddings.position_embedding.num_embeddings)[None]
    return model.requires_grad_(False).eval()


def openai_name(name: str) -> str:
    """What OpenAI's files call a tensor that CLIPModel calls `name`; the reverse of `from_openai_names`."""
    if name in ("visual_projection.weight", "text_projection.weight"):
        return {"v": "visual.proj", "t": "text_projection"}[name[0]]
    _, _, rest = name.partition(".encoder.layers.")
    start = "visual." if name.startswith("vision_model.") else ""
    if rest:
        number, _, part = rest.partition(".")
        part = re.sub(r"self_attn\.[qkv]_proj\.", "attn.in_proj_", part)
        return f"{start}transformer.resblocks.{number}.{_backwards(part, _BLOCK_PARTS)}"
    return start + _backwards(name, _PARTS if start else _OTHERS)


def _backwards(name: str, table: Mapping[str, str]) -> str:
    return next((old + name.removeprefix(new) for old, new in table.items() if name.startswith(new)), name)


def _same_shape(wanted: Tensor, found: Tensor | None) -> bool:
    return found is not None and found.shape == wanted.shape


@dataclass(frozen=True, slots=True)
class _Found:
    """The tensors of a file, asked for shapes."""

    tensors: Mapping[str, Tensor]
    file: Path
    spelling: Callable[[str], str]

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        if name not in self.tensors:
            raise self._unfit(f"tensor {self.spelling(name)!r} is missing. Is it a CLIP?")
        shape = tuple(self.tensors[name].shape)
        if len(shape) != dimensions or 0 in shape:
            raise self._unfit(f"tensor {self.spelling(name)!r} has shape {shape}.")
        return shape

    def heads(self, width: int, heads: int) -> int:
        if width % heads:
            raise self._unfit(
                f"{width} channels are not divisible by {heads} heads. Is its configuration the right one?"
            )
        return heads

    def _unfit(self, fault: str) -> InfrastructureError:
        return InfrastructureError(f"{str(self.file)!r} does not fit the model: {fault}")


def _config(found: _Found, traits: ClipTraits, vocabulary: int, length: int) -> CLIPConfig:
    _, text_width = found.shape("text_model.embeddings.token_embedding.weight", 2)
    vision_width, _, _, patch = found.shape("vision_model.embeddings.patch_embedding.weight", 4)
    cells, _ = found.shape("vision_model.embeddings.position_embedding.weight", 2)
    text = {
        "vocab_size": vocabulary,
        "max_position_embeddings": length,
        "num_attention_heads": found.heads(text_width, traits.text_heads or max(1, text_width // 64)),
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": vocabulary - 1,
        **_tower(found, "text_model", text_width, traits),
    }
    heads = traits.vision_heads or max(1, vision_width // traits.vision_head_width)
    vision = {
        "image_size": round((cells - 1) ** 0.5) * patch,
        "patch_size": patch,
        "num_attention_heads": found.heads(vision_width, heads),
        **_tower(found, "vision_model", vision_width, traits),
    }
    shared, _ = found.shape("text_projection.weight", 2)
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=shared)


def _tower(found: _Found, tower: str, width: int, traits: ClipTraits) -> dict[str, Any]:
    start = f"{tower}.encoder.layers."
    layers = {name.removeprefix(start).partition(".")[0] for name in found.tensors if name.startswith(start)}
    return {
        "hidden_size": width,
        "intermediate_size": found.shape(f"{start}0.mlp.fc1.weight", 2)[0],
        "num_hidden_layers": len(layers),
        "hidden_act": traits.activation,
        "layer_norm_eps": traits.epsilon,
    }
