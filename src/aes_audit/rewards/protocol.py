"""What a reward is to the rest of the project, and what a built-in one is made of. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Answer", "Architecture", "DetailedReward", "ResolvedReward", "Reward", "TextReading", "answers"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reward says about one image and one text: a value or an error, never both, never neither."""

    value: float | None
    """The score in the reward's own unit, finite; None when there is none."""
    error: str | None = None
    """Why there is no score."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else is known, for the evidence's extra columns: `sigma`, `text_tokens`, `truncated`, `recipe_note`."""


class Reward(Protocol):
    """A loaded reward model; all that a third party must write."""

    def score(self, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
        """r(images[i], texts[i]) for every i, in the reward's own unit, higher = better; NaN where there is no score.

        An image object or a text that occurs several times should be encoded once.
        """
        ...


@runtime_checkable
class DetailedReward(Protocol):
    """A reward that also says why a score is missing and what it noticed."""

    def answers(self, images: Sequence[Image], texts: Sequence[str]) -> list[Answer]:
        """One answer per (images[i], texts[i])."""
        ...


def answers(reward: Reward, images: Sequence[Image], texts: Sequence[str]) -> list[Answer]:
    """One answer per (images[i], texts[i]); a score that is no finite number becomes an error."""
    if isinstance(reward, DetailedReward):
        return reward.answers(images, texts)
    return [
        Answer(float(value)) if math.isfinite(value) else Answer(None, f"the reward gave {value}")
        for value in reward.score(images, texts)
    ]


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


class TextReading(NamedTuple):
    """What a model's tokenizer makes of a text, before anything is computed."""

    tokens: int
    """Number of tokens before truncation, the model's own start and end tokens included."""
    truncated: bool
    """Whether some of them do not reach the model."""
    refusal: str | None = None
    """Why the text cannot be scored at all; None for nearly every text."""


ImageState = TypeVar("ImageState")
TextState = TypeVar("TextState")


class Architecture(Protocol[ImageState, TextState]):
    """The parts of a built-in reward: an image and a text are encoded apart and once, then combined pair by pair."""

    outputs: tuple[str, ...]
    """Names of what `combine` returns per pair; the first is the score."""
    image_batch: int
    """Images per forward pass to start with."""
    pair_batch: int
    """Pairs per forward pass to start with."""

    def read_text(self, text: str) -> TextReading:
        """Count the text's tokens, or say why it is refused."""
        ...

    def image_note(self, image: Image) -> str | None:
        """What we do where the official code raises on such an image; None where it does not."""
        ...

    def encode_images(self, images: Sequence[Image]) -> Sequence[ImageState]:
        """One state per image, from one forward pass."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Sequence[TextState]:
        """One state per text."""
        ...

    def combine(self, images: Sequence[ImageState], texts: Sequence[TextState]) -> Sequence[tuple[float, ...]]:
        """The outputs of (images[i], texts[i]) for every i."""
        ...
