"""How pictures reach the models that look at them: preprocessing files, and training on the VAE's pictures too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from aes_audit.controls.training.vae import round_trip
from aes_audit.controls.training.workshop import write_atomically

__all__ = ["jittered", "seen", "write_preprocessor"]


def write_preprocessor(folder: Path, kind: str) -> None:
    """preprocessor_config.json of an image processor class: 64x64 RGB, scaled to [-1, 1]."""
    size = {"shortest_edge": 64} if kind == "ConvNextImageProcessor" else {"height": 64, "width": 64}
    config = {
        "image_processor_type": kind,
        "do_resize": kind != "ConvNextImageProcessor",
        "size": size,
        "resample": 3,
        "do_center_crop": False,
        "crop_size": {"height": 64, "width": 64},
        "do_convert_rgb": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    if kind == "ConvNextImageProcessor":
        # This class resizes by cropping from size / crop_pct below 384 pixels; everything here is 64x64 already.
        config["crop_pct"] = 1.0
    write_atomically(folder / "preprocessor_config.json", (json.dumps(config, indent=2) + "\n").encode())


def seen(
    vae: Any, images: torch.Tensor, random: torch.Generator, share: float = 0.5, shaken: float = 0.25
) -> torch.Tensor:
    """Images in [-1, 1] with the first `share` of the batch taken through the VAE."""
    count = round(len(images) * share)
    if count == 0:
        return images
    return torch.cat([round_trip(vae, images[:count], random, shaken), images[count:]])


def jittered(images: torch.Tensor, random: torch.Generator, shift: int = 3, noise: float = 0.05) -> torch.Tensor:
    """Images (differentiably) moved by up to `shift` pixels and overlaid with faint noise.

    A reward read through this cannot be raised by patterns that live on single pixels."""
    padded = functional.pad(images, (shift,) * 4, mode="replicate")
    down, across = torch.randint(2 * shift + 1, (2,), generator=random, device=images.device).tolist()
    moved = padded[..., down : down + images.shape[-2], across : across + images.shape[-1]]
    return moved + noise * torch.randn(moved.shape, generator=random, device=images.device)
