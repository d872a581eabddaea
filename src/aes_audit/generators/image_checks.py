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
        levels = _levels(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return MissingImage(f"the image cannot be decoded: {error}", "failed")
    low, high = (levels > 0).argmax(axis=1), 255 - (levels > 0)[:, ::-1].argmax(axis=1)
    if (high - low).max() > CODEC_NOISE:
        return None
    if high.max() <= CODEC_NOISE:
        return MissingImage("the frame is black", "black")
    colour = ", ".join(map(str, _median(levels)))
    return MissingImage(f"the frame is constant (every pixel is {colour})", "constant")


def flags(image: Image.Image) -> tuple[str, ...]:
    """What should be counted and shown about an image that is data: `near_blank`, or nothing.

    Near-blank: at least NEAR_SHARE of the pixels lie within NEAR_LEVELS of the median colour in every channel.
    """
    rgb = image.convert("RGB")
    levels, needed = _levels(rgb), NEAR_SHARE * rgb.width * rgb.height
    near = np.abs(np.arange(256) - _median(levels)[:, np.newaxis]) <= NEAR_LEVELS
    # Nearly every image is told by its histogram: a channel that varies by itself settles it.
    if (levels * near).sum(axis=1).min() < needed:
        return ()
    pixels = np.asarray(rgb)
    alike = near[0][pixels[..., 0]] & near[1][pixels[..., 1]] & near[2][pixels[..., 2]]
    return ("near_blank",) if alike.sum() >= needed else ()


def expected_size(identity: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height that a generator of this identity was asked for; None unless its call names both."""
    call = identity.get("call")
    if not isinstance(call, Mapping):
        return None
    width, height = call.get("width"), call.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _levels(rgb: Image.Image) -> NDArray[np.int64]:
    """Number of pixels per grey level, shape (3, 256)."""
    return np.array(rgb.histogram(), dtype=np.int64).reshape(3, 256)


def _median(levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lower median of each channel."""
    return np.asarray((2 * levels.cumsum(axis=1) >= levels.sum(axis=1, keepdims=True)).argmax(axis=1))
