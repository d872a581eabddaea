"""What judges are to the rest of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["DimensionJudge", "PairScores", "PreferenceJudge", "ResolvedJudge"]


class DimensionJudge(Protocol):
    """A loaded judge of aesthetic dimensions."""

    def probabilities(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities of the levels 0, 1, 2: shape (images, dimensions, 3), each row summing to 1."""
        ...

    def score(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """J = p(1) + 2 p(2): shape (images, dimensions), in [0, 2], higher = more conventional."""
        ...


class ResolvedJudge(Protocol):
    """A dimension judge that is pinned but not loaded."""

    @property
    def name(self) -> str:
        """The judge's own name; its scores carry `judge/<dimension>`."""
        ...

    @property
    def revision(self) -> str:
        """Commit or content digest, for people to read."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that determines a score besides image and dimension; JSON values only."""
        ...

    def load(self) -> DimensionJudge:
        """Load the weights; raises InfrastructureError."""
        ...


@dataclass(frozen=True, slots=True)
class PairScores:
    """What has been measured on the two images of one pair, for judges that decide by scores."""

    rewards: Mapping[tuple[str, str, str], float]
    """(reward, image, prompt) -> score, with image and prompt `original` or `wide`."""
    judged: Mapping[tuple[str, str], float]
    """(image, dimension) -> J."""
    selected: Sequence[str]
    """The dimensions that the wide prompt turns to their low end."""


class PreferenceJudge(Protocol):
    """Which of I_o and I_a follows p_a better, decided from scores."""

    @property
    def name(self) -> str:
        """`preference/<judge>`: the `scorer` column of the evidence."""
        ...

    def decide(self, pair: PairScores) -> float:
        """1 = the wide image, 0 = the original, 0.5 = a tie. Raises KeyError when a needed score is missing."""
        ...
