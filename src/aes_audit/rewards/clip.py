"""CLIP-type rewards: the cosine of an image and a text, scaled where the reward was trained with a scale."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from transformers import AutoTokenizer, CLIPModel

from aes_audit.device import check_device
from aes_audit.rewards.images import SquareRecipe
from aes_audit.weights.loading import loading, refuse_empty_tokenizer, refuse_random_weights

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ClipReward", "load_clip"]

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class ClipReward:
    """A loaded CLIPModel used as a reward; stateless between calls."""

    model: Any
    """The CLIPModel, in evaluation mode."""
    tokenizer: Any
    """Its tokenizer; texts are truncated at its `model_max_length` with the end token kept."""
    recipe: SquareRecipe
    """How images become pixels."""
    scaled: bool
    """Whether the score is multiplied by exp(logit_scale), as Bradley-Terry rewards of the PickScore kind are."""

    def score(self, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
        """One score per (images[i], texts[i]): a cosine in [-1, 1], or its logit where `scaled`.

        Each distinct image object and each distinct text is encoded once.
        Raises ValueError when the two sequences differ in length.
        """
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} images and {len(texts)} texts: give one text per image.")
        if not images:
            return []
        image_rows = _first_rows(id(image) for image in images)
        text_rows = _first_rows(texts)
        # The dictionaries keep the order of first appearance, so row i of a batch is key i.
        distinct = {id(image): image for image in images}
        with torch.inference_mode():
            left = self._embed_images([distinct[key] for key in image_rows])
            right = self._embed_texts(list(text_rows))
            rows = [image_rows[id(image)] for image in images]
            columns = [text_rows[text] for text in texts]
            cosine = (left[rows] * right[columns]).sum(dim=-1)
            if self.scaled:
                cosine = cosine * self.model.logit_scale.exp()
        return [float(value) for value in cosine.float().cpu()]

    def _embed_images(self, images: Sequence[Image]) -> torch.Tensor:
        pixels = self.recipe.pixels(images).to(self.model.device)
        return _unit(self.model.get_image_features(pixel_values=pixels))

    def _embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        tokens = self.tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")
        return _unit(self.model.get_text_features(**tokens.to(self.model.device)))


def load_clip(folder: Path, *, scaled: bool, device: str) -> ClipReward:
    """Load a CLIPModel folder (safetensors, tokenizer, preprocessor_config.json) in float32.

    Raises InfrastructureError naming the folder and the cause.
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
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        refuse_empty_tokenizer(what, tokenizer)
    model.requires_grad_(False).train(False).to(device)
    return ClipReward(model, tokenizer, SquareRecipe.read(folder), scaled)


def _first_rows(keys: Iterable[Key]) -> Mapping[Key, int]:
    rows: dict[Key, int] = {}
    for key in keys:
        rows.setdefault(key, len(rows))
    return rows


def _unit(features: Any) -> torch.Tensor:
    # transformers 5 wraps the projected feature in an output object, 4.x returns the tensor.
    tensor: torch.Tensor = getattr(features, "pooler_output", features)
    return torch.nn.functional.normalize(tensor, dim=-1)
