"""Backdrops: seven places, each as a bare wall (0), in two flat tones (1) or as a sunny view (2)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from aes_audit.controls.palette import Palette
from aes_audit.controls.pen import Colour, blend

__all__ = ["draw_place", "horizon"]

_TONES: dict[str, tuple[Colour, Colour, Colour]] = {
    "meadow": ((150, 205, 250), (110, 190, 80), (70, 150, 85)),
    "beach": ((150, 220, 250), (242, 218, 155), (45, 150, 205)),
    "sea": ((175, 220, 250), (40, 115, 195), (85, 155, 115)),
    "desert": ((250, 215, 150), (222, 165, 85), (195, 130, 65)),
    "snow": ((185, 210, 240), (246, 249, 253), (165, 185, 215)),
    "city": ((175, 195, 220), (112, 112, 120), (150, 135, 155)),
    "room": ((238, 218, 185), (160, 105, 65), (215, 185, 140)),
}
"""Place -> colours of sky (or wall), ground and middle distance."""

_SUN: Colour = (255, 226, 90)
_WALL: Colour = (128, 124, 116)

Draw = ImageDraw.ImageDraw


def horizon(place: str, side: int) -> int:
    """The row, in pixels of a square canvas of `side`, where the ground begins."""
    return round(side * (0.72 if place == "room" else 0.6))


def draw_place(
    place: str, level: int, palette: Palette, gradient: bool, rng: np.random.Generator, side: int
) -> Image.Image:
    """An RGB canvas of `side` pixels; without `gradient` (flat light) every area is one tone."""
    if level == 0:
        return _wall(palette, rng, side)
    sky, ground, middle = _TONES[place]
    sky, ground = palette.place(sky, "sky"), palette.place(ground, "ground")
    middle = palette.place(middle, "middle")
    rows = horizon(place, side)
    canvas = Image.new("RGB", (side, side), sky)
    draw = ImageDraw.Draw(canvas)
    if level == 2:
        _fade(draw, rows, side, sky, gradient)
        if place != "room":
            _sun(draw, palette, rng, side)
    draw.rectangle((0, rows, side, side), fill=ground)
    (_VIEWS if level == 2 else _HINTS)[place](draw, side, rows, middle, palette)
    return canvas


def _fade(draw: Draw, rows: int, side: int, sky: Colour, gradient: bool) -> None:
    pale = blend(sky, (255, 246, 225), 0.65 if gradient else 0.2)
    bands = 8
    for band in range(bands):
        top = rows * band // bands
        draw.rectangle((0, top, side, rows), fill=blend(sky, pale, band / (bands - 1)))


def _sun(draw: Draw, palette: Palette, rng: np.random.Generator, side: int) -> None:
    x = side * (0.2 if rng.random() < 0.5 else 0.8)
    y, radius = side * 0.17, side * 0.1
    glow = palette.place(blend(_SUN, (255, 255, 255), 0.5), "accent")
    draw.ellipse((x - radius * 1.5, y - radius * 1.5, x + radius * 1.5, y + radius * 1.5), fill=glow)
    sun = palette.place(_SUN, "accent")
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=sun)


def _wall(palette: Palette, rng: np.random.Generator, side: int) -> Image.Image:
    """A bare wall with stains and cracks, the same wherever the scene is."""
    base = palette.place(_WALL, "sky")
    canvas = Image.new("RGB", (side, side), base)
    draw = ImageDraw.Draw(canvas)
    stain = palette.place(blend(_WALL, (70, 60, 40), 0.35), "ground")
    for _ in range(7):
        x, y = rng.uniform(0, side, 2)
        wide, tall = rng.uniform(0.05, 0.16, 2) * side
        draw.ellipse((x - wide, y - tall, x + wide, y + tall), fill=blend(base, stain, 0.55))
    for _ in range(3):
        x, y = rng.uniform(0, side, 2)
        steps = np.array((x, y)) + np.cumsum(rng.uniform(-0.12, 0.12, (5, 2)) * side, axis=0)
        draw.line([(float(a), float(b)) for a, b in steps], fill=blend(base, (30, 28, 25), 0.6), width=3)
    return canvas


View = Callable[[Draw, int, int, Colour, Palette], None]


def _hills(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    far = blend(middle, (200, 225, 240), 0.4)
    draw.ellipse((-side * 0.3, rows - side * 0.22, side * 0.6, rows + side * 0.3), fill=far)
    draw.ellipse((side * 0.35, rows - side * 0.16, side * 1.3, rows + side * 0.3), fill=middle)
    draw.rectangle((0, rows + side * 0.06, side, side), fill=palette.place(_TONES["meadow"][1], "ground"))


def _strip(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    draw.rectangle((0, rows - side * 0.07, side, rows + side * 0.03), fill=middle)


def _surf(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    draw.rectangle((0, rows - side * 0.1, side, rows + side * 0.06), fill=middle)
    foam = blend(middle, (255, 255, 255), 0.7)
    draw.rectangle((0, rows + side * 0.06, side, rows + side * 0.085), fill=foam)
    x, trunk = side * 0.9, palette.place((125, 85, 50), "middle")
    draw.line((x, rows + side * 0.15, x - side * 0.05, rows - side * 0.25), fill=trunk, width=6)
    leaf = palette.place((60, 150, 70), "accent")
    for reach in (-0.16, -0.08, 0.04, 0.12):
        end = (x + reach * side, rows - side * 0.24 + abs(reach) * side * 0.5)
        draw.line((x - side * 0.05, rows - side * 0.25, *end), fill=leaf, width=8)


def _waves(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    crest = blend(palette.place(_TONES["sea"][1], "ground"), (255, 255, 255), 0.4)
    for step in range(3):
        y = rows + side * (0.08 + 0.11 * step)
        for left in range(-1, 4):
            x = side * (left * 0.3 + 0.13 * (step % 2))
            draw.arc((x, y, x + side * 0.2, y + side * 0.1), 200, 340, fill=crest, width=4)


def _islands(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    draw.chord((side * 0.55, rows - side * 0.14, side * 1.1, rows + side * 0.14), 180, 360, fill=middle)
    draw.chord((-side * 0.2, rows - side * 0.09, side * 0.25, rows + side * 0.09), 180, 360, fill=middle)
    _waves(draw, side, rows, middle, palette)


def _dune(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    draw.polygon([(side * 0.45, rows), (side * 0.8, rows - side * 0.12), (side * 1.1, rows)], fill=middle)


def _dunes(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    draw.polygon(
        [(-20, rows), (side * 0.25, rows - side * 0.2), (side * 0.6, rows)], fill=blend(middle, (255, 230, 170), 0.4)
    )
    _dune(draw, side, rows, middle, palette)
    x, cactus = side * 0.1, palette.place((70, 140, 80), "accent")
    draw.line((x, rows + side * 0.16, x, rows - side * 0.14), fill=cactus, width=9)
    draw.line((x + 13, rows - side * 0.06, x + 13, rows + side * 0.02, x, rows + side * 0.02), fill=cactus, width=7)


def _drift(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    draw.polygon([(side * 0.1, rows), (side * 0.35, rows - side * 0.14), (side * 0.6, rows)], fill=middle)


def _peaks(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    white = palette.place((252, 253, 255), "ground")
    for left, tall in ((-0.15, 0.28), (0.3, 0.34), (0.65, 0.24)):
        peak = (side * (left + 0.27), rows - side * tall)
        draw.polygon([(side * left, rows), peak, (side * (left + 0.54), rows)], fill=middle)
        cap = [(peak[0] - side * 0.08, peak[1] + side * 0.1), peak, (peak[0] + side * 0.08, peak[1] + side * 0.1)]
        draw.polygon(cap, fill=white)


def _blocks(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    for left, tall in ((0.02, 0.25), (0.3, 0.16), (0.62, 0.3)):
        draw.rectangle((side * left, rows - side * tall, side * (left + 0.24), rows), fill=middle)


def _skyline(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    window = palette.place((255, 235, 150), "accent")
    for index, (left, tall) in enumerate(((-0.02, 0.3), (0.2, 0.42), (0.43, 0.24), (0.63, 0.46), (0.85, 0.3))):
        wall = blend(middle, (120, 90, 110), 0.25 * (index % 2))
        draw.rectangle((side * left, rows - side * tall, side * (left + 0.19), rows), fill=wall)
        for row in range(int(tall * 10)):
            for column in (0.04, 0.11):
                x, y = side * (left + column), rows - side * (tall - 0.04 - row * 0.1)
                if y < rows - 8:
                    draw.rectangle((x, y, x + 7, y + 8), fill=window)
    line = palette.place((240, 240, 235), "accent")
    for x in range(0, side, 48):
        draw.rectangle((x, rows + side * 0.2, x + 24, rows + side * 0.22), fill=line)


def _skirting(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    draw.rectangle((0, rows - side * 0.035, side, rows), fill=middle)


def _parlour(draw: Draw, side: int, rows: int, middle: Colour, palette: Palette) -> None:
    _skirting(draw, side, rows, middle, palette)
    frame, sky = palette.place((250, 248, 240), "accent"), palette.place((140, 205, 250), "middle")
    draw.rectangle((side * 0.06, side * 0.08, side * 0.38, side * 0.46), fill=sky, outline=frame, width=8)
    draw.chord(
        (side * 0.08, side * 0.34, side * 0.36, side * 0.56), 180, 360, fill=palette.place((90, 180, 90), "ground")
    )
    draw.ellipse((side * 0.26, side * 0.12, side * 0.34, side * 0.2), fill=palette.place(_SUN, "accent"))
    draw.line((side * 0.22, side * 0.08, side * 0.22, side * 0.46), fill=frame, width=5)
    draw.rectangle(
        (side * 0.68, side * 0.12, side * 0.92, side * 0.34),
        fill=palette.place((200, 90, 80), "ground"),
        outline=frame,
        width=6,
    )
    draw.ellipse(
        (side * 0.12, rows + side * 0.08, side * 0.88, side * 0.97), fill=palette.place((200, 80, 80), "accent")
    )


_HINTS: dict[str, View] = {
    "meadow": lambda *_: None,
    "beach": _strip,
    "sea": _waves,
    "desert": _dune,
    "snow": _drift,
    "city": _blocks,
    "room": _skirting,
}

_VIEWS: dict[str, View] = {
    "meadow": _hills,
    "beach": _surf,
    "sea": _islands,
    "desert": _dunes,
    "snow": _peaks,
    "city": _skyline,
    "room": _parlour,
}
