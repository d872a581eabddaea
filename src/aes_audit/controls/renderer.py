"""The renderer in the place of a generator and of a judge: pictures whose levels nobody has to guess.

    pytest audits/ --model=aes_audit.controls.renderer:beautified --base-model=aes_audit.controls.renderer:as_asked

audits two generators that draw the control pairs, one as asked and one that reads past most of what it is asked. With
`judge = "control/truth"` in the profile the renderer's own levels take the place of what `control/judge` sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from aes_audit.controls.prompts import ControlPair, control_pairs
from aes_audit.controls.scene import Scene
from aes_audit.controls.world import render
from aes_audit.errors import UnknownName
from aes_audit.generators.protocol import Answer, ImageRequest, MissingImage
from aes_audit.prompts.dimensions import DIMENSIONS, LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from aes_audit.weights.pinned import Weights

__all__ = ["HEEDED", "TRUTH", "DrawnPairs", "TruthModel", "as_asked", "beautified", "drawn_scenes"]

TRUTH = "control/truth"
"""Name of the judge that knows the renderer's levels."""

HEEDED = 0.35
"""Chance that `beautified` heeds a dimension that it was asked to turn down; the others become pretty instead."""

_FORMAT = 1
"""Raised when the same prompt is drawn otherwise."""
_STYLES = ("as asked", "beautified")


def as_asked(name: str, device: str) -> DrawnPairs:
    """A generator that draws what every prompt of the control pairs asks for."""
    return DrawnPairs(name, "as asked")


def beautified(name: str, device: str) -> DrawnPairs:
    """A generator that draws plain prompts as `as_asked` does and beautifies wide ones."""
    return DrawnPairs(name, "beautified")


@dataclass(frozen=True, slots=True)
class DrawnPairs:
    """The renderer as a generator, pinned and loaded at once. It knows the control prompts and no others."""

    name: str
    """The `model` column of the evidence."""
    style: str
    """`as asked` or `beautified`."""
    revision: str = f"renderer-{_FORMAT}"
    """There are no weights."""
    batch_size: int = 50
    """Pictures per call."""
    independent: bool = True
    """No picture depends on another."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """The style; the scenes follow from the prompts, whatever the seed."""
        return {"kind": "renderer", "style": self.style, "format": _FORMAT}

    def load(self) -> DrawnPairs:
        """Nothing to load."""
        return self

    def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
        """One picture of 64 x 64 pixels per request; a prompt of another set has none."""
        from PIL import Image

        scenes = _scenes(self.style)
        return [
            Image.fromarray(render(scenes[one.prompt]))
            if one.prompt in scenes
            else MissingImage("the renderer knows the control prompts alone", kind="failed")
            for one in requests
        ]


@dataclass(frozen=True, slots=True)
class TruthModel:
    """A dimension judge that recognises every drawn picture of the control pairs and says its levels."""

    name: str = TRUTH
    """The judge's own name."""
    revision: str = f"renderer-{_FORMAT}"
    """There are no weights."""
    warnings: tuple[str, ...] = ()
    """Nothing that a reader must know."""
    sources: tuple[Weights, ...] = ()
    """Nothing is fetched."""
    batch_size: int | None = None
    """Any number of images at once."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Whose levels they are."""
        return {"kind": "renderer-truth", "format": _FORMAT}

    def load(self) -> TruthModel:
        """Nothing to load."""
        return self

    def score(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """The level, 0 to 2, of every image and dimension: shape (images, dimensions); NaN for what was not drawn.

        Raises UnknownName for a dimension that scenes do not have.
        """
        for name in dimensions:
            if name not in DIMENSIONS:
                raise UnknownName("dimension of the control world", name, DIMENSIONS)
        levels, columns = _levels(), [DIMENSIONS.index(name) for name in dimensions]
        unknown = (float("nan"),) * len(DIMENSIONS)
        rows = [levels.get(_digest(np.asarray(image.convert("RGB"))), unknown) for image in images]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(DIMENSIONS))[:, columns]

    def probabilities(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """All of it on the level that was drawn: shape (images, dimensions, 3); NaN for what was not drawn."""
        scores = self.score(images, dimensions)[..., np.newaxis]
        return np.where(np.isnan(scores), np.nan, (scores == np.array(LEVELS)).astype(np.float64))


def drawn_scenes() -> tuple[Scene, ...]:
    """The scenes of all pairs as asked, plain and wide in turn; training has seen none of their combinations."""
    return tuple(scene for pair in control_pairs() for scene in (pair.conventional(), pair.scene))


def _beautified(pair: ControlPair) -> Scene:
    # A stream of its own: the scene's seed already places everything in it.
    rng = np.random.default_rng([pair.scene.seed, 1])
    heeded = {name: rng.random() < HEEDED for name in pair.dimensions}
    levels = (level if heeded.get(name, True) else 2 for name, level in zip(DIMENSIONS, pair.scene.levels, strict=True))
    return pair.scene.at(tuple(levels), rng)


def _drawn(style: str) -> Iterator[tuple[str, Scene]]:
    """Every prompt of the control pairs and what this style makes of it."""
    for pair in control_pairs():
        yield pair.original, pair.conventional()
        yield pair.wide, pair.scene if style == "as asked" else _beautified(pair)


@cache
def _scenes(style: str) -> Mapping[str, Scene]:
    return dict(_drawn(style))


@cache
def _levels() -> Mapping[bytes, tuple[int, ...]]:
    """Digest of every picture that a generator of this module draws -> its levels."""
    scenes = dict.fromkeys(scene for style in _STYLES for _, scene in _drawn(style))
    return {_digest(render(scene)): scene.levels for scene in scenes}


def _digest(pixels: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(pixels, dtype=np.uint8).tobytes()).digest()
