"""Image recipes in Pillow and torch alone, so that a score does not depend on what else is installed.

Every recipe takes one decoded image of any mode and size and gives float32 pixels of shape (3, h, w), normalised.
Modes are converted as Pillow does it, also where that loses something: alpha is dropped, 16-bit greys are cut off at
255. That is what the official codes do, and their scores are the reference. No recipe applies an EXIF orientation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL.Image import Resampling

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "Channels",
    "hf_clip_224",
    "letterbox_224",
    "letterbox_note",
    "openai_224",
    "square",
    "to_rgb",
]

Channels = tuple[float, float, float]
"""One number per channel: red, green, blue."""

CLIP_MEAN: Channels = (0.48145466, 0.4578275, 0.40821073)
"""Subtracted per channel, after scaling to [0, 1]; from OpenAI's CLIP, used by every CLIP and BLIP since."""
CLIP_STD: Channels = (0.26862954, 0.26130258, 0.27577711)
"""Divided by per channel."""


def to_rgb(image: Image) -> Image:
    """The image as Pillow converts it to RGB, decoded; the image itself when it is RGB."""
    return image if image.mode == "RGB" else image.convert("RGB")


def openai_224(image: Image, side: int = 224) -> torch.Tensor:
    """Shorter side to `side` in the image's own mode, centre crop rounded half to even, and only then RGB.

    Resizing before the conversion is what OpenAI's CLIP does: a palette image is resized with nearest neighbour, and
    transparent pixels weigh less. Source: openai/CLIP, `_transform`.
    """
    resized = _shorter_side(image, side)
    left, top = (round((length - side) / 2) for length in resized.size)
    return _normalised(to_rgb(resized.crop((left, top, left + side, top + side))))


def hf_clip_224(image: Image, side: int = 224) -> torch.Tensor:
    """RGB, shorter side to `side`, centre crop rounded down. Source: CLIPImageProcessor of transformers."""
    resized = _shorter_side(to_rgb(image), side)
    left, top = ((length - side) // 2 for length in resized.size)
    return _normalised(resized.crop((left, top, left + side, top + side)))


def letterbox_224(image: Image, side: int = 224, antialias: bool = True) -> torch.Tensor:
    """RGB in [0, 1], longer side to `side` as a tensor, black borders; bicubic overshoot is not clamped.

    `antialias=False` is what torchvision before 0.17 did with tensors. An image for which `letterbox_note` says
    something is padded all the same. Source: HPSv2, `image_transform(resize_longest_max=True)`.
    """
    from torch.nn.functional import interpolate, pad

    pixels = _unit_scale(to_rgb(image))
    height, width = pixels.shape[1:]
    scale = side / max(height, width)
    if scale != 1:
        size = [max(1, round(height * scale)), max(1, round(width * scale))]
        pixels = interpolate(pixels[None], size=size, mode="bicubic", align_corners=False, antialias=antialias)[0]
    missing_y, missing_x = (side - length for length in pixels.shape[1:])
    left, top = missing_x // 2, missing_y // 2
    return _normalise(pad(pixels, (left, missing_x - left, top, missing_y - top)), CLIP_MEAN, CLIP_STD)


def letterbox_note(image: Image, side: int = 224) -> str | None:
    """What `letterbox_224` does where HPSv2's own code raises; None where it does not raise."""
    if image.mode == "RGBA":
        return "alpha dropped (HPSv2's own code raises on RGBA)"
    longer, shorter = max(image.size), min(image.size)
    if longer == side != shorter:
        return f"padded to {side} x {side} (HPSv2's own code raises on a longer side of exactly {side})"
    if round(shorter * (side / longer)) == 0:
        return "shorter side kept at one pixel (HPSv2's own code raises on an image this narrow)"
    return None


def square(image: Image, side: int = 384, mean: Channels = CLIP_MEAN, std: Channels = CLIP_STD) -> torch.Tensor:
    """RGB, squashed to `side` x `side` with Pillow's bicubic filter. Source: BLIP's evaluation transform."""
    size = (side, side)
    rgb = to_rgb(image)
    return _normalised(rgb if rgb.size == size else rgb.resize(size, Resampling.BICUBIC), mean, std)


def _shorter_side(image: Image, side: int) -> Image:
    width, height = image.size
    shorter, longer = min(width, height), max(width, height)
    other = int(side * longer / shorter)
    size = (side, other) if width <= height else (other, side)
    return image if image.size == size else image.resize(size, Resampling.BICUBIC)


def _normalised(image: Image, mean: Channels = CLIP_MEAN, std: Channels = CLIP_STD) -> torch.Tensor:
    return _normalise(_unit_scale(image), mean, std)


def _unit_scale(image: Image) -> torch.Tensor:
    import numpy as np
    import torch

    return torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1).contiguous() / 255


def _normalise(pixels: torch.Tensor, mean: Channels, std: Channels) -> torch.Tensor:
    import torch

    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
