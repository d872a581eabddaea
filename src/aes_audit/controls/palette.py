"""The colours of a picture: every colour passes through the palette, so that one level can spoil them all."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

from aes_audit.controls.pen import Colour, blend

__all__ = ["Palette"]

# Pairs of sky, ground, middle and accent that hurt: complementary hues at full saturation.
_NEON: tuple[tuple[Colour, Colour, Colour, Colour], ...] = (
    ((255, 0, 200), (160, 255, 0), (0, 255, 255), (255, 90, 0)),
    ((190, 255, 0), (255, 0, 170), (120, 0, 255), (0, 255, 220)),
    ((255, 100, 0), (0, 255, 190), (255, 0, 220), (200, 255, 0)),
)
_ROLES = {"sky": 0, "ground": 1, "middle": 2, "accent": 3}


@dataclass(frozen=True, slots=True)
class Palette:
    """How colours come out at a level of `color aesthetic`: 0 clashing neon, 1 a little dull, 2 warm and full."""

    level: int
    """Level of the dimension, 0 to 2."""
    choice: int = 0
    """Which clashing set a level of 0 uses; any integer."""

    def place(self, colour: Colour, role: str) -> Colour:
        """A colour of the surroundings; `role` is sky, ground, middle or accent."""
        if self.level == 0:
            return _NEON[self.choice % len(_NEON)][_ROLES[role]]
        return self._tone(colour)

    def thing(self, colour: Colour) -> Colour:
        """A colour of a subject or a companion: it stays nameable at every level."""
        if self.level == 0:
            return self._neon(colour)
        return self._tone(colour)

    def _tone(self, colour: Colour) -> Colour:
        if self.level == 1:
            grey = round(0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2])
            return blend(colour, (grey, grey, grey), 0.3)
        return blend(colour, (255, 214, 150), 0.1)

    def _neon(self, colour: Colour) -> Colour:
        hue, _, value = colorsys.rgb_to_hsv(*(part / 255 for part in colour))
        red, green, blue = colorsys.hsv_to_rgb(hue, 1.0, max(value, 0.95))
        return round(red * 255), round(green * 255), round(blue * 255)
