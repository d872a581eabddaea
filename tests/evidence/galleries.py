"""Folders of small works, and a reward that costs nothing and counts what it is asked."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aes_audit.errors import InfrastructureError

__all__ = ["Counting", "gallery"]

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass
class Counting:
    """A cheap reward that is resolved and loaded at once: brightness, and a little of the text."""

    name: str
    seen: list[str] = field(default_factory=list)
    loads: int = 0
    breaks_after: int | None = None

    @property
    def revision(self) -> str:
        """Of no weights."""
        return "none"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Its name is all there is."""
        return {"counting": self.name}

    def load(self) -> Counting:
        """Nothing to load."""
        self.loads += 1
        return self

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """Mean brightness plus a thousandth of the length of the text."""
        if self.breaks_after is not None and len(self.seen) >= self.breaks_after:
            raise InfrastructureError("the machine went away")
        self.seen += texts
        return [float(np.asarray(image).mean()) + len(text) / 1000 for image, text in zip(images, texts, strict=True)]


def gallery(folder: Path, count: int) -> Path:
    """A folder of so many small works with their table; the caption of work 7 is `picture number 7`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with (folder / "works.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("image", "caption", "artist", "style", "year"))
        for number in range(count):
            pixels: Pixels = rng.integers(0, 255, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:05d}.png")
            artist, style = f"artist {number % 5}", ("Cubism", "Fauvism")[number % 2]
            table.writerow((f"{number:05d}.png", f"picture number {number}", artist, style, 1900))
    return folder
