"""Drawing in a unit box: subjects are written once and placed at any size, position and direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

__all__ = ["Colour", "Pen", "blend"]

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """`one` mixed with `share` (0 to 1) of `other`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


@dataclass(frozen=True, slots=True)
class Pen:
    """A pen over a canvas; coordinates are in [-1, 1], x to the right and y downwards."""

    draw: ImageDraw.ImageDraw
    """Where it draws."""
    x: float
    """Centre of the unit box, in pixels from the left."""
    y: float
    """Centre of the unit box, in pixels from the top."""
    radius: float
    """Half the side of the unit box, in pixels."""
    main: Colour
    """The subject's colour; shades of it are derived."""
    detailed: bool = True
    """Whether outlines and small parts are drawn."""
    flip: int = 1
    """-1 turns the subject upside down."""

    @property
    def dark(self) -> Colour:
        """A darker shade of the main colour."""
        return blend(self.main, (20, 15, 30), 0.45)

    @property
    def light(self) -> Colour:
        """A lighter shade of the main colour."""
        return blend(self.main, (255, 255, 255), 0.55)

    def _spot(self, x: float, y: float) -> tuple[float, float]:
        return self.x + x * self.radius, self.y + y * self.radius * self.flip

    def polygon(self, points: Sequence[tuple[float, float]], fill: Colour, outlined: bool = True) -> None:
        """A filled polygon, outlined in the dark shade if the pen draws details."""
        spots = [self._spot(x, y) for x, y in points]
        self.draw.polygon(spots, fill=fill)
        if self.detailed and outlined:
            self.draw.line([*spots, spots[0]], fill=self.dark, width=self._stroke(), joint="curve")

    def ellipse(
        self, left: float, top: float, right: float, bottom: float, fill: Colour, outlined: bool = True
    ) -> None:
        """A filled ellipse in its bounding box, outlined as polygons are."""
        x0, y0 = self._spot(left, top)
        x1, y1 = self._spot(right, bottom)
        outline = self.dark if self.detailed and outlined else None
        width = self._stroke() if outline else 0
        self.draw.ellipse((x0, min(y0, y1), x1, max(y0, y1)), fill=fill, outline=outline, width=width)

    def line(self, points: Sequence[tuple[float, float]], fill: Colour, width: float = 0.08) -> None:
        """A polyline; `width` in units of the box."""
        pixels = max(1, round(width * self.radius))
        self.draw.line([self._spot(x, y) for x, y in points], fill=fill, width=pixels, joint="curve")

    def _stroke(self) -> int:
        return max(2, round(0.07 * self.radius))
