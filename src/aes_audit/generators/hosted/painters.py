"""The three ways to ask for an image: Gemini, the images API, and a chat that answers with pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aes_audit.endpoints.failures import CallFailed
from aes_audit.endpoints.payload import Payload, charged, dig
from aes_audit.generators.hosted.replies import Reply, reported

if TYPE_CHECKING:
    from aes_audit.endpoints.gemini_session import GeminiSession
    from aes_audit.endpoints.openai_session import OpenAISession

__all__ = ["INSTRUCTION", "ChatPainter", "GeminiPainter", "ImagesPainter"]

INSTRUCTION = "Draw the picture described below and answer with the finished image itself, not with words."
"""Put before the prompt of models that could also answer in words; part of what identifies an image."""

_FILTERS = frozenset(
    {
        "SAFETY",
        "IMAGE_SAFETY",
        "PROHIBITED_CONTENT",
        "IMAGE_PROHIBITED_CONTENT",
        "BLOCKLIST",
        "SPII",
        "RECITATION",
        "IMAGE_RECITATION",
    }
)
"""Finish reasons of Gemini that stand for a filter."""
_DATA_URL = re.compile(r"data:(?P<mime>[\w.+-]+/[\w.+-]+)?(?:;[\w=.-]+)*;base64,(?P<image>[A-Za-z0-9+/=\s]+)")


@dataclass(frozen=True, slots=True)
class GeminiPainter:
    """generate_content with image output."""

    session: GeminiSession
    """The open connection."""
    model: str
    """The model's id."""
    size: str | None
    """512, 1K, 2K or 4K; None leaves it to the model."""

    def paint(self, prompt: str, seed: int | None) -> Reply:
        """One answer; raises CallFailed."""
        config: dict[str, Any] = {
            "response_modalities": ["TEXT", "IMAGE"],
            "automatic_function_calling": {"disable": True},
            **({"image_config": {"image_size": self.size}} if self.size else {}),
            **({} if seed is None else {"seed": seed}),
        }
        return _gemini_reply(self.session.generate(self.model, f"{INSTRUCTION}\n\n{prompt}", **config))


@dataclass(frozen=True, slots=True)
class ImagesPainter:
    """The images API of OpenAI and of servers like it. It only draws, so the prompt goes as it is."""

    session: OpenAISession
    """The open connection."""
    model: str
    """The model's id."""
    fields: Mapping[str, str]
    """Fields of every request: size, quality, response_format."""

    def paint(self, prompt: str, seed: int | None) -> Reply:
        """One answer; raises CallFailed."""
        try:
            payload = self.session.images(self.model, prompt, n=1, **self.fields, **_seeded(seed))
        except CallFailed as failed:
            return _refusal(failed)
        first = dig(payload, "data", 0)
        image = _text(dig(first, "b64_json"))
        notes = {**reported(payload, "model", "system_fingerprint", "usage"), **reported(first, "revised_prompt")}
        if image is None and (link := _text(dig(first, "url"))):
            image = link
        return Reply(**_picture(image), notes=notes, usd=charged(payload))


@dataclass(frozen=True, slots=True)
class ChatPainter:
    """A chat completion that answers with pictures, as OpenRouter and others have it."""

    session: OpenAISession
    """The open connection."""
    model: str
    """The model's id."""
    size: str | None
    """512, 1K, 2K or 4K; None leaves it to the model."""

    def paint(self, prompt: str, seed: int | None) -> Reply:
        """One answer; raises CallFailed."""
        options: dict[str, Any] = {"modalities": ["image", "text"], **_seeded(seed)}
        if self.size:
            options["image_config"] = {"image_size": self.size}
        message = {"role": "user", "content": f"{INSTRUCTION}\n\n{prompt}"}
        try:
            return _chat_reply(self.session.chat(self.model, [message], **options))
        except CallFailed as failed:
            return _refusal(failed)


def _gemini_reply(payload: Payload) -> Reply:
    notes = reported(payload, "modelVersion", "responseId", "usageMetadata")
    blocked = _text(dig(payload, "promptFeedback", "blockReason"))
    reason = _text(dig(payload, "candidates", 0, "finishReason"))
    if blocked is None and reason in _FILTERS:
        said = _text(dig(payload, "candidates", 0, "finishMessage"))
        blocked = f"{reason}: {said}" if said else reason
    parts = dig(payload, "candidates", 0, "content", "parts")
    # Models that think draw drafts on the way.
    shown = [part for part in parts if not dig(part, "thought")] if isinstance(parts, list) else []
    blobs = [blob for part in shown if isinstance(blob := dig(part, "inlineData"), dict)]
    text = " ".join(said for part in shown if (said := _text(dig(part, "text"))))
    image = _text(dig(blobs[0], "data")) if blobs else None
    mime = _text(dig(blobs[0], "mimeType")) if blobs else None
    return Reply(image, mime or "", text, blocked, notes)


def _chat_reply(payload: Payload) -> Reply:
    notes = reported(payload, "model", "provider", "system_fingerprint", "id", "usage")
    message = dig(payload, "choices", 0, "message")
    content = dig(message, "content")
    texts = [content] if isinstance(content, str) else [dig(part, "text") for part in _list(content)]
    text = " ".join(said for said in texts if isinstance(said, str))
    refusal = _text(dig(message, "refusal"))
    if refusal is None and dig(payload, "choices", 0, "finish_reason") == "content_filter":
        refusal = text or "content_filter"
    image = next(_pictures(message), None)
    return Reply(**_picture(image), text=text, refusal=refusal, notes=notes, usd=charged(payload))


def _pictures(message: Any) -> Iterator[str]:
    """Every place in which hosts put a picture: beside the text, as a part of it, or written into it."""
    for part in (*_list(dig(message, "images")), *_list(dig(message, "content"))):
        for url in (dig(part, "image_url", "url"), dig(part, "image_url"), dig(part, "url")):
            if isinstance(url, str):
                yield url
    content = dig(message, "content")
    if isinstance(content, str) and (found := _DATA_URL.search(content)):
        yield found.group()


def _picture(image: str | None) -> dict[str, Any]:
    """Base64 text and its type, from a data URL or from bare base64; raises CallFailed for a link to elsewhere."""
    if image is None:
        return {}
    if image.startswith(("http://", "https://")):
        # Following it would let the host choose which addresses of this network are called.
        raise CallFailed(
            "the image was sent as a link, and links are not followed: ask the host for base64 answers, or try "
            "[api=chat] or [api=images]",
            passing=False,
            billed=True,
        )
    found = _DATA_URL.fullmatch(image)
    if found is None:
        return {"image": image}
    return {"image": "".join(found["image"].split()), "mime": found["mime"] or ""}


def _refusal(failed: CallFailed) -> Reply:
    """A request that was refused with an error status; every other failure is raised again."""
    flagged = failed.status == 403 and "moderation" in str(failed).lower()
    if failed.refused or flagged:
        return Reply(refusal=str(failed), usd=0.0)
    raise failed


def _seeded(seed: int | None) -> Mapping[str, int]:
    return {} if seed is None else {"seed": seed}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
