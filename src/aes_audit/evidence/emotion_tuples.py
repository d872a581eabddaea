"""Which tuples a reward is shown: one scene in four emotions, of a folder, or the drawn faces.

Reading a set touches its table and no picture.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from aes_audit.errors import UsageError
from aes_audit.evidence.art_pictures import DrawnPicture, FilePicture, Picture
from aes_audit.evidence.artworks import is_inside, table_in, table_rows
from aes_audit.evidence.keys import JSON, digest
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.options import BUILT_IN_FACES
from aes_audit.prompts.emotion import PLACEHOLDER

__all__ = ["COLUMNS", "EmotionTuple", "TupleSet", "filled", "read_tuples"]

COLUMNS = ("item", "caption", *EMOTIONS)
"""Columns of the folder's table: a name, a caption with PLACEHOLDER once, and the path of each picture."""

DRAWN = "drawn"
"""The model, in the evidence, of faces that this project's code draws."""

_ARTICLE = re.compile(rf"\b([Aa])n? {re.escape(PLACEHOLDER)}")


@dataclass(frozen=True, slots=True)
class EmotionTuple:
    """One scene in four emotions."""

    id: str
    """The `item` of the evidence table."""
    caption: str
    """What every picture shows, with PLACEHOLDER for the emotion."""
    pictures: Mapping[str, Picture]
    """One per emotion, not decoded yet."""
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further columns of the rows about a picture, by emotion."""


@dataclass(frozen=True, slots=True)
class TupleSet:
    """Tuples to score."""

    name: str
    """The folder's name, or BUILT_IN_FACES."""
    model: str
    """Their name in the evidence: the folder's, or `drawn`."""
    digest: str
    """Of everything but the pixels."""
    tuples: tuple[EmotionTuple, ...]
    """In the order of the table."""
    drawn: bool = False
    """Whether code drew them."""


def filled(caption: str, emotion: str) -> str:
    """A caption with the emotion in its place; an article before it becomes the one that fits."""
    article = "n" if emotion[0] in "aeiou" else ""
    return _ARTICLE.sub(rf"\1{article} {PLACEHOLDER}", caption).replace(PLACEHOLDER, emotion)


def read_tuples(named: str, root: Path = Path()) -> TupleSet:
    """The set of a name or folder; raises UsageError naming the file and the row that is wrong."""
    if named == BUILT_IN_FACES:
        return _drawn()
    folder = root / Path(named).expanduser()
    if not folder.is_dir():
        raise UsageError(f"--emotion={named}: no such folder; its table has the columns {', '.join(COLUMNS)}.")
    table = table_in(folder)
    found: dict[str, EmotionTuple] = {}
    for number, row in enumerate(table_rows(table, COLUMNS), 1):
        one = _tuple(f"{table}: row {number}", folder, row)
        if one.id in found:
            raise UsageError(f"{table}: row {number}: {one.id} has a row already.")
        found[one.id] = one
    if not found:
        raise UsageError(f"{table}: has no rows.")
    identity = hashlib.sha256(table.read_bytes()).hexdigest()
    name = folder.resolve().name
    return TupleSet(name, name, digest({"emotion": identity}), tuple(found.values()))


def _tuple(where: str, folder: Path, row: Mapping[str, Any]) -> EmotionTuple:
    cells = {name: _cell(where, name, row.get(name)) for name in COLUMNS}
    if (count := cells["caption"].count(PLACEHOLDER)) != 1:
        raise UsageError(f"{where}: the caption must name the emotion once, as {PLACEHOLDER}; found {count} times.")
    if outside := next((cells[emotion] for emotion in EMOTIONS if not is_inside(cells[emotion])), None):
        raise UsageError(f"{where}: {outside!r} is not a path inside the folder.")
    pictures = {emotion: FilePicture(folder / cells[emotion]) for emotion in EMOTIONS}
    return EmotionTuple(cells["item"], cells["caption"], pictures)


def _cell(where: str, name: str, cell: object) -> str:
    text = " ".join(cell.split()) if isinstance(cell, str) else ""
    if not text:
        raise UsageError(f"{where}: {name} = {cell!r} is not text.")
    return text


def _drawn() -> TupleSet:
    from aes_audit.controls.expressions import DRAWING, SEED, FaceTuple, face_tuples

    def picture(face: FaceTuple, emotion: str) -> Picture:
        identity: dict[str, JSON] = {
            "set": BUILT_IN_FACES,
            "drawing": DRAWING,
            "seed": SEED,
            "id": face.id,
            "emotion": emotion,
        }
        return DrawnPicture(identity, 64 * 64, partial(face.draw, emotion))

    faces = face_tuples()
    tuples = tuple(
        EmotionTuple(face.id, face.caption, {emotion: picture(face, emotion) for emotion in EMOTIONS}) for face in faces
    )
    captions = [[face.id, face.caption] for face in faces]
    identity = digest({"set": BUILT_IN_FACES, "drawing": DRAWING, "seed": SEED, "captions": captions})
    return TupleSet(BUILT_IN_FACES, DRAWN, identity, tuples, drawn=True)
