"""The image recipe of Qwen3-VL, in Pillow and torch alone: squashed to one size, then cut into patches.

The published judge was asked about images of 512 x 512 pixels whatever their shape (PROTOCOL section 5 and R16).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from PIL.Image import Resampling

from aes_audit.errors import InfrastructureError
from aes_audit.rewards.image_recipes import Channels, to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

__all__ = ["ImagePatches", "QwenImageRecipe"]


class ImagePatches(NamedTuple):
    """An image as the vision model reads it."""

    values: Tensor
    """float32, (rows * columns, channels * frames * patch * patch): the patches of one token next to each other."""
    rows: int
    """Patches from top to bottom, a multiple of the recipe's `merge`."""
    columns: int
    """Patches from left to right, likewise."""


@dataclass(frozen=True, slots=True)
class QwenImageRecipe:
    """How an image becomes patches."""

    size: tuple[int, int]
    """Width and height to which every image is brought, its shape not kept."""
    patch: int
    """Pixels per side of a patch."""
    merge: int
    """Patches per side that become one token of the language model."""
    frames: int
    """How often a still image is shown to a model that reads clips."""
    mean: Channels
    """Subtracted per channel, after scaling to [0, 1]."""
    std: Channels
    """Divided by per channel."""
    least: int
    """Pixels that an image has at least; a smaller `size` is enlarged."""
    most: int
    """Pixels that an image has at most."""

    @classmethod
    def read(cls, folder: Path, size: tuple[int, int]) -> QwenImageRecipe:
        """The numbers of a folder's processor. Raises InfrastructureError without a usable one."""
        try:
            raw = _image_processor(folder)
            edges = raw.get("size") or {}
            mean, std = ([float(value) for value in raw[key]] for key in ("image_mean", "image_std"))
            return cls(
                size=size,
                patch=int(raw["patch_size"]),
                merge=int(raw["merge_size"]),
                frames=int(raw["temporal_patch_size"]),
                mean=(mean[0], mean[1], mean[2]),
                std=(std[0], std[1], std[2]),
                least=int(raw.get("min_pixels") or edges["shortest_edge"]),
                most=int(raw.get("max_pixels") or edges["longest_edge"]),
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise InfrastructureError(
                f"judge folder {str(folder)!r} has no usable preprocessor_config.json of a Qwen3-VL: {error!r}."
            ) from error

    @property
    def final_size(self) -> tuple[int, int]:
        """Width and height in pixels after the model's own rule: whole tokens, between `least` and `most` pixels.

        Source: `smart_resize` of transformers' Qwen2VLImageProcessor; 512 x 512 stays as it is.
        """
        unit, (width, height) = self.patch * self.merge, self.size
        across, down = (round(side / unit) * unit for side in (width, height))
        if across * down > self.most:
            shrink = math.sqrt(height * width / self.most)
            across, down = (max(unit, math.floor(side / shrink / unit) * unit) for side in (width, height))
        elif across * down < self.least:
            grow = math.sqrt(self.least / (height * width))
            across, down = (math.ceil(side * grow / unit) * unit for side in (width, height))
        return across, down

    @property
    def tokens(self) -> int:
        """Tokens of the language model per image."""
        width, height = self.final_size
        return (width // self.patch // self.merge) * (height // self.patch // self.merge)

    def patches(self, image: Image) -> ImagePatches:
        """RGB, bicubic to `size` and then to `final_size`, scaled, normalised, cut. Alpha is dropped."""
        resized = to_rgb(image).resize(self.size, Resampling.BICUBIC)
        if self.final_size != self.size:
            resized = resized.resize(self.final_size, Resampling.BICUBIC)
        width, height = resized.size
        samples = torch.frombuffer(bytearray(resized.tobytes()), dtype=torch.uint8).reshape(height, width, 3)
        pixels = (samples.float() / 255 - torch.tensor(self.mean)) / torch.tensor(self.std)
        rows, columns, merge = height // self.patch, width // self.patch, self.merge
        split = pixels.reshape(rows // merge, merge, self.patch, columns // merge, merge, self.patch, 3)
        # Tokens row by row, within each its patches, within each channel, frame and pixels.
        cut = split.permute(0, 3, 1, 4, 6, 2, 5).reshape(rows * columns, 3, 1, self.patch, self.patch)
        return ImagePatches(cut.expand(-1, -1, self.frames, -1, -1).reshape(rows * columns, -1), rows, columns)


def _image_processor(folder: Path) -> dict[str, Any]:
    """Its settings: in a file of their own, or within those of the whole processor, as newer versions write it."""
    alone = folder / "preprocessor_config.json"
    if alone.is_file():
        return dict(json.loads(alone.read_text(encoding="utf-8")))
    whole = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    return dict(whole["image_processor"])
