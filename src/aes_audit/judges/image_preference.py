"""Preference judges that look: pinned by endpoint and model, and asked which of two images follows a text better."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aes_audit.endpoints.address import Address
from aes_audit.endpoints.budget import Budget
from aes_audit.endpoints.caller import Caller, Limits
from aes_audit.endpoints.extras import needing, refuse_missing
from aes_audit.endpoints.keys import find_key
from aes_audit.endpoints.pacing import Clock
from aes_audit.errors import AesAuditError, UsageError
from aes_audit.judges.image_preference_price import Price
from aes_audit.judges.protocol import NotAnswered, PairQuestion, PreferenceAnswer

if TYPE_CHECKING:
    from aes_audit.judges.image_preference_chat import PreferenceChat, Reply

__all__ = ["ANSWERS", "INSTRUCTION", "HostedPreference", "LoadedPreference"]

INSTRUCTION = (
    "You are shown two images, then a description. Decide which of the two images matches the description better. "
    'Answer with a JSON object that has one key, "answer", and an integer: 0 if the first image matches better, '
    "1 if the second image matches better, -1 if they match equally well."
)
"""What a judge is asked, in our own words; part of what identifies an answer. Source: PROTOCOL section 5."""

ANSWERS = 5
"""How often a judge is asked in all when what it answers is not valid, as the paper did."""

_REQUEST = 1
"""Raised when requests change in a way that changes answers."""


@dataclass(frozen=True, slots=True)
class HostedPreference:
    """A judge behind an OpenAI-compatible endpoint. Nobody can pin it: its revision is its id."""

    name: str
    """`preference/<judge>`."""
    model: str
    """The host's name for it."""
    address: Address
    """Where it is asked."""
    temperature: float | None = 0.3
    """Sampling temperature, the paper's by default; None leaves it to the host."""
    orders: str = "both"
    """`both`, or the paper's `one`: a single order per pair, drawn from the item's seed."""
    schema: bool = True
    """Whether a JSON schema is sent along; where a host refuses one, it is asked without."""
    max_tokens: int | None = None
    """Longest answer in tokens; None leaves it to the host."""
    price: Price | None = None
    """What a question costs; None where nobody knows."""
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
        """Everything that determines an answer besides text, images and their order, as far as anyone can know.

        `orders` is not in it: an answer about one order is the same, whether the other order is asked about or not.
        """
        return {
            "kind": "image-preference",
            "endpoint": self.address.url,
            "model": self.model,
            "temperature": self.temperature,
            "schema": self.schema,
            "max_tokens": self.max_tokens,
            "instruction_sha256": hashlib.sha256(INSTRUCTION.encode()).hexdigest(),
            "request": _REQUEST,
        }

    @property
    def batch_size(self) -> int:
        """Questions per call of `ask`: as many as may be under way at once."""
        return self.limits.concurrency

    def paid_from(self, budget: Budget) -> HostedPreference:
        """The same judge on this budget. Raises UsageError for a limited budget when the price is not known."""
        if budget.limit_usd is not None and self.price is None:
            raise UsageError(
                f"{self.name}: --audit-budget needs to know what a question costs: append [price=USD] to the judge, or "
                "[price_in=USD,price_out=USD] per million tokens."
            )
        return replace(self, budget=budget)

    def refuse_unready(self) -> None:
        """Raise UsageError when the client library or the key is missing; nothing is imported or sent."""
        refuse_missing("openai")
        find_key(self.address)

    def load(self) -> LoadedPreference:
        """Open the connection; raises UsageError when client library or key are missing. Nothing is sent."""
        from aes_audit.judges.image_preference_chat import PreferenceChat

        key = find_key(self.address)
        with needing("openai"):
            from aes_audit.endpoints.openai_session import OpenAISession

            session = OpenAISession(self.address, key, self.limits.timeout)
        chat = PreferenceChat(session, self)
        set_aside = self.price.question if self.price else 0.0
        caller = Caller(self.name, self.limits, price=set_aside, budget=self.budget, clock=self.clock)
        return LoadedPreference(self, chat, caller)


class LoadedPreference:
    """Asks through an endpoint, many questions at once. What cannot be judged is an answer without a choice."""

    def __init__(self, judge: HostedPreference, chat: PreferenceChat, caller: Caller) -> None:
        """Keep who is asked, how, and under which limits."""
        self._judge = judge
        self._chat = chat
        self._caller = caller

    @property
    def name(self) -> str:
        """`preference/<judge>`."""
        return self._judge.name

    @property
    def identity(self) -> Mapping[str, Any]:
        """As pinned."""
        return self._judge.identity

    def ask(self, requests: Sequence[PairQuestion]) -> list[PreferenceAnswer | NotAnswered]:
        """One answer per question, in order; once the host fails for good or the budget is spent, no more are sent."""
        answers = self._caller.map(self._answered, requests)
        return [NotAnswered(answer) if isinstance(answer, AesAuditError) else answer for answer in answers]

    def _answered(self, question: PairQuestion) -> PreferenceAnswer:
        attempts = 0
        while True:
            attempts += 1
            reply = self._caller.call(lambda: self._chat.reply(question), cost=self._cost)
            if reply.choice is not None:
                return PreferenceAnswer(reply.choice, None, attempts, reply.notes)
            if reply.final or attempts == ANSWERS:
                tried = f" ({attempts} answers)" if attempts > 1 else ""
                return PreferenceAnswer(None, f"{reply.fault}{tried}", attempts, reply.notes)

    def _cost(self, reply: Reply) -> float | None:
        if reply.usd is not None or self._judge.price is None:
            return reply.usd
        return self._judge.price.of(reply.tokens_in, reply.tokens_out)
