"""From latents to pixels outside of the pipeline's call, as diffusers does it inside, while the next batch is denoised.

The formulas are those of the end of each `__call__` in diffusers 0.42; the pixels are the same to the bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from aes_audit.generators.memory import free_cached

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Frames", "LatentDecoder", "latent_decoder"]

Frames: TypeAlias = "NDArray[np.float32]"
"""Images x height x width x 3, in [0, 1]."""


class LatentDecoder:
    """The VAE of one loaded pipeline, for a thread of its own; on CUDA on a stream of its own."""

    def __init__(self, pipeline: Any, call: Mapping[str, Any]) -> None:
        """`pipeline` is one that `latent_decoder` takes, `call` the arguments it is called with."""
        self._pipeline = pipeline
        self._call = call
        self._decoded = _FAMILIES[type(pipeline).__name__]
        device = pipeline.vae.device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._vae, self._denoising = Lock(), Lock()
        self._begun = self._finished = 0
        self.short = False
        """Whether memory ran out once: denoising and decoding are then no longer to share it."""

    @property
    def busy(self) -> bool:
        """Whether something that was begun is not finished, and may be in the way."""
        return self._begun > self._finished

    @contextmanager
    def call(self, *, apart: bool) -> Iterator[None]:
        """To be held during a call of the pipeline: one `apart` from decoding, or one that decodes, after any other."""
        # Whoever takes both takes the VAE first.
        with nullcontext() if apart else self._vae, self._denoising:
            yield

    def begin(self, latents: Tensor) -> Callable[[], Frames]:
        """What decodes these latents, in any thread; to be called by the thread that called the pipeline.

        The decoding of a batch that does not fit into memory beside the denoising of another waits for the end of
        that and goes on image by image, with a warning. It raises torch.OutOfMemoryError when one image alone does not
        fit, and whatever else the VAE raises.
        """
        self._begun += 1
        made = torch.cuda.current_stream(latents.device).record_event() if self._stream else None
        return partial(self._finish, latents, made)

    def _finish(self, latents: Tensor, made: torch.cuda.Event | None) -> Frames:
        with self._vae:
            try:
                return self._frames(latents, made)
            except torch.OutOfMemoryError:
                self.short = True
            finally:
                self._finished += 1
            # Outside of the handler: the error holds the tensors of the decoding that failed.
            with self._denoising:
                warnings.warn(
                    f"decoding {len(latents)} images beside the next batch did not fit into memory: they are decoded "
                    "one by one, and later ones no longer beside another batch; pixels may differ by rounding",
                    stacklevel=2,
                )
                free_cached()
                return np.concatenate([self._frames(image, made) for image in latents.split(1)])

    def _frames(self, latents: Tensor, made: torch.cuda.Event | None) -> Frames:
        with torch.inference_mode():
            if self._stream is None or made is None:
                return self._pixels(latents)
            with torch.cuda.stream(self._stream):
                self._stream.wait_event(made)
                # What the other stream allocated may be freed while this one still reads it: the latents, and the
                # VAE's weights where they are cast.
                for tensor in (latents, *self._pipeline.vae.parameters(), *self._pipeline.vae.buffers()):
                    tensor.record_stream(self._stream)
                return self._pixels(latents)

    def _pixels(self, latents: Tensor) -> Frames:
        images = self._decoded(self._pipeline, latents, self._call)
        # To the computer's memory, which waits for this stream alone.
        frames: Frames = self._pipeline.image_processor.postprocess(images, output_type="np")
        return frames


def latent_decoder(pipeline: Any, call: Mapping[str, Any]) -> LatentDecoder | None:
    """What decodes for this pipeline; None where decoding has to stay inside of its call.

    That is so for classes that are not known here (among them all that have a safety checker), for images that are
    marked, for parts that are moved to the device and back, for decoding in tiles, and on devices other than CPU and
    CUDA.
    """
    if type(pipeline).__name__ not in _FAMILIES or getattr(pipeline, "watermark", None) is not None:
        return None
    moved = any(hasattr(part, "_hf_hook") for part in pipeline.components.values())
    tiled = getattr(pipeline.vae, "use_tiling", False)
    if moved or tiled or pipeline.vae.device.type not in ("cpu", "cuda"):
        return None
    return LatentDecoder(pipeline, call)


def _shifted(pipeline: Any, latents: Tensor, call: Mapping[str, Any]) -> Tensor:
    config = pipeline.vae.config
    return _decode(pipeline, latents / config.scaling_factor + config.shift_factor)


def _flux(pipeline: Any, latents: Tensor, call: Mapping[str, Any]) -> Tensor:
    return _shifted(pipeline, _unpacked(pipeline, latents, call), call)


def _z_image(pipeline: Any, latents: Tensor, call: Mapping[str, Any]) -> Tensor:
    return _shifted(pipeline, latents.to(pipeline.vae.dtype), call)


def _sdxl(pipeline: Any, latents: Tensor, call: Mapping[str, Any]) -> Tensor:
    vae = pipeline.vae
    # In float16 this VAE overflows. Cast as a plain module, because diffusers' own `to` writes to the log.
    upcast = vae.dtype == torch.float16 and vae.config.force_upcast
    if upcast:
        torch.nn.Module.to(vae, dtype=torch.float32)
    try:
        if upcast:
            latents = latents.to(next(iter(vae.post_quant_conv.parameters())).dtype)
        mean, std = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
        if mean is None or std is None:
            return _decode(pipeline, latents / vae.config.scaling_factor)
        # Playground 2.5.
        mean, std = (torch.tensor(values).view(1, 4, 1, 1).to(latents.device, latents.dtype) for values in (mean, std))
        return _decode(pipeline, latents * std / vae.config.scaling_factor + mean)
    finally:
        if upcast:
            torch.nn.Module.to(vae, dtype=torch.float16)


def _qwen_image(pipeline: Any, latents: Tensor, call: Mapping[str, Any]) -> Tensor:
    vae = pipeline.vae
    latents = _unpacked(pipeline, latents, call).to(vae.dtype)
    mean, std = (
        torch.tensor(values).view(1, vae.config.z_dim, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    mean, scale = mean.to(latents.device, latents.dtype), 1.0 / std.to(latents.device, latents.dtype)
    # One frame of a video.
    return _decode(pipeline, latents / scale + mean)[:, :, 0]


def _unpacked(pipeline: Any, latents: Tensor, call: Mapping[str, Any]) -> Tensor:
    """Patches as a map again."""
    height, width = (
        call.get(side) or pipeline.default_sample_size * pipeline.vae_scale_factor for side in ("height", "width")
    )
    unpacked: Tensor = pipeline._unpack_latents(latents, height, width, pipeline.vae_scale_factor)
    return unpacked


def _decode(pipeline: Any, latents: Tensor) -> Tensor:
    decoded: Tensor = pipeline.vae.decode(latents, return_dict=False)[0]
    return decoded


_FAMILIES: dict[str, Callable[[Any, Tensor, Mapping[str, Any]], Tensor]] = {
    "FluxPipeline": _flux,
    "StableDiffusion3Pipeline": _shifted,
    "StableDiffusionXLPipeline": _sdxl,
    "QwenImagePipeline": _qwen_image,
    "ZImagePipeline": _z_image,
}
"""Pipeline class -> latents, arguments of the call -> images in [-1, 1]."""
