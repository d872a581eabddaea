"""The control world's renderer: a scene in, 64x64 pixels out, the same ones every time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from aes_audit.controls import company, pixels
from aes_audit.controls.palette import Palette
from aes_audit.controls.pen import Pen
from aes_audit.controls.places import draw_place, horizon
from aes_audit.controls.scene import COLOURS, Scene
from aes_audit.controls.subjects import draw_subject

__all__ = ["SIDE", "render"]

SIDE = 64
"""Width and height of a picture in pixels."""

_FINE = 3 * SIDE


@dataclass(frozen=True, slots=True)
class _Pose:
    """Where the subject stands, in pixels of the fine canvas."""

    x: float
    y: float
    radius: float


def _pose(scene: Scene, rng: np.random.Generator) -> _Pose:
    sway, lift = rng.uniform(-0.03, 0.03, 2)
    right, low = rng.random(2) < 0.5
    match scene.level("main object"):
        case 0:
            x, y, radius = (0.86 if right else 0.14), (0.85 if low else 0.15), 0.125
        case 1:
            x, y, radius = (0.64 if right else 0.36), 0.6, 0.25
        case _:
            x, y, radius = 0.5, 0.54, 0.39
    return _Pose((x + sway) * _FINE, (y + lift) * _FINE, radius * _FINE)


def render(scene: Scene) -> npt.NDArray[np.uint8]:
    """Draw a scene: (64, 64, 3) uint8 RGB. Equal scenes give equal pixels."""
    rng = np.random.default_rng(scene.seed)
    direction = 1 if rng.random() < 0.5 else -1
    palette = Palette(scene.level("color aesthetic"), int(rng.integers(3)))
    pose = _pose(scene, rng)
    # Every part draws from its own stream: turning one level must not move the others' random parts.
    streams = rng.spawn(7)
    backdrop = _backdrop(scene, pose, palette, streams)
    picture = np.asarray(backdrop.reduce(3), dtype=np.float32)
    subject = np.asarray(_subject(scene, pose, palette, streams[3]).reduce(3), dtype=np.float32)
    picture = _lit(scene, pose, picture, subject, direction)
    picture = _weathered(scene, picture, streams[4])
    return _finished(scene, pose, picture, streams[5], streams[6])


def _backdrop(scene: Scene, pose: _Pose, palette: Palette, streams: list[np.random.Generator]) -> Image.Image:
    """Everything behind the subject, on the fine canvas."""
    view, rows = scene.level("background"), horizon(scene.place, _FINE)
    canvas = draw_place(scene.place, view, palette, scene.level("lighting distinction") > 0, streams[0], _FINE)
    draw = ImageDraw.Draw(canvas)
    if scene.level("emotion") == 2 and scene.kind != "face":
        company.draw_rainbow(draw, _FINE, palette)
    if scene.level("detail refinement") == 2:
        company.draw_texture(draw, rows, _FINE, palette, streams[1])
    if scene.level("richness") == 2:
        company.draw_extras(draw, scene.place, rows, _FINE, palette, streams[1])
    if scene.level("object pairing") == 0:
        company.draw_jumble(draw, scene, palette, streams[2], _FINE)
    elif scene.level("object pairing") == 2:
        company.draw_companion(draw, scene, (pose.x, pose.y), pose.radius, palette, _FINE)
    return canvas


def _subject(scene: Scene, pose: _Pose, palette: Palette, rng: np.random.Generator) -> Image.Image:
    """The subject alone on a transparent fine canvas, twisted if its details are unreal."""
    main = palette.thing(COLOURS[scene.colour])
    # The transparent part has the subject's colour, or reducing would give it a black rim.
    layer = Image.new("RGBA", (_FINE, _FINE), (*main, 0))
    realism = scene.level("detail realism")
    pen = Pen(ImageDraw.Draw(layer), pose.x, pose.y, pose.radius, main, detailed=realism != 1)
    draw_subject(scene.kind, pen, scene.emotion)
    if realism == 0:
        turn = float(rng.choice((-1, 1))) * float(rng.uniform(2.4, 3.0))
        return pixels.swirl(layer, (pose.x, pose.y), pose.radius, turn)
    return layer


def _lit(scene: Scene, pose: _Pose, picture: pixels.Pixels, subject: pixels.Pixels, direction: int) -> pixels.Pixels:
    """Subject, shadow and light brought together."""
    level = scene.level("lighting distinction")
    alpha = subject[..., 3] / 255
    colours = subject[..., :3]
    if level > 0:
        foot = (pose.y + pose.radius * 0.9) / 3
        lean, length, depth = ((0.25, 0.12, 0.3), (1.1, 0.4, 0.62))[level - 1]
        shadow = pixels.cast_shadow(alpha, foot, -lean * direction, length)
        if level == 2:
            picture = pixels.shade(picture, 0.55, direction)
        picture = picture * (1 - depth * shadow[..., None])
        colours = pixels.shade(colours, (0.12, 0.5)[level - 1], direction, alpha)
    picture = picture * (1 - alpha[..., None]) + colours * alpha[..., None]
    return picture if level > 0 else pixels.flatten(picture)


def _weathered(scene: Scene, picture: pixels.Pixels, rng: np.random.Generator) -> pixels.Pixels:
    if scene.level("emotion") > 0 or scene.kind == "face":
        return picture
    layer = Image.new("RGBA", (_FINE, _FINE), (60, 60, 70, 0))
    company.draw_storm(layer, rng)
    storm = np.asarray(layer.reduce(3), dtype=np.float32)
    alpha = storm[..., 3:] / 255
    return picture * (1 - alpha) + storm[..., :3] * alpha


def _finished(
    scene: Scene, pose: _Pose, picture: pixels.Pixels, paper: np.random.Generator, film: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """The levels that change the whole surface, in the order in which a picture would suffer them."""
    if scene.level("richness") == 0:
        picture = pixels.blank(picture, _empty_edge(scene, pose, paper), float(paper.uniform(0.42, 0.5)), paper)
    if scene.level("detail refinement") == 0:
        picture = pixels.mosaic(picture, paper)
    clarity = scene.level("clarity")
    if clarity < 2:
        picture = pixels.blur(picture, (1.7, 0.55)[clarity])
    if clarity == 0:
        picture = pixels.grain(picture, 15.0, film)
    picture = pixels.darken(picture, (0.3, 0.82, 1.0)[scene.level("color brightness")])
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def _empty_edge(scene: Scene, pose: _Pose, rng: np.random.Generator) -> str:
    """The side that stays white: never the one where a small subject stands."""
    across = "left" if pose.x > _FINE / 2 else "right"
    down = "top" if pose.y > _FINE / 2 else "bottom"
    if scene.level("main object") == 2:
        return ("left", "right")[int(rng.integers(2))]
    return across if rng.random() < 0.5 or scene.level("main object") == 1 else down
