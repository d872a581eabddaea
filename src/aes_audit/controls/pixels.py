"""What happens to finished pixels: swirl, light, blank canvas, mosaic, blur, darkness."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

__all__ = ["Mask", "Pixels", "blank", "blur", "cast_shadow", "darken", "flatten", "grain", "mosaic", "shade", "swirl"]

Pixels = npt.NDArray[np.floating[Any]]
"""(rows, columns, 3), 0 to 255."""
Mask = npt.NDArray[np.floating[Any]]
"""(rows, columns), 0 to 1."""


@cache
def _grid(side: int) -> tuple[Mask, Mask]:
    """Row and column positions, each 0 to 1, of a square canvas."""
    line = (np.arange(side, dtype=np.float32) + 0.5) / side
    rows, columns = np.meshgrid(line, line, indexing="ij")
    return rows, columns


def swirl(layer: Image.Image, centre: tuple[float, float], radius: float, turn: float) -> Image.Image:
    """An RGBA layer twisted around `centre` (pixels) and rippled: an impossible object.

    `turn` is the angle in radians at the centre; beyond 1.5 `radius` nothing moves."""
    side = layer.width
    rows, columns = _grid(side)
    y, x = rows * side - centre[1], columns * side - centre[0]
    away = np.hypot(x, y) / (1.5 * radius)
    angle = turn * np.clip(1 - away, 0, 1) ** 1.2
    ripple = 0.16 * radius * np.sin(y / radius * 7) * np.clip(1.3 - away, 0, 1)
    cos, sin = np.cos(angle), np.sin(angle)
    from_x = np.clip(centre[0] + cos * x - sin * y + ripple, 0, side - 1).astype(np.intp)
    from_y = np.clip(centre[1] + sin * x + cos * y, 0, side - 1).astype(np.intp)
    packed = np.asarray(layer).view(np.uint32)[:, :, 0]
    twisted = np.ascontiguousarray(packed[from_y, from_x])
    return Image.fromarray(twisted[:, :, None].view(np.uint8), "RGBA")


def cast_shadow(alpha: Mask, foot: float, lean: float, length: float) -> Mask:
    """The subject's mask laid on the ground: sheared by `lean`, squeezed to `length`, hinged at row `foot` (pixels)."""
    side = alpha.shape[0]
    # Output (x, y) below the foot shows the subject as far above it, divided by the squeeze.
    matrix = (1.0, -lean / length, lean / length * foot, 0.0, -1 / length, foot + foot / length)
    source = Image.fromarray((alpha * 255).astype(np.uint8))
    laid = source.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(laid, dtype=np.float32) / 255


def shade(pixels: Pixels, strength: float, direction: int, alpha: Mask | None = None) -> Pixels:
    """Brighter towards the light (`direction` -1 left, 1 right, from above), darker away from it.

    Without `alpha` over the whole canvas, with it across the extent of the subject."""
    rows, columns = _grid(pixels.shape[0])
    if alpha is None or alpha.max() < 0.5:
        across = (columns - 0.5) * direction - 0.5 * (rows - 0.5)
        return pixels * (1 + strength * across)[..., None]
    inside = alpha > 0.5
    left, right = columns[inside].min(), columns[inside].max()
    across = np.clip((columns - (left + right) / 2) / max(float(right - left), 0.05) * 2, -1, 1) * direction
    lit = np.where(across > 0.15, 1 + 0.6 * strength * across, 1 + strength * across)
    return np.asarray(pixels * lit[..., None], dtype=np.float32)


def flatten(pixels: Pixels) -> Pixels:
    """Light without direction: contrast squeezed towards a pale grey."""
    return pixels * np.float32(0.5) + np.float32(0.5 * 168)


def blank(pixels: Pixels, edge: str, depth: float, rng: np.random.Generator) -> Pixels:
    """The canvas left white from one `edge` (left, right, top, bottom) to a ragged line `depth` (0 to 1) away."""
    side = pixels.shape[0]
    ragged = np.repeat(rng.uniform(-0.09, 0.09, side // 4), 4) + depth
    rows, columns = _grid(side)
    white = {
        "left": columns < ragged[:, None],
        "right": columns > 1 - ragged[:, None],
        "top": rows < ragged[None, :],
        "bottom": rows > 1 - ragged[None, :],
    }[edge]
    return np.where(white[..., None], np.float32(253), pixels)


def mosaic(pixels: Pixels, rng: np.random.Generator, block: int = 4) -> Pixels:
    """Coarse squares, some of them broken off and put elsewhere."""
    side = pixels.shape[0]
    count = side // block
    tiles = pixels.reshape(count, block, count, block, 3).mean((1, 3))
    pieces = count // 2
    moved = tiles.reshape(pieces, 2, pieces, 2, 3).transpose(0, 2, 1, 3, 4).reshape(pieces * pieces, 2, 2, 3).copy()
    broken = rng.choice(len(moved), len(moved) // 5, replace=False)
    moved[broken] = moved[rng.permutation(broken)] * rng.choice((0.55, 1.35), (len(broken), 1, 1, 1))
    tiles = moved.reshape(pieces, pieces, 2, 2, 3).transpose(0, 2, 1, 3, 4).reshape(count, count, 3)
    return np.asarray(tiles.repeat(block, 0).repeat(block, 1), dtype=np.float32)


def blur(pixels: Pixels, radius: float) -> Pixels:
    """Gaussian blur, `radius` in pixels."""
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32)


def grain(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Film grain of two pixels' size; `strength` is its standard deviation, 0 to 255."""
    side = pixels.shape[0]
    speckle = rng.normal(0, strength, (side // 2, side // 2, 1)).astype(np.float32)
    return pixels + speckle.repeat(2, 0).repeat(2, 1)


def darken(pixels: Pixels, share: float) -> Pixels:
    """All light reduced to `share` of itself (0 to 1)."""
    return pixels * np.float32(share)
