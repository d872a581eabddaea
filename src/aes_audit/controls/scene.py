"""What stands in a picture of the control world: subject, place, mood and one level per dimension."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from aes_audit.prompts.dimensions import DIMENSIONS, LEVELS

__all__ = ["COLOURS", "EMOTIONS", "KINDS", "NEGATIVE", "PLACES", "Scene", "emotion_of", "sample_levels", "sample_scene"]

KINDS: tuple[str, ...] = (
    "house", "tree", "boat", "car", "fish", "flower", "cat", "ball", "star", "rocket", "mushroom", "umbrella", "face",
)  # fmt: skip
"""Subjects; `face` is the only one with an expression."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 48, 49),
    "orange": (240, 140, 30),
    "yellow": (246, 208, 50),
    "green": (46, 160, 67),
    "blue": (45, 100, 220),
    "purple": (135, 65, 190),
    "pink": (245, 130, 180),
}
"""Name of a subject's colour -> RGB."""

PLACES: tuple[str, ...] = ("meadow", "beach", "sea", "desert", "snow", "city", "room")
"""Where a subject can be."""

NEGATIVE: tuple[str, ...] = ("sad", "angry", "fearful")
"""Expressions of a face whose emotion level is 0."""

EMOTIONS: tuple[str, ...] = ("happy", *NEGATIVE, "neutral")
"""Expressions a face can have."""

# An unmentioned dimension is normal or good, so a picture nobody styled is a conventional one.
_GOOD = 0.4
_EMOTION = DIMENSIONS.index("emotion")


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that determines the pixels of one picture."""

    kind: str
    """The subject, one of KINDS."""
    colour: str
    """The subject's colour, one of COLOURS."""
    place: str
    """Where it is, one of PLACES."""
    levels: tuple[int, ...]
    """One of 0, 1, 2 per dimension, in the order of DIMENSIONS."""
    emotion: str = "neutral"
    """The expression of a face (agrees with its emotion level); `neutral` for everything else."""
    seed: int = 0
    """Positions, companions, noise: what no caption mentions."""

    def __post_init__(self) -> None:
        """Raise ValueError for a name or level outside the world, or an expression against its level."""
        for value, known in ((self.kind, KINDS), (self.colour, COLOURS), (self.place, PLACES)):
            if value not in known:
                raise ValueError(f"{value!r} is not in the control world: choose one of {', '.join(known)}")
        if len(self.levels) != len(DIMENSIONS) or not set(self.levels) <= set(LEVELS):
            raise ValueError(f"levels {self.levels} must be {len(DIMENSIONS)} values out of {LEVELS}")
        if self.emotion not in _expressions(self.kind, self.levels[_EMOTION]):
            raise ValueError(f"{self.emotion!r} does not fit a {self.kind} of emotion level {self.levels[_EMOTION]}")

    def level(self, dimension: str) -> int:
        """The level, 0 to 2, of one dimension."""
        return self.levels[DIMENSIONS.index(dimension)]

    @property
    def low(self) -> tuple[str, ...]:
        """The dimensions at their low end, in the order of DIMENSIONS."""
        return tuple(name for name, level in zip(DIMENSIONS, self.levels, strict=True) if level == 0)

    def at(self, levels: tuple[int, ...], rng: np.random.Generator) -> Scene:
        """The same subject, place and positions at other levels; a face gets an expression that fits."""
        return replace(self, levels=levels, emotion=emotion_of(self.kind, levels[_EMOTION], rng))


def _expressions(kind: str, level: int) -> tuple[str, ...]:
    if kind != "face":
        return ("neutral",)
    return (NEGATIVE, ("neutral",), ("happy",))[level]


def emotion_of(kind: str, level: int, rng: np.random.Generator) -> str:
    """An expression that fits a subject at an emotion level, drawn at random where several do."""
    choices = _expressions(kind, level)
    return choices[int(rng.integers(len(choices)))]


def sample_levels(rng: np.random.Generator, low: Collection[str] = ()) -> tuple[int, ...]:
    """Levels with exactly the dimensions of `low` at 0; each other one is 1 (60%) or 2 (40%)."""
    good = rng.random(len(DIMENSIONS)) < _GOOD
    return tuple(0 if name in low else 1 + int(flag) for name, flag in zip(DIMENSIONS, good, strict=True))


def sample_scene(rng: np.random.Generator, low: Collection[str] = ()) -> Scene:
    """A scene with a uniform subject, colour and place and exactly `low` at the low end."""
    kind = KINDS[int(rng.integers(len(KINDS)))]
    colour = tuple(COLOURS)[int(rng.integers(len(COLOURS)))]
    place = PLACES[int(rng.integers(len(PLACES)))]
    levels = sample_levels(rng, low)
    emotion = emotion_of(kind, levels[_EMOTION], rng)
    return Scene(kind, colour, place, levels, emotion, int(rng.integers(2**31)))
