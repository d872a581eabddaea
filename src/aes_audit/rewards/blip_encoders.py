"""BLIP's two encoders, run apart: images once each, texts against the cached states of an image."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import BlipVisionModel
from transformers.models.blip.modeling_blip_text import BlipTextModel

from aes_audit.device import check_device
from aes_audit.rewards.blip_checkpoint import BlipCheckpoint
from aes_audit.weights.checkpoint import load_strictly
from aes_audit.weights.loading import loading

__all__ = ["BlipEncoders", "ready"]


class BlipEncoders(nn.Module):
    """Vision model and text encoder, without the heads that make a score of them."""

    def __init__(self, checkpoint: BlipCheckpoint) -> None:
        """Build both in the checkpoint's sizes; weights are not filled in."""
        super().__init__()
        self.vision_model: Any = BlipVisionModel(checkpoint.vision_config())
        self.text_encoder: Any = BlipTextModel(checkpoint.text_config(), add_pooling_layer=False)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.parameters()).device

    def see(self, pixels: Sequence[Tensor]) -> Tensor:
        """Vision states (n, 1 + patches, width) of n images of equal size, in one pass."""
        states: Tensor = self.vision_model(pixel_values=torch.stack(list(pixels)).to(self.device)).last_hidden_state
        return states

    def first_states(self, texts: Sequence[Tensor], seen: Sequence[Tensor] | None = None) -> Tensor:
        """The state at [CLS] (n, width) of n texts, where given with cross attention on `seen`, one image per text.

        Texts are padded to the longest and the padding masked, so that none depends on the others.
        """
        lengths = torch.tensor([len(text) for text in texts], device=self.device)
        ids = pad_sequence([text.to(self.device) for text in texts], batch_first=True)
        mask = (torch.arange(ids.shape[1], device=self.device) < lengths[:, None]).long()
        # Every patch is attended to, so the vision states need no mask; the stock one is built on the CPU.
        across = None if seen is None else torch.stack(list(seen))
        output = self.text_encoder(input_ids=ids, attention_mask=mask, encoder_hidden_states=across)
        states: Tensor = output.last_hidden_state
        return states[:, 0]


Model = TypeVar("Model", bound=BlipEncoders)


def ready(kind: type[Model], checkpoint: BlipCheckpoint, device: str, ignore: Collection[str] = ()) -> Model:
    """The model with the checkpoint's weights, in float32 and evaluation mode, on the device.

    `ignore` holds names of tensors that no score reads. float32 is the precision of the official codes on every device.
    Raises InfrastructureError for a tensor that is missing, unexpected or of another shape.
    """
    check_device(device)
    # On the meta device nothing is drawn at random first, which takes longer than loading.
    with loading(f"model of {str(checkpoint.file)!r}"), torch.device("meta"):
        model = kind(checkpoint)
    load_strictly(model, checkpoint.tensors, checkpoint.file, ignore, assign=True)
    embeddings = model.text_encoder.embeddings
    # The one buffer that no file holds.
    embeddings.position_ids = torch.arange(embeddings.position_embeddings.num_embeddings).expand(1, -1)
    return model.requires_grad_(False).train(False).to(device, torch.float32)
