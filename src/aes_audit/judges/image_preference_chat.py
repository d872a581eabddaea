"""One question about two images as a chat, and what its reply says."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aes_audit.endpoints.address import OPENAI
from aes_audit.endpoints.failures import CallFailed, shortened
from aes_audit.endpoints.payload import Payload, charged, dig
from aes_audit.judges.image_preference import INSTRUCTION
from aes_audit.judges.protocol import FIRST, NEITHER, SECOND, PairQuestion

if TYPE_CHECKING:
    from aes_audit.endpoints.openai_session import OpenAISession
    from aes_audit.judges.image_preference import HostedPreference

__all__ = ["PreferenceChat", "Reply", "read_choice"]

_CHOICES = (FIRST, SECOND, NEITHER)
_SCHEMA: Mapping[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "preference",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"answer": {"type": "integer", "enum": list(_CHOICES)}},
            "required": ["answer"],
            "additionalProperties": False,
        },
    },
}
_NO_SCHEMA = frozenset({400, 404, 415, 422, 501})
"""Statuses with which hosts refuse a field of the request that they do not know."""
# Models that were not held to a schema like to set their JSON into a fence.
_FENCE = re.compile(r"```(?:json)?\s*(?P<inside>.*?)\s*```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a host, taken apart."""

    choice: int | None
    """FIRST, SECOND or NEITHER; None for what is no valid answer."""
    fault: str = ""
    """What is wrong with it."""
    final: bool = False
    """Whether asking again is of no use: the host's filter has refused these images or this text."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What was said, and by which model in the host's words."""
    tokens_in: int | None = None
    """Tokens of the question, as the host counts them."""
    tokens_out: int | None = None
    """Tokens of the answer."""
    usd: float | None = None
    """What it cost, where the host says so."""


class PreferenceChat:
    """Asks one judge over an open connection. Methods may be called from any thread."""

    def __init__(self, session: OpenAISession, judge: HostedPreference) -> None:
        """Keep the connection and what is asked with every question."""
        self._session = session
        self._judge = judge
        self._schema = judge.schema

    def reply(self, question: PairQuestion) -> Reply:
        """One reply; raises CallFailed."""
        try:
            return _read(self._payload(question))
        except CallFailed as failed:
            if failed.refused:
                return Reply(None, f"refused: {failed}", final=True, usd=0.0)
            raise

    def _payload(self, question: PairQuestion) -> Payload:
        options, messages = self._options(), [{"role": "user", "content": _content(question)}]
        if self._schema:
            try:
                return self._session.chat(self._judge.model, messages, response_format=_SCHEMA, **options)
            except CallFailed as failed:
                if failed.status not in _NO_SCHEMA or failed.refused:
                    raise
            found = self._session.chat(self._judge.model, messages, **options)
            # Only now is it known that the schema was to blame, and that nobody need try it again.
            self._schema = False
            return found
        return self._session.chat(self._judge.model, messages, **options)

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self._judge.temperature is not None:
            options["temperature"] = self._judge.temperature
        if self._judge.max_tokens is not None:
            # OpenAI renamed the field; most others know the old name alone.
            name = "max_completion_tokens" if self._judge.address == OPENAI else "max_tokens"
            options[name] = self._judge.max_tokens
        return options


def read_choice(text: str) -> int:
    """FIRST, SECOND or NEITHER from a JSON object with the one key `answer`; it may stand in a code fence.

    Raises ValueError that says what is wrong.
    """
    stripped = text.strip()
    fenced = _FENCE.fullmatch(stripped)
    try:
        found = json.loads(fenced["inside"] if fenced else stripped, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise ValueError(f"the answer is no JSON: {shortened(text)}") from None
    # Pairs and not a mapping: a key that is there twice has two answers.
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], tuple) or found[0][0] != "answer":
        raise ValueError(f'the answer is no object with the one key "answer": {shortened(text)}')
    choice = found[0][1]
    if type(choice) is not int or choice not in _CHOICES:
        raise ValueError(f"the answer is none of 0, 1 and -1: {shortened(text)}")
    return choice


def _content(question: PairQuestion) -> list[Mapping[str, Any]]:
    return [
        _text(INSTRUCTION),
        _text("First image:"),
        _image(question.first),
        _text("Second image:"),
        _image(question.second),
        _text(f"Description: {question.text}"),
    ]


def _text(text: str) -> Mapping[str, Any]:
    return {"type": "text", "text": text}


def _image(png: bytes) -> Mapping[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(png).decode()}"}}


def _read(payload: Payload) -> Reply:
    choice = dig(payload, "choices", 0)
    text = _said(dig(choice, "message", "content"))
    said = Reply(
        None,
        notes={**({"said": shortened(text)} if text.strip() else {}), **_reported(payload)},
        tokens_in=_count(dig(payload, "usage", "prompt_tokens")),
        tokens_out=_count(dig(payload, "usage", "completion_tokens")),
        usd=charged(payload),
    )
    refusal = dig(choice, "message", "refusal")
    if isinstance(refusal, str) and refusal.strip():
        return replace(said, fault=f"refused: {shortened(refusal)}")
    if dig(choice, "finish_reason") == "content_filter":
        return replace(said, fault="refused by the host's filter", final=True)
    if not text.strip():
        return replace(said, fault="the answer holds no text")
    try:
        return replace(said, choice=read_choice(text))
    except ValueError as error:
        return replace(said, fault=str(error))


def _reported(payload: Payload) -> Mapping[str, str]:
    """What the host says of the model that answered."""
    found = {name: dig(payload, name) for name in ("model", "system_fingerprint", "provider")}
    return {name: shortened(value) for name, value in found.items() if isinstance(value, str) and value}


def _said(content: Any) -> str:
    """The text of a message, which some hosts send in parts."""
    if isinstance(content, list):
        return "".join(part for one in content if isinstance(part := dig(one, "text"), str))
    return content if isinstance(content, str) else ""


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None
