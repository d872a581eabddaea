"""A dimension judge behind an OpenAI-compatible endpoint, named and not yet asked. Imports no client library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.endpoints.address import OPENAI, Address, read_address
from aes_audit.endpoints.budget import Budget
from aes_audit.endpoints.caller import Caller, Limits
from aes_audit.endpoints.extras import needing, refuse_missing
from aes_audit.endpoints.keys import find_key
from aes_audit.endpoints.options import LIMITS, read_choice, read_limits, read_number, read_whole
from aes_audit.endpoints.pacing import Clock
from aes_audit.errors import UnknownName, UsageError
from aes_audit.judges.guideline import Guideline
from aes_audit.judges.spec import ORDERS, JudgeSpec, read_guideline, read_size
from aes_audit.weights.pinned import Weights

if TYPE_CHECKING:
    from aes_audit.judges.endpoint_judge import EndpointJudge

__all__ = ["EndpointJudgeModel", "resolve_endpoint_judge"]

_OPTIONS = ("order", "size", "guideline", "top", "price", *LIMITS)
_MODEL = re.compile(r"[A-Za-z0-9][\w./:-]*")
_REQUEST = 1
"""Raised when requests change in a way that changes scores."""


@dataclass(frozen=True, slots=True)
class EndpointJudgeModel:
    """A judge that answers with log-probabilities; follows `ResolvedJudge`. Nobody can pin it."""

    name: str
    """The SPEC as typed."""
    model: str
    """The host's name for it."""
    address: Address
    """Where it is asked."""
    guideline: Guideline
    """What the questions say."""
    order: str = "text-first"
    """What comes first in the user's turn: text-first or image-first."""
    size: tuple[int, int] = (512, 512)
    """Width and height to which every image is brought before it is sent, its shape not kept."""
    top: int = 20
    """How many of the likeliest tokens are asked for; hosts list 20 at most, some fewer."""
    price: float | None = None
    """US dollars per question; None where nobody knows."""
    limits: Limits = field(default_factory=Limits)
    """How hard the host may be pressed."""
    budget: Budget = field(default_factory=Budget, compare=False)
    """What its calls are paid from."""
    clock: Clock = field(default_factory=Clock, compare=False)
    """Time as its calls see it."""

    @property
    def revision(self) -> str:
        """The model's id: hosts give no more to hold on to."""
        return self.model

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that determines a score besides image and dimension, as far as anyone outside can know."""
        return {
            "kind": "endpoint-judge",
            "endpoint": self.address.url,
            "model": self.model,
            "guideline": self.guideline.identity,
            "recipe": {
                "question": self.order,
                "image": f"squashed-{self.size[0]}x{self.size[1]}-bicubic-png",
                "score": f"p1+2p2 over the tokens 0, 1, 2 among the top {self.top}",
            },
            "request": _REQUEST,
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        """Nothing is known about what it was trained on."""
        return ()

    @property
    def sources(self) -> tuple[Weights, ...]:
        """Nothing is fetched for it."""
        return ()

    @property
    def batch_size(self) -> int | None:
        """What was paid for is stored before the next image is asked about."""
        return 1

    def paid_from(self, budget: Budget) -> EndpointJudgeModel:
        """The same judge on this budget. Raises UsageError for a limited budget when the price is not known."""
        if budget.limit_usd is not None and self.price is None:
            raise UsageError(
                f"{self.name}: --audit-budget needs to know what a question costs: append [price=USD] to the judge."
            )
        return replace(self, budget=budget)

    def load(self) -> EndpointJudge:
        """Open the connection; raises UsageError when client library or key are missing. Nothing is sent."""
        from aes_audit.judges.endpoint_judge import EndpointJudge

        refuse_missing("openai")
        key = find_key(self.address)
        with needing("openai"):
            from aes_audit.endpoints.openai_session import OpenAISession

            session = OpenAISession(self.address, key, self.limits.timeout)
        caller = Caller(self.name, self.limits, price=self.price or 0.0, budget=self.budget, clock=self.clock)
        return EndpointJudge(session, caller, self)


def resolve_endpoint_judge(spec: JudgeSpec, root: Path) -> EndpointJudgeModel:
    """The judge that `openai:MODEL[@URL]` names; `root` is what a relative guideline file refers to.

    Raises UsageError or UnknownName; key and client library are looked for when the first question is asked.
    """
    model, at, url = spec.base.removeprefix("openai:").partition("@")
    if not _MODEL.fullmatch(model):
        raise UsageError(f"judge {spec.text!r} names no hosted model: write openai:MODEL or openai:MODEL@URL.")
    if spec.loras:
        raise UsageError(f"judge {spec.text!r}: the host loads adapters, under a model name of their own.")
    options = spec.options
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise UnknownName("option of a hosted judge", unknown[0], _OPTIONS)
    price = options.get("price")
    return EndpointJudgeModel(
        name=spec.text,
        model=model,
        address=read_address(url) if at else OPENAI,
        guideline=read_guideline(options, root),
        order=read_choice("order", options.get("order", ORDERS[0]), ORDERS),
        size=read_size(options),
        top=read_whole("top", options.get("top", "20"), most=20),
        price=None if price is None else read_number("price", price, "US dollars per question, 0 for none", least=0.0),
        limits=read_limits(options),
    )
