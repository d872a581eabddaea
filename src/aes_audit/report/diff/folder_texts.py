"""What a run folder knows of its items besides numbers: the prompts that its page shows, and the pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aes_audit.report.diff.side import Side
from aes_audit.report.run_folder import PAGE

__all__ = ["Texts", "pictures_of", "texts_of"]

_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
_DIGEST = re.compile("[0-9a-f]{64}")
_ENDINGS = ("png", "webp")


class Texts(NamedTuple):
    """What an item asked for."""

    original: str
    """p_o."""
    wide: str
    """p_a."""


def texts_of(*sides: Side) -> Mapping[tuple[str, str], Texts]:
    """The prompts of each (set, item), from the data within the runs' pages; empty where none is known."""
    return {place: texts for side in reversed(sides) for place, texts in _texts(side)}


def pictures_of(side: Side) -> Mapping[tuple[str, str, str, str], Path]:
    """The file of each (set, model, item, image) whose picture lies in the run's folder."""
    folder = side.folder.path / "images"
    frame = None if side.evidence is None else side.evidence.frame
    if frame is None or "image_sha256" not in frame or not folder.is_dir():
        return {}
    there = {path.stem: path for ending in _ENDINGS for path in folder.glob(f"*.{ending}")}
    columns = ["set", "model", "item", "image", "image_sha256"]
    rows = frame.loc[frame["image_sha256"].notna(), columns].drop_duplicates()
    return {
        tuple(map(str, place)): there[digest]  # type: ignore[misc]
        for *place, digest in rows.itertuples(index=False, name=None)
        # A digest of somebody else's table must not name a file elsewhere.
        if _DIGEST.fullmatch(str(digest)) and digest in there
    }


def _texts(side: Side) -> Iterator[tuple[tuple[str, str], Texts]]:
    for item in _items(side.folder.path / PAGE):
        told = [item.get(name) for name in ("set", "item", "original", "wide")]
        if all(isinstance(text, str) for text in told):
            set_, name, original, wide = map(str, told)
            yield (set_, name), Texts(original, wide)


def _items(page: Path) -> list[Mapping[str, Any]]:
    try:
        found = _DATA.search(page.read_text(encoding="utf-8"))
        items = json.loads(found[1])["items"] if found else []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        # The page is a convenience here: without it items are known by name.
        return []
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
