"""Pictures out of answers: bytes from elsewhere, opened with care."""

from __future__ import annotations

import base64
import binascii
import io

from PIL import Image, UnidentifiedImageError

__all__ = ["LARGEST_SIDE", "BrokenImage", "decode_image"]

LARGEST_SIDE = 8192
"""Pixels per side beyond which a picture is refused before it is unpacked."""

_FORMATS = ("PNG", "JPEG", "WEBP")


class BrokenImage(Exception):
    """The bytes hold no picture that could be opened; the message says why."""


def decode_image(encoded: str, mime: str) -> Image.Image:
    """The RGB picture in base64 text that claims to be of type `mime` ("" for no claim).

    The bytes decide about the format (PNG, JPEG or WebP; of an animation the first frame). Transparent parts become
    white, as on a page. Raises BrokenImage.
    """
    if mime and not mime.startswith("image/"):
        raise BrokenImage(f"it is of type {mime[:60]!r}")
    try:
        content = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BrokenImage("its base64 text is broken or cut off") from error
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            if max(picture.size) > LARGEST_SIDE:
                raise BrokenImage(f"it has {picture.width} x {picture.height} pixels")
            picture.load()
            return _on_white(picture)
    except UnidentifiedImageError as error:
        raise BrokenImage(f"its {len(content)} bytes are no PNG, JPEG or WebP") from error
    # Pillow's decoders raise what comes up; all of it means that these bytes cannot be opened.
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError) as error:
        raise BrokenImage("it is cut off or damaged") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BrokenImage("it would unpack to far more pixels than any image has") from error


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
