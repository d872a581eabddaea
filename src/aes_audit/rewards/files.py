"""The files that a loader of a built-in reward is given; where they come from is settled before. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["RewardFiles"]


@dataclass(frozen=True, slots=True)
class RewardFiles:
    """Official weights and what must lie beside them."""

    checkpoint: Path
    """The official weights file."""
    folder: Path
    """Where configuration files beside it lie (`config.json`, `med_config.json`, `open_clip_config.json`, ...)."""
    companions: Mapping[str, Path] = field(default_factory=dict)
    """Folders by role: `tokenizer`, or `base` for HPSv3's base model without weights."""
