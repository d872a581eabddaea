"""Pictures of artworks: files as museums and people keep them, and drawings made on the spot.

A file is read as the picture that a person sees: turned as its camera says, in sRGB, on white where it is transparent.
What cannot be read so is missing, with the reason, and never a score.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aes_audit.errors import AesAuditError
from aes_audit.evidence.keys import JSON, digest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ENDINGS", "MAX_PIXELS", "DrawnPicture", "FilePicture", "Picture", "StoredPicture", "Unopened", "Unreadable"]

MAX_PIXELS = 80_000_000
"""Larger pictures are missing: decoded they fill memory, and every reward makes them small anyway."""

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp")
"""Which files are taken for images where no table names them; what they are, their content says."""

READING = 1
"""Raised when files are read differently, so that no older score is taken for one of the new reading."""

_STILL = frozenset({"MPO"})
"""Formats in which a second frame is a second view of one photograph and no animation."""


class Unreadable(AesAuditError):
    """A picture that is missing, with the reason in words."""


class Unopened(Unreadable):
    """A picture whose bytes could not be had this time, which says nothing about the next."""


class Picture(Protocol):
    """A picture that is not decoded yet."""

    def key(self) -> str:
        """Digest of everything that determines its pixels, 64 hex digits; raises Unreadable."""
        ...

    def size(self) -> int:
        """Number of pixels, without decoding them; raises Unreadable."""
        ...

    def open(self) -> Image:
        """The picture in RGB, 8 bits; raises Unreadable."""
        ...


@dataclass(frozen=True, slots=True)
class DrawnPicture:
    """A picture that is drawn when it is asked for."""

    identity: Mapping[str, JSON]
    """Determines its pixels."""
    pixels: int
    """How many there are."""
    draw: Callable[[], Image]
    """Draws it, in RGB."""

    def key(self) -> str:
        """Digest of its identity."""
        return digest({"drawn": self.identity})

    def size(self) -> int:
        """How many pixels there are."""
        return self.pixels

    def open(self) -> Image:
        """The drawing."""
        return self.draw()


@dataclass(frozen=True, slots=True)
class FilePicture:
    """An image file; its content and not its name says in which format it is."""

    path: Path
    """Where it is."""

    def key(self) -> str:
        """Digest of its bytes and of how they are read."""
        try:
            with self.path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _unopened(error) from error
        return _content_key(content)

    def size(self) -> int:
        """Width times height, from its header."""
        return _size(self.path)

    def open(self) -> Image:
        """Decoded once, as a person sees it."""
        return _decoded(self.path)


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """An image file inside another file; the same bytes have the same key as in a file of their own."""

    read: Callable[[], bytes]
    """Its bytes; raises Unreadable."""

    def key(self) -> str:
        """Digest of its bytes and of how they are read."""
        return _content_key(hashlib.sha256(self.read()).hexdigest())

    def size(self) -> int:
        """Width times height, from its header."""
        return _size(io.BytesIO(self.read()))

    def open(self) -> Image:
        """Decoded once, as a person sees it."""
        return _decoded(io.BytesIO(self.read()))


def _content_key(content: str) -> str:
    return digest({"file": content, "reading": READING})


def _size(file: Path | io.BytesIO) -> int:
    with _opened(file) as image:
        return int(image.width * image.height)


def _decoded(file: Path | io.BytesIO) -> Image:
    with _opened(file) as image:
        if (frames := getattr(image, "n_frames", 1)) > 1 and image.format not in _STILL:
            raise Unreadable(f"{frames} frames: an artwork is one picture; save the one that is meant")
        try:
            image.load()
            return _as_seen(image)
        except MemoryError as error:
            raise Unopened("does not fit into memory") from error
        except Exception as error:  # decoders of broken files raise nearly anything
            if isinstance(error, OSError) and error.errno:
                raise _unopened(error) from error
            raise Unreadable(f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}") from error


def _opened(file: Path | io.BytesIO) -> Image:
    from PIL import Image as Images
    from PIL import UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Its own limit is above ours; what is refused is refused below, in our words.
            warnings.simplefilter("ignore", Images.DecompressionBombWarning)
            image = Images.open(file)
    except UnidentifiedImageError as error:
        raise Unreadable("not an image in a format that Pillow reads") from error
    except Images.DecompressionBombError as error:
        raise Unreadable(f"more than {MAX_PIXELS:,} pixels: scale it down") from error
    except MemoryError as error:
        raise Unopened("does not fit into memory") from error
    except OSError as error:
        raise _unopened(error) from error
    except Exception as error:  # a broken header raises nearly anything
        raise Unreadable(f"cannot be decoded: {error!r}") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise Unreadable(f"{image.width}x{image.height} is more than {MAX_PIXELS:,} pixels: scale it down")
    return image


def _unopened(error: OSError) -> Unreadable:
    """What the system has to say may pass; a decoder's OSError has no number, and is about the bytes."""
    if isinstance(error, FileNotFoundError):
        return Unopened("no such file")
    said = f"cannot be read: {error.strerror or error}"
    return Unopened(said) if error.errno else Unreadable(said)


def _as_seen(image: Image) -> Image:
    from PIL import Image as Images
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode in ("CMYK", "LAB", "YCbCr"):
        turned = _in_srgb(turned)
    if turned.mode.startswith("I;16") or turned.mode in ("I", "F"):
        turned = _eight_bits(turned)
    if turned.has_transparency_data:
        paper = Images.new("RGBA", turned.size, "white")
        turned = Images.alpha_composite(paper, turned.convert("RGBA"))
    return turned.convert("RGB")


def _in_srgb(image: Image) -> Image:
    """By the profile in the file where it has a usable one; Pillow's plain conversion otherwise."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if not profile:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        found = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    return found if found is not None else image.convert("RGB")


def _eight_bits(image: Image) -> Image:
    import numpy as np
    from PIL import Image as Images

    values = np.asarray(image, dtype=np.float64)
    full = 65535 if values.max() > 255 else 255 if values.max() > 1 else 1
    return Images.fromarray(np.rint(np.clip(values / full, 0, 1) * 255).astype(np.uint8))
