"""What the rewards on BLIP's encoders share: their fields, and how images and texts reach the encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

import torch
from torch import Tensor

from aes_audit.rewards.bert_texts import BertTexts
from aes_audit.rewards.blip_encoders import Model
from aes_audit.rewards.protocol import TextReading

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["BlipPairs", "BlipReward"]


@dataclass(slots=True)
class BlipReward(ABC, Generic[Model]):
    """A loaded reward on BLIP's encoders; what follows it makes an `Architecture` of it."""

    model: Model
    """Encoders and heads."""
    texts: BertTexts
    """The tokenizer."""
    image_side: int
    """Pixels per side that the model sees."""
    outputs: tuple[str, ...] = ("value",)
    """The score."""
    image_batch: int = 16
    """Images per pass of the vision model."""
    pair_batch: int = 32
    """Pairs per pass."""

    def read_text(self, text: str) -> TextReading:
        """Tokens before truncation at 35."""
        return self.texts.read(text)

    def image_note(self, image: Image) -> str | None:
        """Nothing: no image is treated otherwise than by the official code."""
        return None

    @abstractmethod
    def pixels(self, image: Image) -> Tensor:
        """The reward's image recipe: float32 of shape (3, image_side, image_side)."""

    def _see(self, images: Sequence[Image]) -> Tensor:
        return self.model.see([self.pixels(image) for image in images])


@dataclass(slots=True)
class BlipPairs(BlipReward[Model]):
    """One that reads the text across the image: one pass of the text encoder per pair."""

    @torch.inference_mode()
    def encode_images(self, images: Sequence[Image]) -> Sequence[Tensor]:
        """Vision states (1 + patches, width) of each image."""
        return self._see(images).unbind()

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Sequence[Tensor]:
        """Token ids of each text, up to 35."""
        return [ids.to(self.model.device) for ids in self.texts.ids(texts)]
