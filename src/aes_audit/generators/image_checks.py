"""Is there a picture? Looked at once, before anything is scored; docs/images.md gives the reasons for every rule.

An image is missing when there is nothing to score: no finite number, no variation, not the size that was asked for, or
a filter's blank. It is data, however dark, flat or empty, as soon as it varies: that is what wide prompts ask for.
Source: PROTOCOL R5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from aes_audit.generators.protocol import MissingImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CODEC_NOISE", "check", "expected_size", "flags", "picture"]

CODEC_NOISE = 2
"""Grey levels that a flat frame may span in a channel: rounding of colour conversion and codecs, and nothing drawn."""

NEAR_LEVELS = 8
"""Grey levels around an image's median colour that count as that colour."""
NEAR_SHARE = 0.99
"""Share of pixels of one colour from which an image is flagged near_blank; never a reason to drop it."""


def picture(frame: NDArray[np.float32], *, unsafe: bool = False) -> Image.Image | MissingImage:
    """A frame of a pipeline, height x width x 3 in [0, 1], as an RGB image, or why it is none.

    `unsafe`: the pipeline's safety checker reported the frame, whatever it put in its place.
    """
    if unsafe:
        return MissingImage("the pipeline's safety checker withheld the image", "safety")
    if not np.isfinite(frame).all():
        return MissingImage("the pipeline returned NaN or infinite pixels", "nonfinite")
    image = Image.fromarray(np.rint(frame * 255).clip(0, 255).astype(np.uint8))
    return check(image) or image


def check(image: Image.Image, expected_size: tuple[int, int] | None = None) -> MissingImage | None:
    """Why an image holds no picture; None when it does. `expected_size` is (width, height), None where unknown.

    Reads every pixel, so that a file that is cut off is found here: an image that cannot be decoded has `failed`.
    """
    if expected_size is not None and image.size != expected_size:
        asked, got = ("x".join(map(str, size)) for size in (expected_size, image.size))
        return MissingImage(f"the image is {got} pixels, asked for were {asked}", "wrong_size")
    try:
        pixels = _pixels(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return MissingImage(f"the image cannot be decoded: {error}", "failed")
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    if np.subtract(high, low, dtype=np.int16).max() > CODEC_NOISE:
        return None
    if high.max() <= CODEC_NOISE:
        return MissingImage("the frame is black", "black")
    colour = ", ".join(map(str, np.median(pixels, axis=0).astype(int)))
    return MissingImage(f"the frame is constant (every pixel is {colour})", "constant")


def flags(image: Image.Image) -> tuple[str, ...]:
    """What should be counted and shown about an image that is data: `near_blank`, or nothing.

    Near-blank: at least NEAR_SHARE of the pixels lie within NEAR_LEVELS of the median colour in every channel.
    """
    pixels = _pixels(image).astype(np.int16)
    near = (np.abs(pixels - np.median(pixels, axis=0).astype(np.int16)) <= NEAR_LEVELS).all(axis=1)
    return ("near_blank",) if near.mean() >= NEAR_SHARE else ()


def expected_size(identity: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height that a generator of this identity was asked for; None unless its call names both."""
    call = identity.get("call")
    if not isinstance(call, Mapping):
        return None
    width, height = call.get("width"), call.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels x 3."""
    return np.asarray(image.convert("RGB")).reshape(-1, 3)
