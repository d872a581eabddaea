"""A hosted generator, named and not yet called: enough to look up its images, and to say what they may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aes_audit.endpoints.address import OPENAI, Address
from aes_audit.endpoints.budget import Budget
from aes_audit.endpoints.caller import Caller, Limits
from aes_audit.endpoints.extras import needing, refuse_missing
from aes_audit.endpoints.keys import find_key
from aes_audit.endpoints.pacing import Clock
from aes_audit.errors import UsageError
from aes_audit.evidence.keys import JSON

if TYPE_CHECKING:
    from aes_audit.generators.hosted.generator import HostedGenerator
    from aes_audit.generators.hosted.replies import Painter

__all__ = ["HostedModel"]

_REQUEST = 1
"""Raised when requests change in a way that changes images."""


@dataclass(frozen=True, slots=True)
class HostedModel:
    """A model behind an API. Nobody can pin it: its revision is its id, and what the host reports is kept per image."""

    name: str
    """The `model` column of the evidence: the SPEC as typed."""
    api: str
    """How it is asked: gemini, images or chat."""
    model: str
    """The host's name for it."""
    address: Address
    """Where it is asked."""
    size: str | None
    """Size as the API spells it; None leaves it to the model."""
    quality: str | None
    """Quality as the images API spells it; None leaves it to the model."""
    seeded: bool
    """Whether the item's seed is sent; otherwise images are drawn unseeded (rule R4)."""
    price: float | None
    """US dollars per image; None where nobody knows."""
    limits: Limits = field(default_factory=Limits)
    """How hard the host may be pressed."""
    budget: Budget = field(default_factory=Budget, compare=False)
    """What its calls are paid from."""
    clock: Clock = field(default_factory=Clock, compare=False)
    """Time as its calls see it."""

    @property
    def service(self) -> str:
        """The extra that brings its client library: gemini or openai."""
        return "gemini" if self.api == "gemini" else "openai"

    @property
    def revision(self) -> str:
        """The model's id: hosts give no more to hold on to."""
        return self.model

    @property
    def identity(self) -> Mapping[str, JSON]:
        """Everything that determines an image besides prompt and seed, as far as anyone outside can know."""
        from aes_audit.generators.hosted.painters import INSTRUCTION

        return {
            "kind": "hosted",
            "api": self.api,
            "endpoint": self.address.url,
            "model": self.model,
            "size": self.size,
            "quality": self.quality,
            "instruction": None if self.api == "images" else INSTRUCTION,
            # The item's seed stays part of an image's key: two items with one text have two images.
            "seed": "sent" if self.seeded else "none",
            "request": _REQUEST,
        }

    @property
    def batch_size(self) -> int:
        """Requests per call of `generate`: as many as may be under way at once."""
        return self.limits.concurrency

    @property
    def independent(self) -> bool:
        """An image does not depend on which others are asked for."""
        return True

    def paid_from(self, budget: Budget) -> HostedModel:
        """The same model on this budget. Raises UsageError for a limited budget when the price is not known."""
        if budget.limit_usd is not None and self.price is None:
            raise UsageError(
                f"{self.name}: --audit-budget needs to know what an image costs: append [price=USD] to the model."
            )
        return replace(self, budget=budget)

    def refuse_unready(self) -> None:
        """Raise UsageError when the client library or the key is missing; nothing is imported or sent."""
        refuse_missing(self.service)
        find_key(self.address)

    def load(self) -> HostedGenerator:
        """Open the connection; raises UsageError when client library or key are missing. Nothing is sent."""
        from aes_audit.generators.hosted.generator import HostedGenerator

        caller = Caller(self.name, self.limits, price=self.price or 0.0, budget=self.budget, clock=self.clock)
        return HostedGenerator(self._painter(), caller, seeded=self.seeded)

    def _painter(self) -> Painter:
        from aes_audit.generators.hosted.painters import ChatPainter, GeminiPainter, ImagesPainter

        key = find_key(self.address)
        with needing(self.service):
            if self.api == "gemini":
                from aes_audit.endpoints.gemini_session import GeminiSession

                gemini = GeminiSession(self.address, key, self.limits.timeout)
                return GeminiPainter(gemini, self.model, self.size)
            from aes_audit.endpoints.openai_session import OpenAISession

            session = OpenAISession(self.address, key, self.limits.timeout)
        if self.api == "chat":
            return ChatPainter(session, self.model, self.size)
        wanted = {"size": self.size, "quality": self.quality}
        # OpenAI's own models always answer in base64 and refuse the field; others would answer with a link.
        wanted["response_format"] = None if self.address == OPENAI else "b64_json"
        return ImagesPainter(session, self.model, {name: value for name, value in wanted.items() if value is not None})
