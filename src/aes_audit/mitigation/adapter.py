"""The adapter while it is trained: low-rank layers on a frozen transformer, and the file that is left of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from aes_audit.errors import UsageError
from aes_audit.mitigation.recipe import ATTENTION, TEXT, Recipe
from aes_audit.mitigation.workplace import ADAPTER

__all__ = ["adapter_file", "add_adapter", "trained_parameters"]


def add_adapter(transformer: Any, recipe: Recipe) -> None:
    """Freeze the transformer and give it fresh low-rank layers in float32, drawn from the recipe's seed.

    Raises UsageError for a target that no linear layer's name ends with."""
    from peft import LoraConfig

    transformer.requires_grad_(False)
    _refuse_absent_targets(transformer, recipe.targets)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha or recipe.rank,
        init_lora_weights="gaussian",
        target_modules=list(recipe.targets),
    )
    # Fresh layers are drawn on the CPU, from the global generator, which belongs to the caller.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        transformer.add_adapter(config)
    # Steps of a small rate would be lost in half precision.
    for parameter in trained_parameters(transformer).values():
        parameter.data = parameter.data.float()


def _refuse_absent_targets(transformer: Any, targets: tuple[str, ...]) -> None:
    layers = [name for name, module in transformer.named_modules() if isinstance(module, torch.nn.Linear)]
    for target in targets:
        if target not in (*ATTENTION, *TEXT) and not any(f".{layer}".endswith(f".{target}") for layer in layers):
            kinds = sorted({layer.rpartition(".")[2] for layer in layers if not layer.rpartition(".")[2].isdecimal()})
            raise UsageError(f"no linear layer's name ends with {target!r}; there are {', '.join(kinds)}.")


def trained_parameters(transformer: Any) -> dict[str, torch.nn.Parameter]:
    """The adapter's parameters by name."""
    return {name: parameter for name, parameter in transformer.named_parameters() if parameter.requires_grad}


def adapter_file(pipeline_class: Any, transformer: Any, recipe: Recipe, dtype: torch.dtype) -> bytes:
    """The content of the adapter's file, as the pipeline class saves it."""
    from peft import get_peft_model_state_dict

    # Readers take the strength for 1 where the file has no alpha, so the factor goes into the weights.
    strength = (recipe.alpha or recipe.rank) / recipe.rank
    layers = {
        name: (value * strength if "lora_B" in name else value).detach().to("cpu", dtype).contiguous()
        for name, value in get_peft_model_state_dict(transformer).items()
    }
    with tempfile.TemporaryDirectory() as folder:
        pipeline_class.save_lora_weights(folder, transformer_lora_layers=layers)
        return (Path(folder) / ADAPTER).read_bytes()
