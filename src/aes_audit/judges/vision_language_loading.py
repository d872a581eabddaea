"""From folders to a loaded vision-language judge: weights, adapters merged into them, tokenizer and image recipe."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

from aes_audit.device import check_device
from aes_audit.errors import InfrastructureError
from aes_audit.judges.guideline import Guideline
from aes_audit.judges.vision_language_images import QwenImageRecipe
from aes_audit.judges.vision_language_judge import VisionLanguageJudge
from aes_audit.judges.vision_language_texts import read_qwen_conversation
from aes_audit.rewards.cpu_kernels import faster_on_cpu
from aes_audit.rewards.memory_batch import MemoryBatch
from aes_audit.weights.loading import loading, refuse_random_weights

__all__ = ["load_vision_language_judge"]

_ADAPTER = "adapter_model.safetensors"


def load_vision_language_judge(
    folder: Path,
    *,
    device: str,
    guideline: Guideline,
    order: str,
    size: tuple[int, int],
    dtype: str,
    loras: Sequence[Path] = (),
    processor: Path | None = None,
    learning: bool = False,
) -> VisionLanguageJudge:
    """Load a Qwen3-VL folder; `loras` are PEFT folders merged in this order, `processor` has tokenizer and recipe.

    A judge that is `learning` keeps its stock layers, which take adapters and have gradients.

    Raises InfrastructureError naming the folder and what does not fit.
    """
    check_device(device)
    what = f"judge folder {str(folder)!r}"
    beside = processor or folder
    conversation, recipe = read_qwen_conversation(beside), QwenImageRecipe.read(beside, size)
    with loading(what):
        loaded: Any = Qwen3VLForConditionalGeneration.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, dtype=getattr(torch, dtype), output_loading_info=True
        )
        model, info = loaded
        refuse_random_weights(what, info)
    _refuse_misfits(what, model.config, recipe, conversation.image_id, max(conversation.digits))
    for lora in loras:
        with loading(f"adapter {str(lora)!r}"):
            model = _merged(model, lora)
    model = model.eval().requires_grad_(False).to(device)
    if not learning:
        # The head is read row by row, and the token ids' embedding is no product.
        model.model = faster_on_cpu(model.model)
    images, pairs = (4, 11) if device == "cpu" else (8, 32)
    return VisionLanguageJudge(
        model,
        conversation,
        recipe,
        guideline,
        order,
        MemoryBatch("images", images, "judge"),
        MemoryBatch("questions", pairs, "judge"),
    )


def _refuse_misfits(what: str, config: Any, recipe: QwenImageRecipe, image_id: int, highest: int) -> None:
    """Raise InfrastructureError where tokenizer or recipe belong to another model: it would answer all the same."""
    vision = config.vision_config
    pairs = {
        "token id of an image": (config.image_token_id, image_id),
        "patch size": (vision.patch_size, recipe.patch),
        "merge size": (vision.spatial_merge_size, recipe.merge),
        "frames per patch": (vision.temporal_patch_size, recipe.frames),
    }
    for name, (wanted, found) in pairs.items():
        if wanted != found:
            raise InfrastructureError(
                f"{what} cannot be used: its model has the {name} {wanted}, the processor {found}; give its own."
            )
    if highest >= config.text_config.vocab_size:
        raise InfrastructureError(f"{what} cannot be used: its tokenizer has more tokens than the model.")


def _merged(model: Any, folder: Path) -> Any:
    """The model with a PEFT adapter added to its weights for good; raises ValueError for one that does not fit."""
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

    config = PeftConfig.from_pretrained(str(folder))
    if str(getattr(config.peft_type, "value", config.peft_type)) != "LORA":
        raise InfrastructureError(f"{folder}: the adapter is {config.peft_type}, and only LoRA can be merged.")
    config.inference_mode = True
    # An untrained adapter changes nothing, so what the file lacks would go unnoticed.
    with warnings.catch_warnings():
        # PEFT asks transformers by a name that is going out of use.
        warnings.simplefilter("ignore", FutureWarning)
        wrapped: Any = PeftModel(model, config)
    tensors = load_file(folder / _ADAPTER)
    if fault := _misfit(tensors, get_peft_model_state_dict(wrapped, save_embedding_layers=False)):
        raise InfrastructureError(f"{folder}: {_ADAPTER} does not fit the judge: {fault}.")
    set_peft_model_state_dict(wrapped, tensors)
    return wrapped.merge_and_unload()


def _misfit(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    for name, tensor in wanted.items():
        if name not in found:
            return f"it lacks {name!r}"
        if found[name].shape != tensor.shape:
            return f"{name!r} has shape {tuple(found[name].shape)} where {tuple(tensor.shape)} is wanted"
    strange = [name for name in found if name not in wanted]
    return f"no layer takes {strange[0]!r}" if strange else None
