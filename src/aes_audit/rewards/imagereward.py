"""ImageReward: BLIP-L reads the text across the image, and a linear head makes a normalised reward of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from aes_audit.rewards.batch_sizes import images_per_pass
from aes_audit.rewards.bert_texts import BertTexts
from aes_audit.rewards.blip_checkpoint import BlipCheckpoint, read_blip
from aes_audit.rewards.blip_encoders import BlipEncoders, ready
from aes_audit.rewards.blip_reward import BlipPairs
from aes_audit.rewards.cpu_kernels import faster_on_cpu
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.image_recipes import openai_224
from aes_audit.rewards.protocol import Architecture

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MEAN", "STD", "ImageReward", "ImageRewardModel", "load_imagereward"]

MEAN = 0.16717362830052426
"""Mean of the head's output over the authors' validation set; subtracted. Source: THUDM/ImageReward."""
STD = 1.0333394966054072
"""Its standard deviation; divided by."""

# Between them training had dropout, and nowhere an activation.
_LINEAR = ("0", "2", "4", "6", "7")
# The contrastive heads of the BLIP that training started from.
_UNUSED = tuple(f"{head}.{part}" for head in ("vision_proj", "text_proj") for part in ("weight", "bias"))


class ImageRewardModel(BlipEncoders):
    """The encoders and five linear layers without activations between them (768-1024-128-64-16-1)."""

    def __init__(self, checkpoint: BlipCheckpoint) -> None:
        """Build it in the checkpoint's sizes; weights are not filled in."""
        super().__init__(checkpoint)
        shapes = {index: checkpoint.shape(f"mlp.layers.{index}.weight") for index in _LINEAR}
        layers = nn.ModuleDict({index: nn.Linear(shape[1], shape[0]) for index, shape in shapes.items()})
        self.mlp = nn.ModuleDict({"layers": layers})

    def judge(self, states: Tensor) -> Tensor:
        """The head's output (n,) for states (n, width), not normalised."""
        for layer in self.mlp["layers"].children():
            states = layer(states)
        return states[:, 0]


class ImageReward(BlipPairs[ImageRewardModel]):
    """The loaded reward: vision states per image, token ids per text, one pass of the text encoder per pair.

    Unbounded, about -2.3 to 2, higher is better.
    """

    def pixels(self, image: Image) -> Tensor:
        """Centre crop after a resize, as OpenAI's CLIP."""
        return openai_224(image, self.image_side)

    @torch.inference_mode()
    def combine(self, images: Sequence[Tensor], texts: Sequence[Tensor]) -> Sequence[tuple[float, ...]]:
        """The reward of each pair, in one pass."""
        raw = self.model.judge(self.model.first_states(texts, images))
        return [(value,) for value in ((raw - MEAN) / STD).tolist()]


def load_imagereward(
    files: RewardFiles, options: Mapping[str, str], device: str
) -> Architecture[torch.Tensor, torch.Tensor]:
    """Load `ImageReward.pt` with `med_config.json` and bert-base-uncased; both values of `dtype` are float32.

    Raises ModelNotFound, UnsafeWeights or InfrastructureError naming file and cause.
    """
    checkpoint = read_blip(files.checkpoint, files.folder, prefix="blip.")
    model = ready(ImageRewardModel, checkpoint, device, _UNUSED)
    rows = model.text_encoder.embeddings.word_embeddings.num_embeddings
    texts = BertTexts.from_folder(files.companions.get("tokenizer", files.folder), rows=rows)
    batch = images_per_pass(model.vision_model.config, device)
    return ImageReward(faster_on_cpu(model), texts, checkpoint.image_side, image_batch=batch)
