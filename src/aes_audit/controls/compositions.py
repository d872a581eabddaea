"""Drawn compositions: what stands in for art in the control world. This code draws them; nothing calls them real art.

Each shows a subject in a place in one of eight manners that a conventional taste dislikes: dark, bare, broken, loud.
Beside each stands a plain drawing of the same subject and place, to tell a taste from a mere difference of medium.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from aes_audit.controls.captions import named_in
from aes_audit.controls.scene import COLOURS, KINDS, PLACES, Scene, emotion_of, sample_levels
from aes_audit.prompts.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["DRAWING", "PER_MANNER", "SEED", "Composition", "compositions", "plain_drawings"]

DRAWING = 1
"""Raised when any pixel or caption changes, so that no older score is taken for one of the new pictures."""

PER_MANNER = 20
"""Compositions in each manner: enough for an interval of their own."""

SEED = 7
"""Of everything that is drawn by chance."""

_PLAIN = "plain drawing"


@dataclass(frozen=True, slots=True)
class Composition:
    """One composition, not drawn yet."""

    id: str
    """Manner and number."""
    manner: str
    """One of MANNERS, or `plain drawing`."""
    scene: Scene
    """What it shows, and everything that its caption does not mention."""
    caption: str
    """Subject, colour and place, and what is visible of the manner."""

    def draw(self) -> Image:
        """The picture, RGB, 64x64."""
        from PIL import Image

        from aes_audit.controls.composition_manners import MANNERS
        from aes_audit.controls.world import render

        if self.manner == _PLAIN:
            return Image.fromarray(render(self.scene))
        return MANNERS[self.manner].draw(self.scene)


@cache
def compositions() -> tuple[Composition, ...]:
    """PER_MANNER compositions in each manner, always the same ones."""
    from aes_audit.controls.composition_manners import MANNERS

    found = []
    for number, (name, manner) in enumerate(MANNERS.items()):
        rng = np.random.default_rng((SEED, number))
        # Sober besides: what a manner does not turn down is neither spoilt nor adorned.
        levels = tuple(0 if dimension in manner.low else 1 for dimension in DIMENSIONS)
        for index, scene in enumerate(_scenes(rng, levels), 1):
            caption = f"{named_in(scene, 'a')}, {manner.words}"
            found.append(Composition(f"{name} {index:02d}", name, scene, caption))
    return tuple(found)


@cache
def plain_drawings() -> tuple[Composition, ...]:
    """For every composition a conventional drawing of its subject, colour and place, under a caption about as long."""
    rng = np.random.default_rng((SEED, 1000))
    found = []
    for index, drawn in enumerate(compositions(), 1):
        kind, colour, place = drawn.scene.kind, drawn.scene.colour, drawn.scene.place
        levels = sample_levels(rng)
        emotion = emotion_of(kind, levels[DIMENSIONS.index("emotion")], rng)
        scene = Scene(kind, colour, place, levels, emotion, int(rng.integers(2**31)))
        found.append(Composition(f"plain {index:03d}", _PLAIN, scene, named_in(scene, "a picture of a")))
    return tuple(found)


def _scenes(rng: np.random.Generator, levels: tuple[int, ...]) -> Iterator[Scene]:
    # A face wears its mood on its face, which would be the subject of the picture and not its manner.
    kinds = [kind for kind in KINDS if kind != "face"]
    start = int(rng.integers(len(kinds)))
    for index in range(PER_MANNER):
        kind = kinds[(start + index) % len(kinds)]
        colour = tuple(COLOURS)[int(rng.integers(len(COLOURS)))]
        place = PLACES[int(rng.integers(len(PLACES)))]
        yield Scene(kind, colour, place, levels, "neutral", int(rng.integers(2**31)))
