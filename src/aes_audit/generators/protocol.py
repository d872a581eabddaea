"""What a generator is to the rest of the project, and what one request and one answer look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Generator", "ImageRequest", "MissingImage", "ResolvedGenerator"]


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image to make. Everything else is the generator's own and the same for every request."""

    prompt: str
    """The text to draw."""
    seed: int
    """Seed of the initial noise, drawn on the CPU: the image does not depend on its batch or worker."""


@dataclass(frozen=True, slots=True)
class MissingImage:
    """An image that could not be made; counted, shown, never scored and never replaced."""

    reason: str
    """Why, in words."""


class Generator(Protocol):
    """A loaded text-to-image model."""

    def generate(self, requests: Sequence[ImageRequest]) -> list[Image | MissingImage]:
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

    def load(self) -> Generator:
        """Load the weights; raises InfrastructureError."""
        ...
