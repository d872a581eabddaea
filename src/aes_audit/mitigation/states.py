"""Pictures as latents and prompts as embeddings: computed once, kept on disk, held in memory while training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors import SafetensorError
from safetensors.torch import load, save

from aes_audit.errors import UsageError
from aes_audit.evidence import files
from aes_audit.evidence.batches import fixed_batches
from aes_audit.evidence.progress import Progress
from aes_audit.mitigation.architectures import Architecture
from aes_audit.mitigation.pairs import PairFolder

__all__ = ["States", "encode", "picture_tensor"]

_BATCH = 8
"""Pictures or prompts encoded at a time."""

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class States:
    """The encoded data of a training, in the memory of the host."""

    latents: torch.Tensor
    """(pictures, channels, height, width), shifted and scaled as the transformer sees them."""
    texts: Tensors
    """Per name one tensor with a row per distinct prompt."""
    rows: torch.Tensor
    """(pairs, 2): indices of a pair's picture and prompt."""
    weights: torch.Tensor
    """(pairs,): how often each is drawn."""


def encode(
    pipeline: Any, architecture: Architecture, data: PairFolder, size: tuple[int, int], work: Path, progress: Progress
) -> States:
    """Encode what is not in `work` yet; raises UsageError for a picture that cannot be read."""
    images, prompts = data.images, data.prompts

    def pictures(part: Sequence[Path]) -> Tensors:
        return {"latents": _latents(pipeline.vae, torch.stack([picture_tensor(file, size) for file in part]))}

    encoded = _kept(work / "latents", images, pictures, progress)
    texts = _kept(work / "texts", prompts, architecture.read, progress)
    image_index = {image: index for index, image in enumerate(images)}
    prompt_index = {prompt: index for index, prompt in enumerate(prompts)}
    return States(
        latents=encoded["latents"],
        texts=texts,
        rows=torch.tensor([(image_index[pair.image], prompt_index[pair.prompt]) for pair in data.pairs]),
        weights=torch.tensor([pair.weight for pair in data.pairs], dtype=torch.float64),
    )


def picture_tensor(file: Path, size: tuple[int, int]) -> torch.Tensor:
    """A picture cut to the middle and scaled to width x height: (3, height, width) in [-1, 1]."""
    try:
        with Image.open(file) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
        fitted = ImageOps.fit(upright, size, Image.Resampling.LANCZOS) if upright.size != size else upright
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(f"the picture {str(file)!r} cannot be read: {' '.join(str(error).split())}.") from error
    pixels = torch.from_numpy(np.asarray(fitted, dtype=np.float32))
    return pixels.permute(2, 0, 1) / 127.5 - 1


@torch.no_grad()
def _latents(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    mean = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mean
    latents: torch.Tensor = (mean - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor
    return latents


def _kept(
    folder: Path, things: Sequence[Any], encoder: Callable[[Sequence[Any]], Tensors], progress: Progress
) -> Tensors:
    """The encoder's tensors for all things, laid one after the other; batches that were kept are not made again."""
    parts: list[Tensors] = []
    with torch.no_grad(), progress.bar(folder.name, done=0, total=len(things), unit=folder.name[:-1]) as tick:
        for number, batch in enumerate(fixed_batches(things, _BATCH)):
            file = folder / f"{number:05d}.safetensors"
            parts.append(_read(file) or _made(file, encoder(batch)))
            tick(len(batch))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _read(file: Path) -> Tensors | None:
    content = files.read(file)
    try:
        return load(content) if content is not None else None
    except SafetensorError:
        return None


def _made(file: Path, tensors: Tensors) -> Tensors:
    made = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    files.write(file, save(made))
    return made
