"""The judge's adapter while it is trained, and the files in PEFT's layout that are left of it."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from aes_audit.errors import UsageError
from aes_audit.judges.training.recipe import ALL_LINEAR, LANGUAGE, JudgeRecipe

__all__ = ["ADAPTER", "CONFIG", "adapter_files", "with_adapter"]

ADAPTER = "adapter_model.safetensors"
CONFIG = "adapter_config.json"

_LAST = "lm_head"


def with_adapter(model: Any, recipe: JudgeRecipe, base: str | None) -> Any:
    """Freeze a Qwen3-VL and give it fresh low-rank layers in float32, in place; returns PEFT's wrapper around it.

    `base` is the repository that the adapter names as its base. Raises UsageError for a target that fits no layer.
    """
    from peft import LoraConfig, PeftModel

    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha or recipe.rank,
        target_modules=_target_names(model, recipe.targets),
        base_model_name_or_path=base,
    )
    # Fresh layers are drawn on the CPU, from the global generator, which belongs to the caller.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # PEFT asks transformers by a name that is going out of use.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(recipe.seed)
        return PeftModel(model.requires_grad_(False), config)


def adapter_files(wrapped: Any) -> tuple[bytes, bytes]:
    """The contents of CONFIG and ADAPTER; the weights are in float32."""
    from peft import get_peft_model_state_dict

    tensors = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    config = wrapped.peft_config["default"]
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        described = (Path(folder) / CONFIG).read_bytes()
    return described, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def _target_names(model: Any, targets: tuple[str, ...]) -> list[str]:
    """Full names of the layers, so that an ending cannot catch what is no linear layer, or the last one."""
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and name != _LAST]
    if targets == ALL_LINEAR:
        return linear
    if targets == LANGUAGE:
        return [name for name in linear if ".language_model." in name]
    for target in targets:
        if not any(_ends(name, target) for name in linear):
            kinds = sorted({name.rpartition(".")[2] for name in linear})
            raise UsageError(f"no linear layer's name ends with {target!r}; there are {', '.join(kinds)}.")
    return [name for name in linear if any(_ends(name, target) for target in targets)]


def _ends(name: str, target: str) -> bool:
    return f".{name}".endswith(f".{target}")
