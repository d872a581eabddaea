"""Rated images as a judge learns from them: a picture, and a class for each dimension that people rated.

A row holds `image` (a path beside the table, the file's bytes, or `{"bytes": ..., "path": ...}` as hub data sets hold
pictures) and its ratings: a column per dimension, or all of them in one column `annotation`, which is how
zai-org/VisionRewardDB-Image lays them out. Imports no torch."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from aes_audit.errors import UnknownName, UsageError
from aes_audit.evidence import files
from aes_audit.judges.guideline import Guideline, Level, rating_class
from aes_audit.judges.training.sources import DataSource
from aes_audit.judges.training.tables import read_rows
from aes_audit.prompts.dimensions import DIMENSIONS, LEVELS

__all__ = ["VALUES", "Annotations", "RatedImage", "read_annotations"]

IMAGE, ANNOTATION = "image", "annotation"
"""Columns besides those that are named as dimensions."""

VALUES = ("levels", "classes")
"""What the numbers are: levels of the guideline, whose sign gives the class, or the classes 0, 1, 2 themselves."""

_Scales = Mapping[str, tuple[Level, ...]]

_BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True, slots=True)
class RatedImage:
    """A picture and what people said about it."""

    sha256: str
    """Of the picture's file: equal pictures are one picture, wherever they lie."""
    file: Path
    """Where the picture is."""
    classes: Mapping[str, int]
    """Dimension -> 0, 1 or 2; a dimension that was not rated is not there."""

    def open(self) -> Image.Image:
        """The picture, upright. Raises UsageError where its file is broken or gone."""
        try:
            with Image.open(self.file) as opened:
                return ImageOps.exif_transpose(opened).convert("RGB")
        except _BROKEN as error:
            raise UsageError(f"the picture {str(self.file)!r} cannot be read: {_line(error)}.") from error


@dataclass(frozen=True, slots=True)
class Annotations:
    """All rated images of a table, in its order, repeats included."""

    images: tuple[RatedImage, ...]
    """At least one; each has a class for one of `dimensions` at least."""
    dimensions: tuple[str, ...]
    """What is learnt, in the order of the guideline's keys."""
    unrated: int
    """Rows without a rating for any of them, which are left out."""


def read_annotations(
    source: DataSource, guideline: Guideline, *, pictures: Path, values: str = "levels", asked: Collection[str] = ()
) -> Annotations:
    """Read every row; `pictures` is a folder that receives pictures which the table holds itself, by their digest.

    `asked` are the dimensions to keep: by default those of the 11 that prompts use which the table has. Raises
    UsageError, naming the row, for a picture or rating that is not one, UnknownName for a dimension that is not there.
    """
    if strange := [name for name in asked if name not in guideline.levels]:
        raise UnknownName("dimension in the guideline", strange[0], guideline.levels)
    # What is not learnt need not be right.
    wanted = tuple(name for name in guideline.levels if name in (asked or DIMENSIONS))
    found = [
        _rated(cells, where, file.parent, pictures, {name: guideline.levels[name] for name in wanted}, values)
        for file in source.files
        for where, cells in read_rows(file, {IMAGE, ANNOTATION, *wanted})
    ]
    dimensions = tuple(name for name in wanted if any(name in image.classes for image in found))
    if absent := [name for name in asked if name not in dimensions]:
        raise UsageError(f"{source.name} holds no rating of {absent[0]!r}: leave it out of --dimensions.")
    if not dimensions:
        raise UsageError(
            f"{source.name} holds no rating of a dimension of the guideline: name columns as {', '.join(wanted[:3])}, "
            f"... beside {IMAGE}, or put them into {ANNOTATION}."
        )
    rated = tuple(image for image in found if image.classes)
    return Annotations(rated, dimensions, len(found) - len(rated))


def _rated(
    cells: Mapping[str, Any], where: str, folder: Path, pictures: Path, scales: _Scales, values: str
) -> RatedImage:
    sha256, file = _picture(cells.get(IMAGE), where, folder, pictures)
    return RatedImage(sha256, file, dict(_classes(cells, where, scales, values)))


def _picture(cell: object, where: str, folder: Path, pictures: Path) -> tuple[str, Path]:
    """Digest and place of a row's picture."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, str):
        file = folder / cell
        try:
            content = file.read_bytes()
        except (OSError, ValueError) as error:
            raise UsageError(f"{where}: the picture {cell!r} cannot be read in {str(folder)!r}.") from error
    elif isinstance(cell, bytes):
        content, file = cell, None
    else:
        raise UsageError(f"{where} has no picture: {IMAGE!r} must be a path or a picture's bytes, found {cell!r:.60}.")
    digest = hashlib.sha256(content).hexdigest()
    _refuse_other_files(content, where)
    return digest, file or _kept(pictures / digest[:2] / digest, content)


def _refuse_other_files(content: bytes, where: str) -> None:
    try:
        with Image.open(io.BytesIO(content)) as opened:
            opened.verify()
    except _BROKEN as error:
        raise UsageError(f"{where}: its picture is no image that Pillow reads: {_line(error)}.") from error


def _kept(file: Path, content: bytes) -> Path:
    if files.size_of(file) != len(content):
        files.write(file, content)
    return file


def _classes(cells: Mapping[str, Any], where: str, scales: _Scales, values: str) -> Iterator[tuple[str, int]]:
    ratings = cells.get(ANNOTATION)
    if ratings is None:
        ratings = cells
    elif not isinstance(ratings, Mapping):
        raise UsageError(f"{where}: {ANNOTATION!r} must hold a rating per dimension, found {ratings!r:.60}.")
    for name, levels in scales.items():
        number = _whole(ratings.get(name), f"{where}: {name!r}")
        if number is None:
            continue
        known = [level.rating for level in levels] if values == "levels" else LEVELS
        if not min(known) <= number <= max(known):
            hint = "add --values classes if these are classes" if values == "levels" else "classes are 0, 1 and 2"
            raise UsageError(f"{where}: {name!r} is {number}, not from {min(known)} to {max(known)}; {hint}.")
        yield name, rating_class(number) if values == "levels" else number


def _whole(cell: object, what: str) -> int | None:
    """The number in a cell; None where nobody rated."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    try:
        number = float(cell) if isinstance(cell, str | int | float) and not isinstance(cell, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not number.is_integer():
        raise UsageError(f"{what} is {cell!r:.60}, not a whole number.")
    return int(number)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
