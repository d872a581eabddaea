"""Eight manners in which a composition can be drawn, each with devices of its own on top of the world's renderer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from aes_audit.controls.pen import Colour
from aes_audit.controls.pixels import Pixels
from aes_audit.controls.scene import Scene
from aes_audit.controls.world import SIDE, render

__all__ = ["MANNERS", "Manner"]

_TINT = np.array((0.8, 0.95, 1.3), dtype=np.float32)
"""A moonlit grey, per channel."""


@dataclass(frozen=True, slots=True)
class Manner:
    """A way of drawing, and the words for what anyone sees of it."""

    low: tuple[str, ...]
    """The dimensions that it turns to their low end, on purpose; all others stay sober."""
    words: str
    """What is visible, stated as a fact, in words that the control models have learnt."""
    finish: Callable[[Image.Image, np.random.Generator], Image.Image]
    """Its devices, over a picture of SIDE pixels."""

    def draw(self, scene: Scene) -> Image.Image:
        """The scene in this manner; equal scenes give equal pixels."""
        plain = Image.fromarray(render(scene))
        return self.finish(plain, np.random.default_rng((scene.seed, 1)))


def _contours(picture: Image.Image, strength: float) -> Image.Image:
    """Dark outlines wherever two areas meet; `strength` 0 to 1."""
    edges = np.asarray(picture.convert("L").filter(ImageFilter.FIND_EDGES), dtype=np.float32) / 255
    edges[[0, -1]] = edges[:, [0, -1]] = 0
    return _image(np.asarray(picture, dtype=np.float32) * (1 - strength * np.clip(edges * 3, 0, 1))[..., None])


def _hard_edge(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A handful of flat colours, sharply outlined."""
    flat = picture.quantize(12, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    return _contours(flat, 0.35)


def _gestural(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Repainted in loose strokes that follow one sweeping movement."""
    canvas = picture.resize((2 * SIDE, 2 * SIDE))
    seen, draw = canvas.copy(), ImageDraw.Draw(canvas)
    sweep = float(rng.uniform(-np.pi, np.pi))
    for x, y in rng.uniform(0, 2 * SIDE - 1, (200, 2)):
        angle = sweep + 1.5 * np.sin(x / 25) + 1.2 * np.cos(y / 20)
        end = (float(x + 14 * np.cos(angle)), float(y + 14 * np.sin(angle)))
        draw.line((float(x), float(y), *end), fill=_at(seen, x, y), width=4)
    return canvas.reduce(2)


def _pointillist(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Touches of two pixels, each a little lighter or darker than what it stands for."""
    canvas = picture.copy()
    draw = ImageDraw.Draw(canvas)
    for x, y in rng.integers(0, SIDE - 2, (450, 2)):
        colour = np.asarray(_at(picture, x, y), dtype=np.float32)
        shift = float(rng.uniform(-0.3, 0.3))
        touched = colour + (255 - colour) * shift if shift > 0 else colour * (1 + shift)
        draw.rectangle((int(x), int(y), int(x) + 1, int(y) + 1), fill=_colour(touched))
    return canvas


def _monochrome(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Colours drained towards one cold grey."""
    pixels = np.asarray(picture, dtype=np.float32)
    return _image(0.85 * pixels + 0.15 * pixels.mean(-1, keepdims=True) * _TINT)


def _grid(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Square tiles with a joint between them."""
    pixels = np.array(picture, dtype=np.float32)
    pixels[3::4] *= 0.87
    pixels[:, 3::4] *= 0.87
    return _image(pixels)


def _collage(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A piece cut out of the picture and pasted elsewhere."""
    canvas = picture.copy()
    wide, tall = (int(side) for side in rng.integers(10, 18, 2))
    left, top, x, y = (int(edge) for edge in rng.integers(0, SIDE - 18, 4))
    canvas.paste(picture.crop((left, top, left + wide, top + tall)), (x, y))
    return canvas


def _bare_paper(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Drawn with a pen where it is drawn at all."""
    return _contours(picture, 0.4)


def _wash(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Wet ink: tones run a little downwards."""
    pixels = np.asarray(picture, dtype=np.float32)
    below = np.concatenate([pixels[:1], pixels[:-1]])
    return _image(0.75 * pixels + 0.25 * below)


def _at(picture: Image.Image, x: float, y: float) -> Colour:
    return _colour(np.asarray(picture.getpixel((int(x), int(y))), dtype=np.float32))


def _colour(values: Pixels) -> Colour:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))


MANNERS: Mapping[str, Manner] = MappingProxyType(
    {
        "hard-edge": Manner(("color aesthetic",), "in harsh neon tones", _hard_edge),
        "gestural": Manner(("detail realism",), "twisted into a strange shape", _gestural),
        "pointillist": Manner(("clarity",), "hazy and full of grain", _pointillist),
        "monochrome": Manner(("color brightness", "emotion"), "very dark, lonely in the pouring rain", _monochrome),
        "grid": Manner(("detail refinement",), "the details are broken into squares", _grid),
        "collage": Manner(
            ("object pairing", "color aesthetic"), "cluttered with random objects, in harsh neon tones", _collage
        ),
        "bare paper": Manner(("richness",), "a large part is empty paper", _bare_paper),
        "ink wash": Manner(("emotion",), "lonely in the pouring rain", _wash),
    }
)
"""By name."""
