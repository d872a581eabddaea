"""What differs between SD3- and Flux-type transformers: how prompts are read, latents laid out, velocities asked for.

Source: the calls of diffusers' StableDiffusion3Pipeline and FluxPipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from aes_audit.errors import UsageError

__all__ = ["Architecture", "Flux", "StableDiffusion3", "Texts", "architecture_of"]

Texts = Mapping[str, torch.Tensor]
"""`embeds` (prompts, tokens, width) and `pooled` (prompts, width)."""


class Architecture(Protocol):
    """One family of rectified-flow transformers."""

    def read(self, prompts: Sequence[str]) -> Texts:
        """What the transformer is told about each prompt, by the pipeline's own encoders."""
        ...

    def velocity(self, latents: torch.Tensor, sigmas: torch.Tensor, texts: Texts) -> torch.Tensor:
        """Noise minus picture, as the transformer guesses it for latents (n, c, h, w) at noise shares (n,)."""
        ...

    def tokens(self, latents: torch.Tensor) -> int:
        """Image tokens of one picture."""
        ...


class StableDiffusion3:
    """StableDiffusion3Pipeline: latents as they are, timesteps of 0 to 1000."""

    def __init__(self, pipeline: Any, call: Mapping[str, Any], guidance: float | None) -> None:
        """`guidance` is of no use here: this transformer has no guidance embedding."""
        self._pipeline, self._reading = pipeline, _reading(call)
        self._transformer = pipeline.transformer

    def _device(self) -> torch.device:
        return torch.device(self._pipeline.text_encoder.device)

    def read(self, prompts: Sequence[str]) -> Texts:
        """Both CLIP encoders and, where the model has it, T5."""
        embeds, _, pooled, _ = self._pipeline.encode_prompt(
            list(prompts), None, None, self._device(), do_classifier_free_guidance=False, **self._reading
        )
        return {"embeds": embeds, "pooled": pooled}

    def velocity(self, latents: torch.Tensor, sigmas: torch.Tensor, texts: Texts) -> torch.Tensor:
        """One call of the SD3Transformer2DModel."""
        (guess,) = self._transformer(
            hidden_states=latents,
            timestep=1000 * sigmas,
            encoder_hidden_states=texts["embeds"],
            pooled_projections=texts["pooled"],
            return_dict=False,
        )
        velocity: torch.Tensor = guess
        return velocity

    def tokens(self, latents: torch.Tensor) -> int:
        """One per patch."""
        side = self._transformer.config.patch_size
        return int(latents.shape[-2] // side) * int(latents.shape[-1] // side)


class Flux:
    """FluxPipeline: latents packed in patches of 2 x 2 with positions, timesteps of 0 to 1, guidance embedded."""

    def __init__(self, pipeline: Any, call: Mapping[str, Any], guidance: float | None) -> None:
        """`guidance` is what a guidance-distilled transformer is told; others are told nothing."""
        self._pipeline, self._reading = pipeline, _reading(call)
        self._transformer = pipeline.transformer
        self._guidance = guidance if self._transformer.config.guidance_embeds else None

    def _device(self) -> torch.device:
        return torch.device(self._pipeline.text_encoder.device)

    def read(self, prompts: Sequence[str]) -> Texts:
        """T5 per token, CLIP pooled."""
        embeds, pooled, _ = self._pipeline.encode_prompt(list(prompts), None, self._device(), **self._reading)
        return {"embeds": embeds, "pooled": pooled}

    def velocity(self, latents: torch.Tensor, sigmas: torch.Tensor, texts: Texts) -> torch.Tensor:
        """One call of the FluxTransformer2DModel, unpacked again."""
        count, channels, height, width = latents.shape
        device, dtype = latents.device, latents.dtype
        pipeline = self._pipeline
        told = None if self._guidance is None else torch.full((count,), self._guidance, device=device)
        (guess,) = self._transformer(
            hidden_states=pipeline._pack_latents(latents, count, channels, height, width),
            timestep=sigmas,
            guidance=told,
            encoder_hidden_states=texts["embeds"],
            pooled_projections=texts["pooled"],
            txt_ids=torch.zeros((texts["embeds"].shape[1], 3), device=device, dtype=dtype),
            img_ids=pipeline._prepare_latent_image_ids(count, height // 2, width // 2, device, dtype),
            return_dict=False,
        )
        factor = pipeline.vae_scale_factor
        velocity: torch.Tensor = pipeline._unpack_latents(guess, height * factor, width * factor, factor)
        return velocity

    def tokens(self, latents: torch.Tensor) -> int:
        """One per packed patch of 2 x 2."""
        return int(latents.shape[-2] // 2) * int(latents.shape[-1] // 2)


def _reading(call: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a call that concern the reading of prompts; what is not said is the pipeline's default."""
    return {name: call[name] for name in ("max_sequence_length",) if name in call}


_KINDS: Mapping[str, type[StableDiffusion3] | type[Flux]] = {
    "StableDiffusion3Pipeline": StableDiffusion3,
    "FluxPipeline": Flux,
}


def architecture_of(name: str, pipeline: Any, call: Mapping[str, Any], guidance: float | None) -> Architecture:
    """The architecture of a loaded pipeline; raises UsageError for another one than SD3 and Flux."""
    kind = _KINDS.get(type(pipeline).__name__)
    if kind is None:
        raise UsageError(f"{name} is a {type(pipeline).__name__}: adapters are trained for {' and '.join(_KINDS)}.")
    return kind(pipeline, call, guidance)
