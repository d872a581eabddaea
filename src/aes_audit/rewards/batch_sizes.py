"""How many images share a forward pass to start with; memory that runs out halves it later."""

from __future__ import annotations

from typing import Any

__all__ = ["images_per_pass"]

CACHED = 1 << 19
"""Numbers of one activation (2 MiB in float32) up to which a larger batch was faster on a CPU."""


def images_per_pass(vision: Any, device: str) -> int:
    """For a transformers image tower with this configuration (image_size, patch_size, hidden_size).

    On a CPU a batch gains nothing once an activation leaves the cache (docs/rewards_speed.md). An accelerator wants
    many.
    """
    if not device.startswith("cpu"):
        return 64
    tokens = (vision.image_size // vision.patch_size) ** 2 + 1
    return int(min(16, max(1, CACHED // (tokens * vision.hidden_size))))
