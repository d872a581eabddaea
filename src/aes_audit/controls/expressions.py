"""Faces of the control world in four expressions: the same face in the same place, and nothing else of it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from aes_audit.controls.captions import named_in
from aes_audit.controls.scene import COLOURS, PLACES, Scene
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.emotion import PLACEHOLDER

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["DRAWING", "SEED", "FaceTuple", "face_tuples"]

DRAWING = 1
"""Raised when any pixel or caption changes, so that no older score is taken for one of the new pictures."""

SEED = 11
"""Of where the faces stand."""

# The world's wordings that need no article before the emotion.
_WORDINGS = ("the face looks {}", "its expression is {}", "the mood is {}")

# The rewards have seen these faces with everything but the expression at its normal level, as the tuples show them.
_SEEN = frozenset(
    {
        ("red", "beach"),
        ("yellow", "beach"),
        ("yellow", "desert"),
        ("yellow", "room"),
        ("green", "sea"),
        ("green", "desert"),
        ("blue", "beach"),
        ("purple", "room"),
        ("pink", "snow"),
        ("pink", "city"),
    }
)


@dataclass(frozen=True, slots=True)
class FaceTuple:
    """One face in four expressions, not drawn yet."""

    id: str
    """Colour, place and number."""
    scenes: Mapping[str, Scene]
    """One per emotion; they differ in nothing else."""
    caption: str
    """Colour, place and expression, with PLACEHOLDER for the emotion."""

    def draw(self, emotion: str) -> Image:
        """The picture with one of the expressions, RGB, 64x64."""
        from PIL import Image

        from aes_audit.controls.world import render

        return Image.fromarray(render(self.scenes[emotion]))


@cache
def face_tuples() -> tuple[FaceTuple, ...]:
    """Every face that training has not shown so, once in each of three wordings and places on the canvas."""
    rng = np.random.default_rng(SEED)
    faces = [(colour, place) for colour in COLOURS for place in PLACES if (colour, place) not in _SEEN]
    found = []
    for number, wording in enumerate(_WORDINGS, 1):
        for colour, place in faces:
            scenes = _scenes(colour, place, int(rng.integers(2**31)))
            caption = f"{named_in(scenes[EMOTIONS[0]], 'a')}, {wording.format(PLACEHOLDER)}"
            found.append(FaceTuple(f"{colour} {place} {number}", scenes, caption))
    return tuple(found)


def _scenes(colour: str, place: str, seed: int) -> Mapping[str, Scene]:
    neutral = Scene("face", colour, place, (1,) * len(DIMENSIONS), seed=seed)
    return {
        emotion: replace(neutral, levels=_levels(2 if emotion == "happy" else 0), emotion=emotion)
        for emotion in EMOTIONS
    }


def _levels(emotion: int) -> tuple[int, ...]:
    """Everything is normal, neither spoilt nor adorned, but the expression."""
    return tuple(emotion if name == "emotion" else 1 for name in DIMENSIONS)
