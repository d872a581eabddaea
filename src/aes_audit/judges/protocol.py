"""What judges are to the rest of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from aes_audit.errors import AesAuditError
    from aes_audit.rewards.protocol import Answer
    from aes_audit.weights.pinned import Weights

__all__ = [
    "FIRST",
    "NEITHER",
    "SECOND",
    "DetailedJudge",
    "DimensionJudge",
    "ImagePreferenceJudge",
    "NotAnswered",
    "PairQuestion",
    "PairScores",
    "PreferenceAnswer",
    "PreferenceJudge",
    "ResolvedImagePreference",
    "ResolvedJudge",
]


class DimensionJudge(Protocol):
    """A loaded judge of aesthetic dimensions."""

    def probabilities(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities of the levels 0, 1, 2: shape (images, dimensions, 3), each row summing to 1."""
        ...

    def score(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """J = p(1) + 2 p(2): shape (images, dimensions), in [0, 2], higher = more conventional."""
        ...


@runtime_checkable
class DetailedJudge(Protocol):
    """A dimension judge that knows why it has no score."""

    def answers(self, images: Sequence[Image], dimensions: Sequence[str]) -> list[list[Answer]]:
        """J of every image and dimension, or the reason why there is none."""
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

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of its scores must know, a sentence each."""
        ...

    @property
    def sources(self) -> tuple[Weights, ...]:
        """Everything that is fetched for it, pinned."""
        ...

    @property
    def batch_size(self) -> int | None:
        """Images whose scores are stored at once; None where nothing speaks for few."""
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


FIRST, SECOND, NEITHER = 0, 1, -1
"""What a judge that is shown two images may answer: which follows the text better. Source: PROTOCOL section 5."""


@dataclass(frozen=True, slots=True)
class PairQuestion:
    """Which of two images, shown in this order, follows a text better?"""

    text: str
    """p_a."""
    first: bytes
    """The PNG file that is shown first."""
    second: bytes
    """The PNG file that is shown second."""


@dataclass(frozen=True, slots=True)
class PreferenceAnswer:
    """What became of one question: a choice, or the reason why all attempts gave none."""

    choice: int | None
    """FIRST, SECOND or NEITHER; None when no attempt gave a valid answer."""
    error: str | None = None
    """Why there is no choice; None when there is one."""
    attempts: int = 1
    """How often the judge answered."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the judge said of itself and this answer, for the record in the store; JSON values only."""


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """A question that a failing host or a spent budget kept from being answered: nothing is stored."""

    failure: AesAuditError
    """What to raise once everything that was answered is stored."""


class ImagePreferenceJudge(Protocol):
    """A preference judge that looks at both images, loaded."""

    @property
    def name(self) -> str:
        """`preference/<judge>`: the `scorer` column of the evidence."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that determines an answer besides text, images and their order; JSON values only."""
        ...

    def ask(self, requests: Sequence[PairQuestion]) -> list[PreferenceAnswer | NotAnswered]:
        """One answer per question, in order."""
        ...


class ResolvedImagePreference(Protocol):
    """A preference judge that looks at both images, pinned but not loaded: enough to look up what it has answered."""

    @property
    def name(self) -> str:
        """`preference/<judge>`: the `scorer` column of the evidence."""
        ...

    @property
    def revision(self) -> str:
        """Commit, digest or model id, for people to read."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that determines an answer besides text, images and their order; JSON values only."""
        ...

    @property
    def orders(self) -> str:
        """`both`: every pair is asked about twice, in either order; `one`: once, in an order drawn per item."""
        ...

    @property
    def batch_size(self) -> int:
        """Questions per call of `ask`; its answers are stored before the next call."""
        ...

    def load(self) -> ImagePreferenceJudge:
        """Open it; raises UsageError or InfrastructureError."""
        ...
