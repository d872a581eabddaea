"""Folders of small pictures in four emotions, and rewards that are functions of a picture and a text."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from aes_audit.evidence.schema import EMOTIONS

__all__ = ["SHADES", "Function", "shown", "tuple_folder"]

SHADES = dict(zip(EMOTIONS, (220, 40, 100, 160), strict=True))
"""The grey that stands for an emotion."""


@dataclass
class Function:
    """A reward that is resolved and loaded at once; it counts how often it was asked."""

    name: str
    value: Callable[[Image.Image, str], float]
    asked: int = 0

    @property
    def revision(self) -> str:
        """Of no weights."""
        return "none"

    @property
    def identity(self) -> Mapping[str, str]:
        """Its name is all there is."""
        return {"function": self.name}

    def load(self) -> Function:
        """Nothing to load."""
        return self

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """Its value for each."""
        self.asked += len(texts)
        return [self.value(image, text) for image, text in zip(images, texts, strict=True)]


def shown(image: Image.Image) -> str:
    """The emotion that a picture of `tuple_folder` shows."""
    mean = np.asarray(image.convert("L"), dtype=float).mean()
    return min(SHADES, key=lambda emotion: abs(SHADES[emotion] - mean))


def tuple_folder(folder: Path, count: int, caption: str = "a {emotion} face, number") -> Path:
    """So many tuples of noisy grey pictures with their table; the captions are numbered."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with (folder / "tuples.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("item", "caption", *EMOTIONS))
        for number in range(count):
            names = [f"{number}-{emotion}.png" for emotion in EMOTIONS]
            for name, emotion in zip(names, EMOTIONS, strict=True):
                noise = rng.integers(-20, 20, (6, 6)) + SHADES[emotion]
                Image.fromarray(noise.astype(np.uint8)).save(folder / name)
            table.writerow((f"t{number:02}", f"{caption} {number}", *names))
    return folder
