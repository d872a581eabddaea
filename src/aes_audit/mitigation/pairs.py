"""The data of a training: a folder of pictures with a table that says which prompt each one follows.

The table is the folder's one `.jsonl` or `.csv` file: `image` (a file in the folder), `prompt`, and if wanted `weight`
(how often the pair is drawn, relative to the others; 1 where it is not said). Imports no torch."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aes_audit.command.pairs import read_pairs
from aes_audit.errors import UsageError

__all__ = ["PairFolder", "TrainingPair", "read_pair_folder"]

_COLUMNS = ("image", "prompt")


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """A picture and the prompt that it follows."""

    image: Path
    """The picture's file."""
    prompt: str
    """What it shows."""
    weight: float = 1.0
    """How often it is drawn, relative to the others."""


@dataclass(frozen=True)
class PairFolder:
    """All pairs of a folder, in the order of its table."""

    pairs: tuple[TrainingPair, ...]
    """At least one."""

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """The distinct prompts, in the order in which they first occur."""
        return tuple(dict.fromkeys(pair.prompt for pair in self.pairs))

    @cached_property
    def images(self) -> tuple[Path, ...]:
        """The distinct pictures, in the order in which they first occur."""
        return tuple(dict.fromkeys(pair.image for pair in self.pairs))

    @cached_property
    def digest(self) -> str:
        """`sha256:` over the pictures' contents, prompts and weights, in order: a copy elsewhere is the same data."""
        contents = {image: hashlib.sha256(image.read_bytes()).hexdigest() for image in self.images}
        total = hashlib.sha256()
        for pair in self.pairs:
            total.update(json.dumps([contents[pair.image], pair.prompt, pair.weight]).encode() + b"\n")
        return f"sha256:{total.hexdigest()}"


def read_pair_folder(folder: Path) -> PairFolder:
    """Read a folder's table; raises UsageError in one sentence for anything that is not as described above."""
    table = _table(folder)
    rows = _csv_rows(table) if table.suffix == ".csv" else _jsonl_rows(table)
    pairs = tuple(_pair(folder, row, where) for where, row in rows)
    if not pairs:
        raise UsageError(f"{str(table)!r} holds no pairs: add a line per picture.")
    return PairFolder(pairs)


def _table(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"data folder {str(folder)!r} does not exist: check the path.")
    tables = sorted(file for file in folder.iterdir() if file.suffix in (".jsonl", ".csv"))
    if len(tables) != 1:
        found = ", ".join(file.name for file in tables) or "none"
        raise UsageError(f"data folder {str(folder)!r} must hold one table, pairs.jsonl or pairs.csv; found {found}.")
    return tables[0]


def _csv_rows(table: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    read = read_pairs(table)
    for number, cells in enumerate(read.rows, start=1):
        row: dict[str, Any] = dict(zip(read.columns, cells, strict=True))
        if not row.get("weight", "").strip():
            row.pop("weight", None)
        yield f"{str(table)!r}, row {number}", row


def _jsonl_rows(table: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        lines = table.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(table)!r} cannot be read as UTF-8: {error}.") from error
    for number, line in enumerate(lines, start=1):
        where = f"{str(table)!r}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{where} is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise UsageError(f'{where} is not an object: write {{"image": ..., "prompt": ...}}.')
        yield where, row


def _pair(folder: Path, row: Mapping[str, Any], where: str) -> TrainingPair:
    for name in _COLUMNS:
        if not isinstance(row.get(name), str):
            found = ", ".join(repr(key) for key in row) or "nothing"
            wrong = f"{row[name]!r} is no text" if name in row else f"found {found}"
            raise UsageError(f"{where} needs a text {name!r}: {wrong}.")
    image = folder / row["image"]
    if not image.is_file():
        raise UsageError(f"{where}: the picture {row['image']!r} is not in {str(folder)!r}.")
    return TrainingPair(image, row["prompt"], _weight(row.get("weight", 1.0), where))


def _weight(value: object, where: str) -> float:
    try:
        weight = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise UsageError(f"{where}: weight {value!r} is not a number above 0.")
    return weight
