"""Adapters: LoRA weights in the layout of diffusers or of PEFT, merged into the model they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file

from aes_audit.errors import InfrastructureError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ADAPTER_FILES", "merge_adapter"]

_DIFFUSERS = "pytorch_lora_weights.safetensors"
_PEFT_CONFIG = "adapter_config.json"
_PEFT = "adapter_model.safetensors"

ADAPTER_FILES = (_DIFFUSERS, _PEFT_CONFIG, _PEFT)
"""All that is read of an adapter's folder or repository."""


def merge_adapter(pipeline: Any, folder: Path) -> None:
    """Add the adapter in `folder` to the pipeline's weights for good.

    `pytorch_lora_weights.safetensors` names its components itself; `adapter_config.json` with
    `adapter_model.safetensors` belongs to the transformer or U-Net.
    Raises InfrastructureError for an adapter of which a weight does not fit.
    """
    # Merged weights cost nothing at every step, and one adapter after the other cannot mix up scales.
    if (folder / _DIFFUSERS).is_file():
        _merge_diffusers(pipeline, folder)
    else:
        _merge_peft(pipeline, folder)


def _merge_diffusers(pipeline: Any, folder: Path) -> None:
    pipeline.load_lora_weights(folder, weight_name=_DIFFUSERS, use_safetensors=True, local_files_only=True)
    if not any(pipeline.get_list_adapters().values()):
        # diffusers only warns; the model without its adapter would be audited under the adapter's name.
        raise InfrastructureError(f"{folder}: no weight of {_DIFFUSERS} belongs to a {type(pipeline).__name__}.")
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()


def _merge_peft(pipeline: Any, folder: Path) -> None:
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

    component = "transformer" if getattr(pipeline, "transformer", None) is not None else "unet"
    config = PeftConfig.from_pretrained(str(folder))
    config.inference_mode = True
    wrapped: Any = PeftModel(getattr(pipeline, component), config)
    tensors = load_file(folder / _PEFT)
    # peft only warns of what does not fit; the adapter as the model would save it says what must be there.
    wanted = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    if fault := _misfit(tensors, wanted):
        raise InfrastructureError(f"{folder}: {_PEFT} does not fit the {component} of the model: {fault}.")
    set_peft_model_state_dict(wrapped, tensors)
    setattr(pipeline, component, wrapped.merge_and_unload())


def _misfit(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    for name, tensor in wanted.items():
        if name not in found:
            return f"it lacks {name!r}"
        if found[name].shape != tensor.shape:
            return f"{name!r} has shape {tuple(found[name].shape)} where {tuple(tensor.shape)} is wanted"
    strange = [name for name in found if name not in wanted]
    return f"no layer takes {strange[0]!r}" if strange else None
