"""Editors, pinned and not loaded: image-to-image with the weights of a text-to-image model. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.resolve import DiffusersModel

if TYPE_CHECKING:
    from PIL.Image import Image

    from aes_audit.generators.image_to_image import DiffusersEditor

__all__ = ["STRENGTH", "EditRequest", "ResolvedEditor", "SourcePicture"]

STRENGTH = 0.5
"""How far a picture is sent back towards noise before it is drawn on; PROTOCOL section 7, as the paper did."""


class SourcePicture(Protocol):
    """A picture that is to be edited."""

    @property
    def sha256(self) -> str:
        """Digest of its file."""
        ...

    def open(self) -> Image:
        """The picture; called once per request, so that a plan of any length holds no pictures."""
        ...


@dataclass(frozen=True, slots=True)
class EditRequest(ImageRequest):
    """One picture to edit towards a prompt."""

    picture: SourcePicture
    """Where the editing starts."""

    @property
    def source(self) -> str:
        """Digest of the picture: another picture is another request."""
        return self.picture.sha256


@dataclass(frozen=True, slots=True)
class ResolvedEditor:
    """What a text-to-image model makes of a picture that is handed to it: same weights, same settings."""

    model: DiffusersModel
    """The text-to-image model."""
    strength: float = STRENGTH
    """In (0, 1]: the share of the steps that is drawn anew."""

    @property
    def name(self) -> str:
        """What progress and errors call it; the evidence names the model."""
        return f"{self.model.name}, editing"

    @property
    def revision(self) -> str:
        """Commit or content digest of the model."""
        return self.model.revision

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that determines an edited image besides prompt, seed and source."""
        return {**self.model.identity, "task": "edit", "strength": self.strength}

    @property
    def batch_size(self) -> int:
        """Pictures per call."""
        return self.model.batch_size

    @property
    def independent(self) -> bool:
        """An edited image may depend on its batch by a rounding, as the model's own images do."""
        return False

    def load(self) -> DiffusersEditor:
        """Load the model and edit with it; raises InfrastructureError, or MissingScores where it cannot edit."""
        from aes_audit.generators.image_to_image import load_editor

        return load_editor(self)
