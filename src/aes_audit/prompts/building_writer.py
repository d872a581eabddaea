"""The writer of wide prompts: a model behind an OpenAI-compatible endpoint, named, and then asked.

Imports no client library until the first question. Source: PROTOCOL section 3, "Rewrite".
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aes_audit.endpoints.address import OPENAI, Address, read_address
from aes_audit.endpoints.budget import Budget
from aes_audit.endpoints.caller import Caller, Limits
from aes_audit.endpoints.extras import needing, refuse_missing
from aes_audit.endpoints.failures import CallFailed, shortened
from aes_audit.endpoints.keys import find_key
from aes_audit.endpoints.options import LIMITS, read_choice, read_limits, read_number
from aes_audit.endpoints.pacing import Clock
from aes_audit.endpoints.payload import Payload, charged, dig
from aes_audit.errors import UnknownName, UsageError
from aes_audit.evidence.keys import digest
from aes_audit.generators.spec import parse_spec
from aes_audit.prompts.building_journal import Answer
from aes_audit.prompts.instruction import FIELD

__all__ = ["MODEL", "OpenWriter", "Writer", "read_answer", "resolve_writer"]

MODEL = "Qwen/Qwen3-VL-235B-A22B-Instruct"
"""The writer of the paper."""

_OPTIONS = ("temperature", "schema", "price", *LIMITS)
_NAME = re.compile(r"[A-Za-z0-9][\w./:-]*")
_LONGEST = 4000
"""Characters of a wide prompt beyond which nobody needs to count its words."""
_REFUSED = frozenset({"moderation_blocked", "content_policy_violation", "content_filter", "content_moderation"})
"""Error codes that say no to the request, not to the call."""
# Models that were not held to a schema like to set their JSON into a fence.
_FENCE = re.compile(r"```(?:json)?\s*(?P<inside>.*?)\s*```", re.DOTALL | re.IGNORECASE)
_SCHEMA: Mapping[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "wide_prompt",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {FIELD: {"type": "string"}},
            "required": [FIELD],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True, slots=True)
class Writer:
    """A model that writes, not yet called."""

    model: str
    """Its id at the endpoint."""
    address: Address
    """Where it is asked."""
    temperature: float | None = 0.1
    """Sampling temperature; None for the host's own."""
    schema: bool = True
    """Whether the answer is held to a JSON schema."""
    price: float | None = None
    """US dollars per answer; None where nobody knows."""
    limits: Limits = field(default_factory=Limits)
    """How hard the host may be pressed."""

    def options(self) -> dict[str, Any]:
        """Fields of every request besides model and messages."""
        options: dict[str, Any] = {} if self.temperature is None else {"temperature": self.temperature}
        return {**options, "response_format": _SCHEMA} if self.schema else options

    def key(self, messages: Sequence[Mapping[str, str]], attempt: int) -> str:
        """What an answer is an answer to; `attempt` tells equal questions about one caption apart."""
        asked = {"model": self.model, "endpoint": self.address.url, "messages": list(messages), **self.options()}
        return digest({**asked, "attempt": attempt})

    def refuse_unready(self, budget_usd: float | None) -> None:
        """Raise UsageError when client library or key are missing, or the price that a budget needs; sends nothing."""
        refuse_missing("openai")
        find_key(self.address)
        if budget_usd is not None and self.price is None:
            raise UsageError("--budget needs to know what an answer costs: append [price=USD] to the writer.")

    def opened(self, budget: Budget, clock: Clock) -> OpenWriter:
        """Open the connection; nothing is sent."""
        with needing("openai"):
            from aes_audit.endpoints.openai_session import OpenAISession

            session = OpenAISession(self.address, find_key(self.address), self.limits.timeout)
        caller = Caller(self.model, self.limits, price=self.price or 0.0, budget=budget, clock=clock)
        return OpenWriter(self, session, caller)


class OpenWriter:
    """An open connection to a writer."""

    def __init__(self, writer: Writer, session: Any, caller: Caller) -> None:
        """Made by Writer.opened."""
        self.writer = writer
        self.caller = caller
        self._session = session

    def ask(self, messages: Sequence[Mapping[str, str]]) -> Answer:
        """One answer; raises InfrastructureError when the host fails for good, BudgetSpent without money for it."""
        return self.caller.call(lambda: self._sent(messages), cost=lambda answer: answer.usd)

    def _sent(self, messages: Sequence[Mapping[str, str]]) -> Answer:
        try:
            payload = self._session.chat(self.writer.model, messages, **self.writer.options())
        except CallFailed as failed:
            if failed.code in _REFUSED:
                return Answer(fault="refused", said=str(failed), usd=0.0)
            raise
        return read_answer(payload, self.writer.price)


def resolve_writer(spec: str) -> Writer:
    """The writer that a SPEC names: `URL` for the paper's model there, or `openai:MODEL[@URL]`; then options.

    Options in brackets: temperature=NUMBER|default, schema=on|off, price=USD, and those of all hosted models. Raises
    UsageError or UnknownName.
    """
    parsed = parse_spec(spec)
    if parsed.loras or parsed.transformer or parsed.negative:
        raise UsageError(f"writer {spec!r}: a writer behind an endpoint takes nothing after a '+'.")
    options = parsed.options
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise UnknownName("option of a writer", unknown[0], _OPTIONS)
    service, _, rest = parsed.base.partition(":")
    model, at, url = (MODEL, "@", parsed.base) if service in ("http", "https") else rest.partition("@")
    if service not in ("openai", "http", "https") or not _NAME.fullmatch(model):
        raise UsageError(f"writer {spec!r}: write URL for {MODEL} there, or openai:MODEL@URL, or openai:MODEL.")
    address = read_address(url) if at else OPENAI
    temperature = options.get("temperature", "0.1")
    number = "a number of 0 or more, or default for the host's own"
    return Writer(
        model,
        OPENAI if address.url == OPENAI.url else address,
        None if temperature == "default" else abs(read_number("temperature", temperature, number, least=0.0)),
        read_choice("schema", options.get("schema", "on"), ("on", "off")) == "on",
        read_number("price", options["price"], "US dollars per answer", least=0.0) if "price" in options else None,
        read_limits(options),
    )


def read_answer(payload: Payload, price: float | None) -> Answer:
    """What a chat completion says; `price` is what it cost where the host does not say so."""
    choice, model = dig(payload, "choices", 0), dig(payload, "model")
    usd = price if (said := charged(payload)) is None else said
    name = shortened(model) if isinstance(model, str) and model else ""
    content, refusal = dig(choice, "message", "content"), dig(choice, "message", "refusal")
    text, fault = "", ""
    if (isinstance(refusal, str) and refusal.strip()) or dig(choice, "finish_reason") == "content_filter":
        fault, content = "refused", refusal or content
    elif dig(choice, "finish_reason") == "length":
        fault = "cut off"
    else:
        text, fault = _read(content)
    return Answer(text, fault, shortened(content) if fault else "", name, usd)


def _read(content: Any) -> tuple[str, str]:
    """The text of an answer, or what is wrong with it."""
    if not isinstance(content, str) or not content.strip():
        return "", "empty"
    fenced = _FENCE.fullmatch(content.strip())
    try:
        # Pairs and not a mapping: a key that is there twice has two answers.
        found = json.loads(fenced["inside"] if fenced else content, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return "", "malformed"
    match found:
        case ((str(name), str(said)),) if name == FIELD and isinstance(found, tuple):
            text = " ".join(said.split())
            if not text:
                return "", "empty"
            # Control characters and halves of characters belong into no prompt.
            plain = len(text) <= _LONGEST and not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)
            return (text, "") if plain else ("", "malformed")
    return "", "malformed"
