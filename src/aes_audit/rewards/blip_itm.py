"""BLIP-L ITM: whether a text fits an image, by the matching head or by the cosine of the contrastive heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from aes_audit.rewards.batch_sizes import images_per_pass
from aes_audit.rewards.bert_texts import BertTexts
from aes_audit.rewards.blip_checkpoint import BlipCheckpoint, read_blip
from aes_audit.rewards.blip_encoders import BlipEncoders, ready
from aes_audit.rewards.blip_reward import BlipPairs, BlipReward
from aes_audit.rewards.cpu_kernels import faster_on_cpu
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.image_recipes import square
from aes_audit.rewards.protocol import Architecture

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["BlipContrast", "BlipItmModel", "BlipMatching", "load_blip_itm"]

_MATCH = 1
"""Which of the two logits of the matching head says that text and image belong together."""


class BlipItmModel(BlipEncoders):
    """The encoders with the matching head and the two contrastive heads."""

    def __init__(self, checkpoint: BlipCheckpoint) -> None:
        """Build it in the checkpoint's sizes; weights are not filled in."""
        super().__init__(checkpoint)
        sides = {name: checkpoint.shape(f"{name}.weight") for name in ("vision_proj", "text_proj", "itm_head")}
        linear = {name: nn.Linear(shape[1], shape[0]) for name, shape in sides.items()}
        self.vision_proj, self.text_proj = linear["vision_proj"], linear["text_proj"]
        self.itm_head = linear["itm_head"]


@dataclass(slots=True)
class BlipMatching(BlipPairs[BlipItmModel]):
    """The matching head: vision states per image, token ids per text, one pass of the text encoder per pair.

    A probability in [0, 1], or the logit of a match; higher is better.
    """

    as_probability: bool = True
    """Whether the score is the probability rather than the logit."""

    def pixels(self, image: Image) -> Tensor:
        """Resized to a square, whatever its proportions."""
        return square(image, self.image_side)

    @torch.inference_mode()
    def combine(self, images: Sequence[Tensor], texts: Sequence[Tensor]) -> Sequence[tuple[float, ...]]:
        """The score of each pair, in one pass."""
        logits = self.model.itm_head(self.model.first_states(texts, images))
        scores = logits.softmax(dim=-1) if self.as_probability else logits
        return [(value,) for value in scores[:, _MATCH].tolist()]


@dataclass(slots=True)
class BlipContrast(BlipReward[BlipItmModel]):
    """The contrastive heads (`itc`): one embedding per image and per text, and their cosine in [-1, 1]."""

    def pixels(self, image: Image) -> Tensor:
        """As for the matching head."""
        return square(image, self.image_side)

    @torch.inference_mode()
    def encode_images(self, images: Sequence[Image]) -> Sequence[Tensor]:
        """Embedding of each image, of length 1."""
        return normalize(self.model.vision_proj(self._see(images)[:, 0]), dim=-1).unbind()

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Sequence[Tensor]:
        """Embedding of each text, of length 1."""
        if not texts:
            return []
        states = self.model.first_states(self.texts.ids(texts))
        return normalize(self.model.text_proj(states), dim=-1).unbind()

    @torch.inference_mode()
    def combine(self, images: Sequence[Tensor], texts: Sequence[Tensor]) -> Sequence[tuple[float, ...]]:
        """The cosine of each pair."""
        cosines = (torch.stack(list(images)) * torch.stack(list(texts))).sum(dim=-1)
        return [(value,) for value in cosines.tolist()]


def load_blip_itm(
    files: RewardFiles, options: Mapping[str, str], device: str
) -> Architecture[torch.Tensor, torch.Tensor]:
    """Load the official `model_large_retrieval_coco.pth`, or `model.safetensors` of the transformers folder.

    Option `output`: `probability` and `logit` of a match, or `itc`. Both values of `dtype` are float32. The side of the
    images is the one that the position embedding is made for: 384 in the published weights.
    Raises ModelNotFound, UnsafeWeights or InfrastructureError naming file and cause.
    """
    checkpoint = read_blip(files.checkpoint, files.folder)
    model = ready(BlipItmModel, checkpoint, device)
    rows = model.text_encoder.embeddings.word_embeddings.num_embeddings
    texts = BertTexts.from_folder(files.companions.get("tokenizer", files.folder), rows=rows)
    side, batch = checkpoint.image_side, images_per_pass(model.vision_model.config, device)
    if options["output"] == "itc":
        # Of an image, the contrastive head reads the class token alone.
        last = model.vision_model.encoder.layers[-1]
        return BlipContrast(faster_on_cpu(model, first_only=(last,)), texts, side, image_batch=batch)
    as_probability = options["output"] == "probability"
    return BlipMatching(faster_on_cpu(model), texts, side, image_batch=batch, as_probability=as_probability)
