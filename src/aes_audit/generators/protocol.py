"""What a generator is to the rest of the project, and what one request and one answer look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "FAULTS",
    "FLAGS",
    "Answer",
    "Generator",
    "ImageRequest",
    "MissingImage",
    "NotAttempted",
    "ResolvedGenerator",
]

FAULTS: tuple[str, ...] = (
    "black",
    "constant",
    "nonfinite",
    "wrong_size",
    "duplicate",
    "safety",
    "refused",
    "text_only",
    "failed",
)
"""Kinds of missing images; docs/images.md says what each means and how it is found."""

FLAGS: tuple[str, ...] = ("near_blank", "identical_pair")
"""What is counted and shown about an image that stays data."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image to make. Everything else is the generator's own and the same for every request."""

    prompt: str
    """The text to draw."""
    seed: int
    """Seed of the initial noise, drawn on the CPU: the image does not depend on its batch or worker."""

    @property
    def source(self) -> str | None:
        """Digest of the picture that is edited; None where an image is drawn from nothing."""
        return None


@dataclass(frozen=True, slots=True)
class MissingImage:
    """An image that could not be made; counted, shown, never scored and never replaced."""

    reason: str
    """Why, in words."""
    kind: str = "failed"
    """One of FAULTS."""


@dataclass(frozen=True, slots=True)
class NotAttempted:
    """A request without an answer, for want of money or of a host: nothing is stored, and a later run may make it.

    Answered requests of the same call are stored first; then the run ends with the reason.
    """

    reason: str
    """Why, in words."""
    failed: bool = False
    """Whether the host failed; otherwise the budget is spent."""


Answer: TypeAlias = "Image | MissingImage | NotAttempted"
"""What becomes of one request."""


class Generator(Protocol):
    """A loaded text-to-image model.

    It may also have `prompt_notes(prompt) -> Mapping[str, JSON]`: what it knows about a text, kept beside the image;
    under `encoders` the tokens, limit and truncation per tokenizer (rule R9). And it may have
    `begin(requests) -> Callable[[], Sequence[Answer]]`, the first part of `generate`: what it returns does the rest,
    and is called once, in another thread, while the next batch is begun. One batch at most waits to be finished.
    """

    def generate(self, requests: Sequence[ImageRequest]) -> Sequence[Answer]:
        """One answer per request, in order: an RGB image of any size, or why there is none."""
        ...


class ResolvedGenerator(Protocol):
    """A generator that is pinned but not loaded: enough to look up what is in the store already."""

    @property
    def name(self) -> str:
        """The `model` column of the evidence."""
        ...

    @property
    def revision(self) -> str:
        """Commit or content digest, for people to read."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that determines an image besides prompt and seed; JSON values only."""
        ...

    @property
    def batch_size(self) -> int:
        """Requests per call of `generate`."""
        ...

    @property
    def independent(self) -> bool:
        """Whether an image is the same in any batch; then only missing ones are requested, not whole batches."""
        ...

    def load(self) -> Generator:
        """Load the weights; raises InfrastructureError."""
        ...
