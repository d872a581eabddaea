"""The control models' CLIP rewards: folders in the ordinary format of transformers, with a recipe of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPModel

from aes_audit.device import check_device
from aes_audit.rewards.clip_family import ClipArchitecture
from aes_audit.rewards.clip_texts import ClipTexts
from aes_audit.rewards.images import SquareRecipe
from aes_audit.rewards.pair_scorer import PairScorer
from aes_audit.weights.loading import loading, refuse_random_weights

__all__ = ["load_clip"]


def load_clip(folder: Path, *, scaled: bool, device: str) -> PairScorer[Tensor, Tensor]:
    """Load a CLIPModel folder (safetensors, tokenizer, preprocessor_config.json) in float32.

    Scores are cosines in [-1, 1], times exp(logit_scale) where `scaled`, as Bradley-Terry rewards of the PickScore
    kind are. Raises InfrastructureError naming the folder and the cause.
    """
    check_device(device)
    what = f"reward folder {str(folder)!r}"
    model: Any
    info: Any
    with loading(what):
        model, info = CLIPModel.from_pretrained(  # type: ignore[misc]  # typed as if no info came along
            folder, use_safetensors=True, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
        refuse_random_weights(what, info)
    texts = ClipTexts.from_folder(folder, cleaned=False)
    recipe = SquareRecipe.read(folder)
    model.requires_grad_(False).train(False).to(device)
    return PairScorer(ClipArchitecture(model, texts, lambda image: recipe.pixels([image])[0], scaled=scaled))
