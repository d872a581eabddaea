"""HPSv3's official weights: a Qwen2-VL body in the names of transformers 4, and a head of three linear layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import init_empty_weights  # type: ignore[import-untyped]
from torch import Tensor, nn
from transformers import AutoModel, Qwen2VLConfig

from aes_audit.errors import InfrastructureError
from aes_audit.weights.checkpoint import load_strictly, read_tensors
from aes_audit.weights.loading import loading

__all__ = ["HpsV3Weights", "body_dtype", "read_weights"]

_EMBEDDING = "model.embed_tokens.weight"
# The language model's own head is in the file, but no score passes through it.
_UNUSED = ("lm_head.weight",)
# Output widths as published, for a file that lacks the layer and is refused for that.
_HEAD = {"rm_head.0.weight": 1024, "rm_head.3.weight": 16, "rm_head.5.weight": 2}


class HpsV3Weights(NamedTuple):
    """The loaded parts of the model, in evaluation mode."""

    body: Any
    """A Qwen2VLModel: `visual` and `language_model`."""
    head: nn.Sequential
    """State of the body, (n, width), to mu and sigma, (n, 2); float32."""
    vocabulary: int
    """How many tokens have an embedding."""


def body_dtype(option: str, device: str) -> torch.dtype:
    """float32, or for `official` what the official code runs in: bfloat16 on an accelerator, float32 on a CPU."""
    return torch.float32 if option == "float32" or device == "cpu" else torch.bfloat16


def read_weights(file: Path, base: Path, dtype: torch.dtype, device: str) -> HpsV3Weights:
    """Read HPSv3.safetensors into a body of `dtype` and a float32 head, by the config.json in `base`.

    The modules are made without memory and take over the tensors of the file, which are mapped and not copied; only a
    conversion or a move needs memory, tensor by tensor. The size of the vocabulary comes from the file, because the
    added token has shrunk it. Raises InfrastructureError naming the file and the first tensor that does not fit, or
    the base folder when its configuration cannot be used.
    """
    tensors = read_tensors(file)
    if _EMBEDDING not in tensors:
        raise InfrastructureError(f"{str(file)!r} does not fit hpsv3: tensor {_EMBEDDING!r} is missing.")
    vocabulary = len(tensors[_EMBEDDING])
    body, head = _empty_parts(base, vocabulary, tensors)
    # Under the file's own names for the parts, so that an error quotes the file: the key map is this line.
    official = nn.ModuleDict({"visual": body.visual, "model": body.language_model, "rm_head": head})
    load_strictly(official, tensors, file, ignore=_UNUSED, assign=True)
    # Lets each converted tensor's original go at once.
    tensors.clear()
    official.requires_grad_(False).train(False)
    # The official code casts the whole body, its rotary frequencies included, and then the head back.
    return HpsV3Weights(body.to(device=device, dtype=dtype), head.to(device=device, dtype=torch.float32), vocabulary)


def _empty_parts(base: Path, vocabulary: int, tensors: Mapping[str, Tensor]) -> tuple[Any, nn.Sequential]:
    # Without the file, transformers would make up the configuration of another size.
    if not (base / "config.json").is_file():
        raise InfrastructureError(
            f"hpsv3 base folder {str(base)!r} has no config.json: take Qwen/Qwen2-VL-7B-Instruct's."
        )
    with loading(f"hpsv3 base folder {str(base)!r}"):
        config: Any = Qwen2VLConfig.from_pretrained(base, local_files_only=True)
        config.text_config.vocab_size = vocabulary
        # An id of the unshrunk vocabulary would be out of range; padding is masked, whatever its id.
        config.text_config.pad_token_id = None
        # Rotary frequencies are buffers that no file holds: they are computed here, in float32.
        with init_empty_weights(include_buffers=False):
            body: Any = AutoModel.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
            return body, _empty_head(config.text_config.hidden_size, tensors)


def _empty_head(width: int, tensors: Mapping[str, Tensor]) -> nn.Sequential:
    first, second, last = (len(tensors[name]) if name in tensors else rows for name, rows in _HEAD.items())
    return nn.Sequential(
        nn.Linear(width, first), nn.ReLU(), nn.Dropout(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, last)
    )
