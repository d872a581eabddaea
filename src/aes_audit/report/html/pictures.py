"""The pictures of the gallery: found by their digest, made small enough that a report can be sent around."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from aes_audit.report.html.material import FindPicture

__all__ = ["BUDGET", "SIZES", "Size", "webp", "write_pictures"]

BUDGET = 13_000_000
"""Bytes that the pictures of 300 pairs may take; of more pairs, proportionally more."""

PAIRS = 300


@dataclass(frozen=True, slots=True)
class Size:
    """How large pictures are shown."""

    side: int | None
    """Longest side in pixels; None keeps the stored file as it is."""
    quality: int = 0
    """Of WebP, 0 to 100."""


SIZES = (
    Size(None),
    Size(1024, 80),
    Size(768, 75),
    Size(640, 75),
    Size(512, 70),
    Size(448, 66),
    Size(384, 60),
    Size(320, 55),
    Size(256, 50),
    Size(256, 30),
)
"""From the stored files down; the first that fits the budget is taken for all pictures of a report."""

THUMBNAIL = Size(224, 70)
_ONE_FILE = 448
"""Up to this side a picture is its own thumbnail: a second file would cost more than it saves."""

_CAUTION = 0.95
"""Share of the budget that a sample may take: the others may be larger."""
_TRIED = 16
"""Pictures that are encoded to find out what all of them would take."""


def write_pictures(
    digests: Sequence[str], pairs: int, find: FindPicture, folder: Path
) -> tuple[Mapping[str, Mapping[str, Any]], Size]:
    """Write every picture that is found; digest -> `file`, `thumb`, `width`, `height` of the stored image.

    Also tells the size that was taken. A picture that is not there, or cannot be read, is left out. Raises OSError.
    """
    folder.mkdir(exist_ok=True)
    wanted = sorted(set(digests))
    size = _fitting(wanted, pairs, find)
    # Decoding and encoding happen outside of Python's lock.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = list(pool.map(partial(_write, find=find, folder=folder, size=size), wanted))
    return {digest: about for digest, about in zip(wanted, found, strict=True) if about}, size


def _fitting(digests: Sequence[str], pairs: int, find: FindPicture) -> Size:
    """The largest size at which a sample of the pictures, thumbnails included, keeps to the budget."""
    budget = BUDGET * max(pairs, PAIRS) / PAIRS
    found = [content for digest in digests[:: max(1, len(digests) // _TRIED)] if (content := find(digest))]
    tried = [(content, picture) for content in found if (picture := _decoded(content))]
    for size in SIZES:
        files = [_shown(*each, size) for each in tried]
        files += [webp(picture, THUMBNAIL) for _, picture in tried if _needs_thumbnail(picture, size)]
        taken = sum(map(len, files))
        if taken * len(digests) <= budget * len(tried) * _CAUTION:
            return size
    return SIZES[-1]


def _decoded(content: bytes) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(content)) as opened:
            return opened.convert("RGB")
    except Exception:  # decoders of broken files raise nearly anything
        return None


def _needs_thumbnail(picture: Image.Image, size: Size) -> bool:
    return min(max(picture.size), size.side or max(picture.size)) > _ONE_FILE


def _shown(content: bytes, picture: Image.Image, size: Size) -> bytes:
    return content if size.side is None else webp(picture, size)


def _write(digest: str, *, find: FindPicture, folder: Path, size: Size) -> Mapping[str, Any] | None:
    content = find(digest)
    if content is None:
        return None
    picture = _decoded(content)
    if picture is None:
        return None
    name = f"{digest}.{'png' if size.side is None else 'webp'}"
    (folder / name).write_bytes(_shown(content, picture, size))
    about = {"file": f"{folder.name}/{name}", "width": picture.width, "height": picture.height}
    if not _needs_thumbnail(picture, size):
        return {**about, "thumb": about["file"]}
    small = f"{digest}.small.webp"
    (folder / small).write_bytes(webp(picture, THUMBNAIL))
    return {**about, "thumb": f"{folder.name}/{small}"}


def webp(picture: Image.Image, size: Size) -> bytes:
    """The picture as WebP, no side longer than that of `size`."""
    assert size.side is not None
    small = picture.copy()
    small.thumbnail((size.side, size.side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    content = io.BytesIO()
    small.save(content, format="WEBP", quality=size.quality, method=4)
    return content.getvalue()
