"""What else is in a picture: fine texture, extras, a companion, a jumble of things, rainbow or rain."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from aes_audit.controls.palette import Palette
from aes_audit.controls.pen import Colour, Pen, blend
from aes_audit.controls.scene import COLOURS, KINDS, Scene
from aes_audit.controls.subjects import COMPANIONS, draw_subject

__all__ = ["draw_companion", "draw_extras", "draw_jumble", "draw_rainbow", "draw_storm", "draw_texture"]

Draw = ImageDraw.ImageDraw


def draw_texture(draw: Draw, rows: int, side: int, palette: Palette, rng: np.random.Generator) -> None:
    """Fine blades and pebbles over the ground: what a refined picture has."""
    dark, light = palette.place((70, 90, 60), "middle"), palette.place((255, 250, 230), "accent")
    spots = rng.uniform((0, rows + 6), (side, side), (46, 2))
    for index, (x, y) in enumerate(spots):
        draw.line((x, y, x + 3, y - 9), fill=dark if index % 2 else light, width=3)


def draw_extras(draw: Draw, place: str, rows: int, side: int, palette: Palette, rng: np.random.Generator) -> None:
    """White clouds and birds above, small flowers or pebbles below; balloons where there is no sky."""
    above = palette.place((252, 252, 255), "accent")
    for x in rng.uniform(0.1, 0.9, 2) * side:
        y = float(rng.uniform(0.06, 0.3)) * side
        for shift, size in ((-0.07, 0.05), (0.0, 0.07), (0.07, 0.05)):
            centre, radius = x + shift * side, size * side
            draw.ellipse((centre - radius, y - radius * 0.7, centre + radius, y + radius * 0.7), fill=above)
    ink = palette.place((50, 50, 60), "middle")
    for x, y in rng.uniform((0.1, 0.08), (0.85, 0.42), (3, 2)) * side:
        draw.arc((x - 16, y - 7, x, y + 9), 200, 340, fill=ink, width=4)
        draw.arc((x, y - 7, x + 16, y + 9), 200, 340, fill=ink, width=4)
    blooms = ((250, 90, 120), (255, 220, 70), (250, 250, 250), (170, 100, 230))
    for index, (x, y) in enumerate(rng.uniform((4, rows + 16), (side - 4, side - 6), (12, 2))):
        colour = palette.thing(blooms[index % len(blooms)])
        draw.ellipse((x - 7, y - 7, x + 7, y + 7), fill=colour)
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=palette.thing((250, 170, 40)))


def draw_companion(
    draw: Draw, scene: Scene, centre: tuple[float, float], radius: float, palette: Palette, side: int
) -> None:
    """The one fitting thing, beside the subject on the side with more room."""
    kind, colour = COMPANIONS[scene.kind]
    x, y = centre
    reach = max(radius * 1.15, side * 0.24)
    spot = x + reach if x <= side / 2 else x - reach
    size = max(radius * 0.5, side * 0.09)
    pen = Pen(
        draw,
        min(max(spot, size), side - size),
        min(y + radius * 0.45, side - size),
        size,
        palette.thing(COLOURS[colour]),
    )
    draw_subject(kind, pen)


def draw_jumble(draw: Draw, scene: Scene, palette: Palette, rng: np.random.Generator, side: int) -> None:
    """Six unrelated things of any colour, some upside down, all over the picture."""
    kinds = [kind for kind in KINDS if kind not in (scene.kind, COMPANIONS[scene.kind][0], "face")]
    chosen = rng.choice(len(kinds), 6, replace=False)
    colours = list(COLOURS.values())
    for slot, index in enumerate(chosen):
        angle = (slot + float(rng.uniform(-0.2, 0.2))) * np.pi / 3
        x, y = side * (0.5 + 0.36 * np.cos(angle)), side * (0.5 + 0.36 * np.sin(angle))
        colour = palette.thing(colours[int(rng.integers(len(colours)))])
        radius = side * float(rng.uniform(0.1, 0.15))
        draw_subject(kinds[index], Pen(draw, x, y, radius, colour, flip=-1 if slot % 2 else 1))


def draw_rainbow(draw: Draw, side: int, palette: Palette) -> None:
    """A rainbow over the whole picture: good mood."""
    bands: tuple[Colour, ...] = ((235, 70, 70), (250, 165, 60), (250, 225, 80), (90, 190, 90), (80, 130, 230))
    for index, colour in enumerate(bands):
        inset = index * 0.03
        box = (side * (0.04 + inset), side * (0.07 + inset), side * (0.96 - inset), side * (1.05 - inset))
        draw.arc(box, 180, 360, fill=palette.thing(colour), width=round(side * 0.032))


def draw_storm(canvas: Image.Image, rng: np.random.Generator) -> None:
    """Black clouds across the top and rain over everything, on an RGBA layer."""
    side = canvas.width
    draw = ImageDraw.Draw(canvas)
    slant = float(rng.uniform(-0.05, 0.05)) * side
    for x, y in rng.uniform((0, 0.18), (1, 0.95), (34, 2)) * side:
        draw.line((x, y, x + slant, y + side * 0.11), fill=(120, 145, 190, 255), width=3)
    for step in range(7):
        x = side * (step / 6) + float(rng.uniform(-8, 8))
        y, radius = side * float(rng.uniform(0.02, 0.09)), side * float(rng.uniform(0.11, 0.16))
        shade = blend((38, 38, 46), (70, 70, 82), step % 3 / 2)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius * 0.9), fill=(*shade, 255))
