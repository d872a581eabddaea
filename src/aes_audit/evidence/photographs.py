"""Photographs that break the rules on purpose, each beside a clean counterpart, under the words that ask for the break.

Which of the two a reward prefers is measured as for generated pairs: the clean picture is I_o, the photograph I_a, and
the caption p_a. Source: PROTOCOL section 7, the extension of real art.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aes_audit.errors import UsageError
from aes_audit.evidence.art_pictures import FilePicture
from aes_audit.evidence.artworks import Artwork, is_inside, table_in, table_rows
from aes_audit.evidence.batches import WHOLE, Part
from aes_audit.evidence.bench import Bench, Shown
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.scorers import BATCH
from aes_audit.evidence.showing import show
from aes_audit.evidence.store import Store
from aes_audit.evidence.table import Evidence
from aes_audit.rewards.protocol import ResolvedReward

__all__ = ["COLUMNS", "PHOTOGRAPHS", "PhotographSet", "collect_photographs", "read_photographs", "showings"]

PHOTOGRAPHS = "photographs"
"""The model of these pairs in the evidence."""

COLUMNS = ("wide_image", "clean_image", "caption")
"""Columns of the folder's table."""


@dataclass(frozen=True, slots=True)
class PhotographSet:
    """Pairs of a photograph and its clean counterpart."""

    name: str
    """The folder's name."""
    digest: str
    """Of the table."""
    pairs: tuple[tuple[Artwork, Artwork], ...]
    """Clean picture and photograph, both under the wide caption and with the id of the pair."""

    @property
    def items(self) -> frozenset[str]:
        """Ids of the pairs."""
        return frozenset(photograph.id for _, photograph in self.pairs)


def read_photographs(folder: Path) -> PhotographSet:
    """Read the table of a folder, and no picture; raises UsageError naming the row that is wrong."""
    if not folder.is_dir():
        raise UsageError(f"--photographs={folder}: no such folder; its table has the columns {', '.join(COLUMNS)}.")
    table = table_in(folder)
    pairs: dict[str, tuple[Artwork, Artwork]] = {}
    for number, row in enumerate(table_rows(table, COLUMNS), 1):
        wide, clean, caption = (_cell(f"{table}: row {number}", name, row.get(name)) for name in COLUMNS)
        if wide in pairs:
            raise UsageError(f"{table}: row {number}: {wide} has a row already.")
        for path in (wide, clean):
            if not is_inside(path):
                raise UsageError(f"{table}: row {number}: {path!r} is not a path inside the folder.")
        one, other = (Artwork(wide, FilePicture(folder / path), caption) for path in (clean, wide))
        pairs[wide] = (one, other)
    if not pairs:
        raise UsageError(f"{table}: has no rows.")
    return PhotographSet(folder.resolve().name, hashlib.sha256(table.read_bytes()).hexdigest(), tuple(pairs.values()))


def collect_photographs(
    photographs: PhotographSet,
    rewards: Sequence[ResolvedReward],
    store: Store,
    engine: Engine,
    part: Part = WHOLE,
) -> Evidence:
    """`pairs` evidence of the model PHOTOGRAPHS: both pictures under the wide caption, by every reward.

    Touches a reward only for what the store does not hold. Raises InfrastructureError or StoreUnusable.
    """
    bench = Bench.of(photographs.digest, rewards, store)
    return Evidence.from_rows(_rows(photographs, bench, engine, part), source=photographs.name)


def showings(photographs: PhotographSet) -> list[tuple[str, str, Shown]]:
    """Image, item and what is asked about it, of both pictures of every pair."""
    return [
        (image, work.id, Shown(work.picture, {"wide": work.caption}))
        for pair in photographs.pairs
        for image, work in zip(("original", "wide"), pair, strict=True)
    ]


def _rows(photographs: PhotographSet, bench: Bench, engine: Engine, part: Part) -> Iterator[Mapping[str, Any]]:
    plan = part.of(showings(photographs), BATCH)
    title = f"{photographs.name}: photographs"
    for (image, item, shown), known in show(bench, plan, lambda each: each[-1], engine, title=title, unit="image"):
        about = {"model": PHOTOGRAPHS, "set": "pairs", "item": item, "image": image, "prompt": "wide"}
        for name in bench.scorers:
            yield {**about, "scorer": name, **bench.outcome(shown, known, name, "wide")}


def _cell(where: str, name: str, cell: object) -> str:
    text = " ".join(cell.split()) if isinstance(cell, str) else ""
    if not text:
        raise UsageError(f"{where}: {name} = {cell!r} is not text.")
    return text
