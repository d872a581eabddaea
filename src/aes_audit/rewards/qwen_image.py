"""The image recipe of Qwen2-VL at HPSv3's size: patches of 14 x 14 pixels from an area of about 448 x 448."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from PIL.Image import Resampling

from aes_audit.rewards.image_recipes import CLIP_MEAN, CLIP_STD, to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

__all__ = ["MERGE", "QwenPatches", "qwen_256", "qwen_note", "smart_size"]

MERGE = 2
"""Patches per side that become one token of the language model."""

_PATCH = 14
_FRAMES = 2
_UNIT = _PATCH * MERGE
_AREA = 256 * _UNIT * _UNIT
# A strip of one token's height that has the whole area; only images beyond the official limit get there.
_LONGEST = _AREA // _UNIT
_STEEPEST = 200


class QwenPatches(NamedTuple):
    """An image as the vision model reads it."""

    values: Tensor
    """float32, (rows * columns, 3 * 2 * 14 * 14): normalised pixels, the patches of one token next to each other."""
    rows: int
    """Patches from top to bottom, even."""
    columns: int
    """Patches from left to right, even."""

    @property
    def tokens(self) -> int:
        """How many tokens of the language model the image becomes: 250 to 290 for usual shapes."""
        return self.rows * self.columns // MERGE**2


def smart_size(width: int, height: int) -> tuple[int, int]:
    """Width and height, in pixels, to which an image of that size is brought: multiples of 28, area about 448 x 448.

    A larger image ends at or below that area, a smaller one at or above it. The order of the operations is the
    official one, since a floor or ceiling of a rounded quotient can fall on either side of a multiple.
    Source: `smart_resize` of qwen_vl_utils with min_pixels = max_pixels = 256 * 28 * 28.
    """
    across, down = (max(_UNIT, round(side / _UNIT) * _UNIT) for side in (width, height))
    if across * down > _AREA:
        shrink = math.sqrt((height * width) / _AREA)
        across, down = (math.floor(side / shrink / _UNIT) * _UNIT for side in (width, height))
    elif across * down < _AREA:
        grow = math.sqrt(_AREA / (height * width))
        across, down = (math.ceil(side * grow / _UNIT) * _UNIT for side in (width, height))
    return _within_reach(across), _within_reach(down)


def qwen_256(image: Image) -> QwenPatches:
    """RGB, smart resize (Pillow bicubic), scaled to [0, 1], normalised, cut into patches.

    The vision model reads clips: a still image is shown twice. Alpha is dropped.
    """
    resized = to_rgb(image).resize(smart_size(*image.size), Resampling.BICUBIC)
    width, height = resized.size
    samples = torch.frombuffer(bytearray(resized.tobytes()), dtype=torch.uint8).reshape(height, width, 3)
    pixels = (samples.float() / 255 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
    rows, columns = height // _PATCH, width // _PATCH
    split = pixels.reshape(rows // MERGE, MERGE, _PATCH, columns // MERGE, MERGE, _PATCH, 3)
    # Tokens row by row, within each its 2 x 2 patches, within each channel, frame and pixels.
    patches = split.permute(0, 3, 1, 4, 6, 2, 5).reshape(rows * columns, 3, 1, _PATCH, _PATCH)
    return QwenPatches(patches.expand(-1, -1, _FRAMES, -1, -1).reshape(rows * columns, -1), rows, columns)


def qwen_note(image: Image) -> str | None:
    """What we do with a shape that the official code refuses; None for every other."""
    longer, shorter = max(image.size), min(image.size)
    if longer <= _STEEPEST * shorter:
        return None
    return f"sides {image.width} x {image.height}, beyond the official limit of 200 : 1: resized as a narrower one"


def _within_reach(side: int) -> int:
    return min(max(side, _UNIT), _LONGEST)
