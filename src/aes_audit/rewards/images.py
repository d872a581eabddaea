"""Image recipes in Pillow and torch alone, so that a score does not depend on what else is installed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aes_audit.errors import InfrastructureError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

__all__ = ["SquareRecipe"]


@dataclass(frozen=True, slots=True)
class SquareRecipe:
    """RGB, squashed to a square with Pillow's bicubic filter, scaled to [0, 1] and normalised."""

    side: int
    """Pixels per side after resizing."""
    mean: tuple[float, float, float]
    """Subtracted per channel, after scaling to [0, 1]."""
    std: tuple[float, float, float]
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
        import numpy as np
        import torch
        from PIL.Image import Resampling

        size = (self.side, self.side)
        rgb = [_rgb(image) for image in images]
        resized = [image if image.size == size else image.resize(size, Resampling.BICUBIC) for image in rgb]
        stacked = torch.from_numpy(np.stack([np.asarray(image, dtype=np.float32) for image in resized])) / 255
        return ((stacked - torch.tensor(self.mean)) / torch.tensor(self.std)).permute(0, 3, 1, 2).contiguous()


def _rgb(image: Image) -> Image:
    import numpy as np
    from PIL import Image as Images

    if not image.mode.startswith("I;16"):
        return image.convert("RGB")
    # Pillow would cut 16-bit greys off at 255, which turns nearly every such picture white.
    return Images.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8)).convert("RGB")
