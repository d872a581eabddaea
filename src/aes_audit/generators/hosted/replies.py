"""What an API answered to a request for an image, in one shape for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from aes_audit.endpoints.failures import shortened
from aes_audit.endpoints.payload import Payload, dig
from aes_audit.evidence.keys import JSON
from aes_audit.generators.hosted.decoding import BrokenImage, decode_image
from aes_audit.generators.protocol import MissingImage

__all__ = ["Painter", "Reply", "outcome", "reported"]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a host, taken apart and not yet believed."""

    image: str | None = None
    """The picture in base64, the first if there are several."""
    mime: str = ""
    """What the host says the picture is."""
    text: str = ""
    """What the model said instead, or besides."""
    refusal: str | None = None
    """Why nothing was drawn, when that was meant: a filter or the model refused."""
    notes: Mapping[str, JSON] = field(default_factory=dict)
    """What the host says about itself and this answer, for the image's record."""
    usd: float | None = None
    """What the answer cost, where the host says so or nothing was drawn; None for the list price."""


class Painter(Protocol):
    """Asks one API for an image."""

    def paint(self, prompt: str, seed: int | None) -> Reply:
        """One answer; raises CallFailed. `seed` is sent along where it is given."""
        ...


def outcome(reply: Reply) -> Image.Image | MissingImage:
    """The picture of a reply, or why there is none; never a stand-in."""
    if reply.image is not None:
        try:
            return decode_image(reply.image, reply.mime)
        except BrokenImage as broken:
            return MissingImage(f"the image in the answer cannot be used: {broken}", kind="failed")
    if reply.refusal is not None:
        return MissingImage(f"refused: {shortened(reply.refusal)}", kind="refused")
    if reply.text.strip():
        return MissingImage(f"text instead of an image: {shortened(reply.text)}", kind="text_only")
    return MissingImage("the answer holds neither image nor text", kind="failed")


def reported(payload: Payload, *names: str) -> dict[str, JSON]:
    """The fields of these names, where the host filled them with words or a usage table of numbers."""
    found: dict[str, JSON] = {}
    for name in names:
        value: Any = dig(payload, name)
        if isinstance(value, str) and value:
            found[name] = shortened(value)
        elif isinstance(value, dict):
            found[name] = {
                shortened(part): number for part, number in value.items() if isinstance(number, int) and number < 2**63
            }
    return found
