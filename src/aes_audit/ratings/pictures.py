"""The pictures that people see: found in the store or in a folder, and rid of everything but their pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageOps

from aes_audit.errors import UsageError
from aes_audit.ratings.units import Unit

__all__ = ["FORMATS", "Find", "folder_pictures", "shown_png", "store_pictures"]

Find = Callable[[Unit, str], bytes]
"""The file of a unit's picture by its label (`original`, `wide`, `work`); raises UsageError."""

FORMATS = (".png", ".jpg", ".jpeg", ".webp")
"""Endings that are looked for in a folder, in this order."""


def store_pictures(address: str | Path) -> Find:
    """Pictures by the digest that the evidence gives, from --audit-store; each is verified."""
    from aes_audit.evidence.store import CorruptObject, ImageRecord, Store

    store = Store(address, looked_at=True)
    if "blobs" not in store.storage.folders(""):
        raise UsageError(f"{str(address)!r} is no store with images: name the run's --audit-store, or give --images.")

    def find(unit: Unit, image: str) -> bytes:
        sha256 = unit.images[image]
        if sha256 is None:
            raise UsageError("the evidence has no column image_sha256, so the store cannot be asked: give --images.")
        try:
            return store.read_image(ImageRecord(sha256, sha256, None, {}))
        except (CorruptObject, ValueError) as error:
            raise UsageError(f"{_named(unit, image)} is not in the store {str(address)!r}, or not whole.") from error

    return find


def folder_pictures(root: Path) -> Find:
    """Pictures at MODEL/ITEM/IMAGE or ITEM/IMAGE below `root`, with one of FORMATS as ending."""
    if not root.is_dir():
        raise UsageError(f"--images {str(root)!r} is no folder.")
    whole = root.resolve()

    def find(unit: Unit, image: str) -> bytes:
        for place in (f"{unit.model}/{unit.source}/{image}", f"{unit.source}/{image}"):
            for ending in FORMATS:
                path = (whole / f"{place}{ending}").resolve()
                # Names come out of a table: they must not lead out of the folder.
                if path.is_relative_to(whole) and path.is_file():
                    return path.read_bytes()
        wanted = f"{unit.source}/{image}{FORMATS[0]}"
        raise UsageError(f"{_named(unit, image)} is not in {str(root)!r}: it would be {wanted} there.")

    return find


def shown_png(content: bytes, side: int, named: str) -> bytes:
    """The picture as PNG of at most `side` pixels on its longer side: pixels alone, no metadata that could tell.

    Raises UsageError, naming the picture as `named`, when it cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(content)) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except Exception as error:  # decoders of broken files raise nearly anything
        raise UsageError(f"{named} cannot be decoded: {' '.join(str(error).split())}.") from error
    upright.thumbnail((side, side), Image.Resampling.LANCZOS)
    bare = Image.new("RGB", upright.size)
    bare.paste(upright)
    png = io.BytesIO()
    bare.save(png, format="PNG", optimize=True)
    return png.getvalue()


def _named(unit: Unit, image: str) -> str:
    return f"picture {image!r} of item {unit.source!r} of {unit.model}"
