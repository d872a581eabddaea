"""The subjects of the control world, each drawn in a unit box by a function of its name."""

from __future__ import annotations

import math
from collections.abc import Callable

from aes_audit.controls.pen import Colour, Pen

__all__ = ["COMPANIONS", "draw_subject"]

_BROWN: Colour = (120, 78, 45)
_BLACK: Colour = (25, 22, 30)
_WHITE: Colour = (250, 250, 245)
_LEAF: Colour = (60, 150, 60)
_GLASS: Colour = (170, 215, 245)
_GOLD: Colour = (250, 205, 60)

COMPANIONS: dict[str, tuple[str, str]] = {
    "house": ("tree", "green"),
    "tree": ("mushroom", "red"),
    "boat": ("fish", "orange"),
    "car": ("house", "orange"),
    "fish": ("boat", "blue"),
    "flower": ("mushroom", "red"),
    "cat": ("ball", "blue"),
    "ball": ("cat", "orange"),
    "star": ("rocket", "blue"),
    "rocket": ("star", "yellow"),
    "mushroom": ("flower", "pink"),
    "umbrella": ("ball", "yellow"),
    "face": ("flower", "pink"),
}
"""Subject -> the one thing, and its colour, that goes well with it."""


def _house(pen: Pen) -> None:
    pen.polygon([(-0.7, -0.1), (0.7, -0.1), (0.7, 0.95), (-0.7, 0.95)], pen.main)
    pen.polygon([(-0.95, -0.08), (0, -0.95), (0.95, -0.08)], pen.dark)
    pen.polygon([(-0.18, 0.35), (0.18, 0.35), (0.18, 0.95), (-0.18, 0.95)], _BROWN)
    if pen.detailed:
        for left in (-0.58, 0.28):
            pen.polygon([(left, 0.1), (left + 0.3, 0.1), (left + 0.3, 0.42), (left, 0.42)], _GLASS)


def _tree(pen: Pen) -> None:
    pen.polygon([(-0.16, 0.2), (0.16, 0.2), (0.2, 0.98), (-0.2, 0.98)], _BROWN)
    pen.ellipse(-0.8, -0.5, 0.05, 0.4, pen.main)
    pen.ellipse(-0.05, -0.5, 0.8, 0.4, pen.main)
    pen.ellipse(-0.55, -0.98, 0.55, 0.2, pen.main)
    if pen.detailed:
        for x, y in ((-0.4, -0.1), (0.35, -0.05), (0.0, -0.6)):
            pen.ellipse(x - 0.12, y - 0.12, x + 0.12, y + 0.12, pen.light)


def _boat(pen: Pen) -> None:
    pen.line([(0, -0.95), (0, 0.4)], _BROWN, 0.1)
    pen.polygon([(0.08, -0.9), (0.8, 0.25), (0.08, 0.25)], _WHITE)
    pen.polygon([(-0.08, -0.7), (-0.6, 0.25), (-0.08, 0.25)], pen.light)
    pen.polygon([(-0.98, 0.35), (0.98, 0.35), (0.6, 0.9), (-0.6, 0.9)], pen.main)
    if pen.detailed:
        pen.line([(-0.8, 0.55), (0.8, 0.55)], _WHITE, 0.08)


def _car(pen: Pen) -> None:
    pen.polygon([(-0.55, -0.05), (-0.35, -0.55), (0.35, -0.55), (0.6, -0.05)], pen.light)
    pen.polygon([(-0.98, -0.05), (0.98, -0.05), (0.98, 0.5), (-0.98, 0.5)], pen.main)
    for x in (-0.55, 0.55):
        pen.ellipse(x - 0.27, 0.25, x + 0.27, 0.8, _BLACK)
        if pen.detailed:
            pen.ellipse(x - 0.12, 0.4, x + 0.12, 0.65, _WHITE)
    if pen.detailed:
        pen.line([(0.02, -0.5), (0.02, 0.45)], pen.dark, 0.07)
        pen.ellipse(0.78, 0.05, 0.98, 0.25, _GOLD)


def _fish(pen: Pen) -> None:
    pen.polygon([(0.35, 0.0), (0.98, -0.6), (0.98, 0.6)], pen.dark)
    pen.polygon([(-0.3, -0.4), (0.1, -0.85), (0.35, -0.3)], pen.dark)
    pen.ellipse(-0.98, -0.55, 0.6, 0.55, pen.main)
    pen.ellipse(-0.72, -0.25, -0.45, 0.05, _WHITE)
    if pen.detailed:
        pen.ellipse(-0.65, -0.18, -0.52, -0.03, _BLACK)
        for x in (-0.15, 0.15):
            pen.line([(x, -0.4), (x + 0.12, 0.0), (x, 0.4)], pen.light, 0.08)


def _flower(pen: Pen) -> None:
    pen.line([(0, 0.0), (0, 0.98)], _LEAF, 0.14)
    pen.polygon([(0, 0.75), (0.5, 0.4), (0.35, 0.75)], _LEAF)
    for turn in range(6):
        x, y = 0.42 * math.cos(turn * math.pi / 3), -0.3 + 0.42 * math.sin(turn * math.pi / 3)
        pen.ellipse(x - 0.3, y - 0.3, x + 0.3, y + 0.3, pen.main)
    pen.ellipse(-0.25, -0.55, 0.25, -0.05, _GOLD if pen.main != _GOLD else _BROWN)


def _cat(pen: Pen) -> None:
    pen.line([(0.5, 0.8), (0.9, 0.5), (0.85, 0.0)], pen.main, 0.16)
    pen.ellipse(-0.55, 0.0, 0.6, 0.98, pen.main)
    for side in (-1, 1):
        pen.polygon([(side * 0.55, -0.98), (side * 0.58, -0.35), (side * 0.1, -0.6)], pen.main)
    pen.ellipse(-0.62, -0.75, 0.62, 0.25, pen.main)
    for side in (-1, 1):
        pen.ellipse(side * 0.28 - 0.12, -0.4, side * 0.28 + 0.12, -0.12, _WHITE if pen.detailed else _BLACK)
        if pen.detailed:
            pen.ellipse(side * 0.28 - 0.06, -0.36, side * 0.28 + 0.06, -0.14, _BLACK)
            pen.line([(side * 0.15, 0.02), (side * 0.75, -0.05)], _BLACK, 0.04)


def _ball(pen: Pen) -> None:
    pen.ellipse(-0.9, -0.9, 0.9, 0.9, pen.main)
    pen.polygon([(-0.88, -0.2), (0.88, -0.2), (0.88, 0.2), (-0.88, 0.2)], _WHITE, outlined=False)
    if pen.detailed:
        pen.ellipse(-0.3, -0.3, 0.3, 0.3, pen.light)


def _star(pen: Pen) -> None:
    points = []
    for turn in range(10):
        reach = 0.98 if turn % 2 == 0 else 0.42
        angle = -math.pi / 2 + turn * math.pi / 5
        points.append((reach * math.cos(angle), reach * math.sin(angle)))
    pen.polygon(points, pen.main)
    if pen.detailed:
        pen.ellipse(-0.2, -0.2, 0.2, 0.2, pen.light)


def _rocket(pen: Pen) -> None:
    pen.polygon([(-0.2, 0.6), (0, 0.98), (0.2, 0.6)], (250, 150, 40))
    for side in (-1, 1):
        pen.polygon([(side * 0.3, 0.1), (side * 0.75, 0.7), (side * 0.3, 0.6)], pen.dark)
    pen.polygon([(-0.36, 0.65), (-0.36, -0.4), (0, -0.98), (0.36, -0.4), (0.36, 0.65)], pen.main)
    if pen.detailed:
        pen.ellipse(-0.18, -0.35, 0.18, 0.01, _GLASS)
        pen.line([(-0.34, 0.3), (0.34, 0.3)], _WHITE, 0.1)


def _mushroom(pen: Pen) -> None:
    pen.polygon([(-0.25, 0.0), (0.25, 0.0), (0.35, 0.95), (-0.35, 0.95)], (240, 225, 200))
    cap = [(0.95 * math.cos(a), 0.15 - 1.05 * math.sin(a)) for a in (math.pi * k / 10 for k in range(11))]
    pen.polygon(cap, pen.main)
    if pen.detailed:
        for x, y in ((-0.45, -0.25), (0.1, -0.55), (0.5, -0.15)):
            pen.ellipse(x - 0.15, y - 0.15, x + 0.15, y + 0.15, _WHITE, outlined=False)


def _umbrella(pen: Pen) -> None:
    pen.line([(0, -0.2), (0, 0.75), (0.12, 0.92), (0.3, 0.8)], _BLACK, 0.1)
    cap = [(0.98 * math.cos(a), 0.0 - 0.92 * math.sin(a)) for a in (math.pi * k / 10 for k in range(11))]
    pen.polygon(cap, pen.main)
    stripe = [(0.35 * math.cos(a), 0.0 - 0.9 * math.sin(a)) for a in (math.pi * k / 8 for k in range(9))]
    pen.polygon(stripe, pen.light if pen.detailed else pen.main)


def draw_subject(kind: str, pen: Pen, emotion: str = "neutral") -> None:
    """Draw one of KINDS; `emotion` is the expression of a face. Raises KeyError for another kind."""
    if kind == "face":
        _face(pen, emotion)
    else:
        _SUBJECTS[kind](pen)


def _face(pen: Pen, emotion: str) -> None:
    pen.ellipse(-0.95, -0.95, 0.95, 0.95, pen.main)
    if pen.detailed:
        for side in (-1, 1):
            pen.ellipse(side * 0.62 - 0.15, 0.1, side * 0.62 + 0.15, 0.32, pen.light, outlined=False)
    _eyes(pen, wide=emotion == "fearful")
    _EXPRESSIONS[emotion](pen)


def _eyes(pen: Pen, wide: bool) -> None:
    half, tall = (0.24, 0.3) if wide else (0.16, 0.2)
    for side in (-1, 1):
        x, y = side * 0.36, -0.2
        pen.ellipse(x - half, y - tall, x + half, y + tall, _WHITE)
        pupil = 0.07 if wide else 0.11
        pen.ellipse(x - pupil, y - pupil, x + pupil, y + pupil, _BLACK, outlined=False)


def _curve(top: float, bend: float) -> list[tuple[float, float]]:
    """A mouth from left to right; positive `bend` smiles."""
    return [(x / 4 * 0.5, top + bend * (1 - (x / 4) ** 2)) for x in range(-4, 5)]


def _happy(pen: Pen) -> None:
    pen.polygon([*_curve(0.28, 0.42)], _BLACK, outlined=False)


def _neutral(pen: Pen) -> None:
    pen.line([(-0.35, 0.45), (0.35, 0.45)], _BLACK, 0.12)


def _sad(pen: Pen) -> None:
    pen.line(_curve(0.7, -0.35), _BLACK, 0.14)
    for side in (-1, 1):
        pen.ellipse(side * 0.45 - 0.11, 0.02, side * 0.45 + 0.11, 0.5, (70, 150, 250), outlined=False)


def _angry(pen: Pen) -> None:
    pen.line([(-0.4, 0.6), (-0.2, 0.42), (0, 0.6), (0.2, 0.42), (0.4, 0.6)], _BLACK, 0.12)
    for side in (-1, 1):
        pen.line([(side * 0.7, -0.7), (side * 0.12, -0.35)], _BLACK, 0.2)


def _fearful(pen: Pen) -> None:
    pen.ellipse(-0.25, 0.25, 0.25, 0.85, _BLACK)
    for side in (-1, 1):
        pen.line([(side * 0.62, -0.55), (side * 0.22, -0.78)], _BLACK, 0.1)


_EXPRESSIONS: dict[str, Callable[[Pen], None]] = {
    "happy": _happy,
    "sad": _sad,
    "angry": _angry,
    "fearful": _fearful,
    "neutral": _neutral,
}

_SUBJECTS: dict[str, Callable[[Pen], None]] = {
    "house": _house,
    "tree": _tree,
    "boat": _boat,
    "car": _car,
    "fish": _fish,
    "flower": _flower,
    "cat": _cat,
    "ball": _ball,
    "star": _star,
    "rocket": _rocket,
    "mushroom": _mushroom,
    "umbrella": _umbrella,
}
