"""What a reward is to the rest of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ResolvedReward", "Reward"]


class Reward(Protocol):
    """A loaded reward model."""

    def score(self, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
        """r(images[i], texts[i]) for every i, in the reward's own unit, higher = better.

        An image object or a text that occurs several times is encoded once.
        """
        ...


class ResolvedReward(Protocol):
    """A reward that is pinned but not loaded: enough to look up what is in the store already."""

    @property
    def name(self) -> str:
        """The `scorer` column of the evidence."""
        ...

    @property
    def revision(self) -> str:
        """Commit or content digest, for people to read."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that determines a score besides image and text; JSON values only."""
        ...

    def load(self) -> Reward:
        """Load the weights; raises InfrastructureError."""
        ...
