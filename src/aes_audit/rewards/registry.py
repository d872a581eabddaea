"""The rewards that have a name, pinned but not loaded. Adding one is one entry here. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.errors import UnknownName
from aes_audit.resources import control_folder
from aes_audit.weights.pinned import Weights, resolve_weights
from aes_audit.weights.source import Source

if TYPE_CHECKING:
    from aes_audit.rewards.clip import ClipReward

__all__ = ["REWARDS", "ClipEntry", "ClipRewardModel", "resolve_reward"]


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """A reward in the CLIP family."""

    source: Source
    """Folder or repository of the CLIPModel."""
    scaled: bool
    """Whether scores are multiplied by exp(logit_scale)."""


REWARDS: dict[str, ClipEntry] = {
    "control/clip": ClipEntry(Source(folder=control_folder("clip")), scaled=False),
    "control/preference": ClipEntry(Source(folder=control_folder("preference")), scaled=True),
}


@dataclass(frozen=True, slots=True)
class ClipRewardModel:
    """A CLIP reward, pinned and not loaded."""

    name: str
    """The `scorer` column of the evidence."""
    weights: Weights
    """The CLIPModel folder."""
    scaled: bool
    """Whether scores are multiplied by exp(logit_scale)."""
    device: str
    """Where it runs."""

    @property
    def revision(self) -> str:
        """Commit or content digest."""
        return self.weights.revision

    @property
    def identity(self) -> Mapping[str, Any]:
        """Weights and recipe; the device is provenance, not identity."""
        recipe = {"image": "square-bicubic", "text": "clip-raw", "dtype": "float32", "scaled": self.scaled}
        return {"kind": "clip", "weights": self.weights.identity, "recipe": recipe}

    def load(self) -> ClipReward:
        """Load the weights; raises InfrastructureError."""
        from aes_audit.rewards.clip import load_clip

        return load_clip(self.weights.folder(), scaled=self.scaled, device=self.device)


def resolve_reward(name: str, *, device: str, cache: Path | None = None) -> ClipRewardModel:
    """Pin the reward with this name; raises UnknownName (with what exists) or ModelNotFound."""
    if name not in REWARDS:
        raise UnknownName("reward", name, REWARDS)
    entry = REWARDS[name]
    return ClipRewardModel(name, resolve_weights(entry.source, "config.json", cache), entry.scaled, device)
