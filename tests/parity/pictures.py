"""Seeded test pictures of every mode: four bands of waves, noise and a plain rectangle."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["crc32", "make_image"]

_ORIENTATION = 0x0112


def make_image(name: str, mode: str, size: Sequence[int], orientation: int = 0, clear: float = 0.0) -> Image.Image:
    """The picture `name`; `size` is width and height.

    `orientation` sets the EXIF tag; `clear` is the share of columns (of palette entries for mode P) made transparent.
    Raises ValueError for a mode without a rule.
    """
    bands = _bands(name, *size)
    if clear and mode in ("RGBA", "LA"):
        bands[:, : max(1, int(size[0] * clear)), 3] = 0
    image = _of_mode(mode, bands)
    if clear and mode == "P":
        image.info["transparency"] = bytes(0 if entry < 64 * clear else 255 for entry in range(64))
    if orientation:
        image.getexif()[_ORIENTATION] = orientation
    return image


def crc32(image: Image.Image) -> int:
    """Fingerprint of mode, size and samples."""
    return zlib.crc32(image.tobytes(), zlib.crc32(f"{image.mode} {image.size}".encode()))


def _bands(name: str, width: int, height: int) -> NDArray[np.uint8]:
    # The order of the draws is part of the recipe.
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = []
    for _ in range(4):
        across, phase, down = 3 + 4 * rng.random(), 6 * rng.random(), 2 * rng.random()
        waves.append(127 + 120 * np.sin(x / width * across * math.pi + phase + y / height * down * math.pi))
    field = np.stack(waves, -1)
    field += rng.normal(0, 18, field.shape)
    left, top = int(width * 0.2), int(height * 0.3)
    field[top : top + max(1, height // 3), left : left + max(1, width // 4), :3] = rng.integers(0, 255, 3)
    return field.clip(0, 255).astype(np.uint8)


def _of_mode(mode: str, bands: NDArray[np.uint8]) -> Image.Image:
    planes = [Image.fromarray(np.ascontiguousarray(bands[..., band])) for band in range(4)]
    match mode:
        case "RGB" | "RGBA" | "CMYK":
            return Image.merge(mode, planes[: len(mode)])
        case "L":
            return planes[0]
        case "LA":
            return Image.merge("LA", [planes[0], planes[3]])
        case "1":
            return Image.fromarray((bands[..., 0] > 127).astype(np.uint8) * 255).convert("1", dither=Image.Dither.NONE)
        case "I;16":  # half of the samples lie above 255
            return Image.fromarray(bands[..., 0].astype(np.uint16) * 2 + bands[..., 1] % 2)
        case "P":
            return _with_palette(bands)
    raise ValueError(f"no rule for pictures of mode {mode!r}.")


def _with_palette(bands: NDArray[np.uint8]) -> Image.Image:
    # A fixed palette of 64 colours, so that no quantiser has a say.
    red, green, blue = (bands[..., band] // 64 for band in range(3))
    image = Image.fromarray((red * 16 + green * 4 + blue).astype(np.uint8))
    image.putpalette([32 + 64 * (entry // step % 4) for entry in range(64) for step in (16, 4, 1)])
    return image
