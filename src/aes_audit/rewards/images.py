"""The control models' image recipe, read from the folder of a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aes_audit.errors import InfrastructureError
from aes_audit.rewards.image_recipes import Channels, square

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

__all__ = ["SquareRecipe"]


@dataclass(frozen=True, slots=True)
class SquareRecipe:
    """The control models' recipe: `square` with the numbers of a folder, and 16-bit greys scaled to 8 bits."""

    side: int
    """Pixels per side after resizing."""
    mean: Channels
    """Subtracted per channel, after scaling to [0, 1]."""
    std: Channels
    """Divided by per channel."""

    @classmethod
    def read(cls, folder: Path) -> SquareRecipe:
        """From the `preprocessor_config.json` beside a model; raises InfrastructureError without a usable one."""
        file = folder / "preprocessor_config.json"
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            side = raw["size"]["height"] if "height" in raw["size"] else raw["size"]["shortest_edge"]
            mean, std = (tuple(float(value) for value in raw[key]) for key in ("image_mean", "image_std"))
            red, green, blue = mean
            return cls(int(side), (red, green, blue), (std[0], std[1], std[2]))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise InfrastructureError(f"{file} does not say size, image_mean and image_std: {error!r}.") from error

    def pixels(self, images: Sequence[Image]) -> torch.Tensor:
        """Normalised pixels, float32 of shape (n, 3, side, side)."""
        import torch

        return torch.stack([square(_eight_bits(image), self.side, self.mean, self.std) for image in images])


def _eight_bits(image: Image) -> Image:
    import numpy as np
    from PIL import Image as Images

    if not image.mode.startswith("I;16"):
        return image
    # No official code is the reference here, and Pillow would turn nearly every such picture white.
    return Images.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
