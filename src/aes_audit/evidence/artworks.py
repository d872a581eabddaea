"""Which artworks a reward is shown, and under which words: of a folder, of the hub, or the drawn compositions.

Reading a set touches its table and no picture.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from aes_audit.errors import UsageError
from aes_audit.evidence.art_pictures import DrawnPicture, FilePicture, Picture
from aes_audit.evidence.keys import JSON, digest
from aes_audit.options import BUILT_IN_ART, HUB_ART

__all__ = ["COLUMNS", "ArtSet", "Artwork", "is_inside", "read_art", "read_table", "table_in", "table_rows"]

COLUMNS = ("image", "caption", "artist", "style", "year")
"""Columns of the table of a folder; the last three may be empty or absent."""

_TABLES = (".csv", ".jsonl")


@dataclass(frozen=True, slots=True)
class Artwork:
    """One work."""

    id: str
    """Unique in its set."""
    picture: Picture
    """Not decoded yet."""
    caption: str
    """Says what is there, and judges nothing."""
    artist: str | None = None
    """Works of one artist are no independent evidence."""
    style: str | None = None
    """Style, movement or period: whatever the works are to be grouped by."""
    year: str | None = None
    """As the table has it."""


@dataclass(frozen=True, slots=True)
class ArtSet:
    """Works to score."""

    name: str
    """The folder's name, repository and commit, or BUILT_IN_ART."""
    model: str
    """Who made them, as in the evidence: `human`, or `drawn` for drawings by this project's code."""
    digest: str
    """Of everything but the pixels."""
    works: tuple[Artwork, ...]
    """In the order of the table."""
    control: tuple[Artwork, ...]
    """Pictures that are no art (photographs, generated ones) under captions of about the same length; may be empty."""
    provenance: Mapping[str, JSON] = field(default_factory=dict)
    """Where it comes from, as far as name and digest do not say it."""

    @property
    def drawn(self) -> bool:
        """Whether code drew them."""
        return self.model == "drawn"

    @property
    def styles(self) -> Mapping[str, int]:
        """How many works each style has, in the order of its first work."""
        return Counter(work.style for work in self.works if work.style)


def read_art(named: str, root: Path = Path()) -> ArtSet:
    """The set of a name, folder or data set; raises UsageError naming the file and the row that is wrong.

    A data set is fetched into the hub cache; raises ModelNotFound where that cannot be done.
    """
    if named == BUILT_IN_ART:
        return _drawn()
    if named.startswith(HUB_ART):
        return _from_hub(named, root)
    folder = root / Path(named).expanduser()
    if not folder.is_dir():
        raise UsageError(f"--art={named}: no such folder; give one with a table of the columns {', '.join(COLUMNS)}.")
    table = table_in(folder)
    works = tuple(read_table(table))
    beside = folder / "control"
    other = table_in(beside) if beside.is_dir() and any(_tables(beside)) else None
    control = tuple(read_table(other)) if other else ()
    content = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (table, other) if file]
    return ArtSet(folder.resolve().name, "human", digest({"art": content}), works, control)


def _from_hub(named: str, root: Path) -> ArtSet:
    from aes_audit.evidence.art_hub import parse_hub, read_hub

    source = parse_hub(named)
    captions, beside = (_local(named, root, source.options.get(name)) for name in ("captions", "control"))
    rows = {str(row.get("image")): row for row in table_rows(captions)} if captions else {}
    found = read_hub(source)
    works, silent = [], []
    for work in found.works:
        # What was asked for outright wins over what the data set happens to say.
        said = {name: _cell(f"{captions}: {work.id}", name, rows.get(work.id, {}).get(name)) for name in COLUMNS[1:]}
        caption, artist, style, year = (said[name] or work.cells.get(name) for name in COLUMNS[1:])
        if caption is None:
            silent.append(work.id)
        works.append(Artwork(work.id, work.picture, caption or "", artist, style, year))
    if silent:
        raise UsageError(
            f"art {named!r}: {len(silent)} of {len(works)} works have no caption, the first is {silent[0]!r}; "
            "`aes-audit art caption` writes factual ones, which [captions=FILE] adds."
        )
    other = table_in(beside) if beside else None
    control = tuple(read_table(other)) if other else ()
    tables = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (captions, other) if file]
    identity = digest({"art": dict(found.provenance), "tables": tables})
    return ArtSet(found.name, "human", identity, tuple(works), control, found.provenance)


def _local(named: str, root: Path, typed: str | None) -> Path | None:
    path = root / Path(typed).expanduser() if typed else None
    if path is not None and not path.exists():
        raise UsageError(f"art {named!r}: there is no {path}.")
    return path


def table_in(folder: Path) -> Path:
    """The one table of a folder of artworks; raises UsageError where there is none, or several."""
    found = sorted(_tables(folder))
    if len(found) != 1:
        there = f"has {', '.join(path.name for path in found)}" if found else "has none"
        raise UsageError(f"{folder}: needs one table, a .csv or .jsonl file, and {there}.")
    return found[0]


def _tables(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix.lower() in _TABLES and path.is_file())


def read_table(table: Path) -> Iterator[Artwork]:
    """The works of a table, with paths relative to its folder; raises UsageError naming the row that is wrong."""
    seen: set[str] = set()
    for number, row in enumerate(table_rows(table), 1):
        where = f"{table}: row {number}"
        cells = {name: _cell(where, name, row.get(name)) for name in COLUMNS}
        image, caption = cells["image"], cells["caption"]
        if image is None or not is_inside(image):
            raise UsageError(f"{where}: image = {image!r} is not a path inside the folder.")
        if caption is None:
            raise UsageError(f"{where}: no caption for {image}; `aes-audit art caption` writes factual ones.")
        if image in seen:
            raise UsageError(f"{where}: {image} has a row already; a work is scored once.")
        seen.add(image)
        picture = FilePicture(table.parent / image)
        yield Artwork(image, picture, caption, cells["artist"], cells["style"], cells["year"])
    if not seen:
        raise UsageError(f"{table}: has no rows.")


def is_inside(path: str) -> bool:
    """Whether a path of a table stays inside the table's folder, and could be a file's."""
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts and "\0" not in path


def table_rows(table: Path, needed: Sequence[str] = COLUMNS[:2]) -> Iterable[Mapping[str, Any]]:
    """The rows of a table as they are, captions or none; raises UsageError for what is no table."""
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{table} cannot be read as UTF-8 text: {error}.") from error
    if table.suffix.lower() == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        if absent := set(needed).difference(reader.fieldnames or ()):
            raise UsageError(f"{table}: has no column {sorted(absent)[0]!r}; it needs {', '.join(needed)}.")
        try:
            rows = list(reader)
        except csv.Error as error:
            raise UsageError(f"{table} is not CSV after line {reader.line_num}: {error}.") from error
        if torn := next((number for number, row in enumerate(rows, 1) if None in row or None in row.values()), None):
            raise UsageError(f"{table}: row {torn} has not as many cells as the header.")
        return rows
    # Not splitlines: inside a JSON string, U+2028 and its like are ordinary characters.
    return [_parsed(table, number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _parsed(table: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{table}: line {number} is not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise UsageError(f"{table}: line {number} is not an object.")
    return row


def _cell(where: str, name: str, cell: object) -> str | None:
    if name == "year" and type(cell) is int:
        return str(cell)
    if cell is not None and not isinstance(cell, str):
        raise UsageError(f"{where}: {name} = {cell!r} is not text.")
    return " ".join(cell.split()) or None if cell else None


def _drawn() -> ArtSet:
    from aes_audit.controls.compositions import DRAWING, SEED, Composition, compositions, plain_drawings

    side = 64

    def works(drawn: Sequence[Composition]) -> tuple[Artwork, ...]:
        return tuple(
            Artwork(
                each.id,
                DrawnPicture({"set": BUILT_IN_ART, "drawing": DRAWING, "id": each.id}, side * side, each.draw),
                each.caption,
                style=each.manner,
            )
            for each in drawn
        )

    identity = digest({"set": BUILT_IN_ART, "drawing": DRAWING, "seed": SEED})
    return ArtSet(BUILT_IN_ART, "drawn", identity, works(compositions()), works(plain_drawings()))
