"""From the base and the options of a SPEC to a hosted generator. Imports no client library."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from aes_audit.endpoints.address import GEMINI, OPENAI, Address, read_address
from aes_audit.endpoints.caller import Limits
from aes_audit.errors import UnknownName, UsageError
from aes_audit.generators.hosted.model import HostedModel
from aes_audit.generators.hosted.prices import list_price

__all__ = ["resolve_hosted"]

_OPTIONS = ("price", "size", "quality", "api", "seed", "timeout", "rpm", "concurrency", "attempts")
_SIZES = {"512": "512", "1024": "1K", "2048": "2K", "4096": "4K", "1024x1024": "1K", "2048x2048": "2K"}
"""Sizes in pixels, as Gemini and the chats behind routers spell them."""
_MODEL = re.compile(r"[A-Za-z0-9][\w./:-]*")


def resolve_hosted(base: str, *, name: str, options: Mapping[str, str]) -> HostedModel:
    """The generator that `gemini:MODEL[@URL]` or `openai:MODEL[@URL]` names.

    `name` is the SPEC as typed, `options` what stood in its brackets: docs/hosted.md lists them. Raises UsageError or
    UnknownName; keys and client libraries are looked for when the first image is needed.
    """
    service, _, rest = base.partition(":")
    model, at, url = rest.partition("@")
    if service not in ("gemini", "openai"):
        raise UnknownName("hosted service", service, ["gemini", "openai"], "Write SERVICE:MODEL.")
    if not _MODEL.fullmatch(model):
        raise UsageError(
            f"model {service}:{model!r} names no hosted model: write {service}:MODEL or {service}:MODEL@URL."
        )
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise UnknownName("option of a hosted model", unknown[0], _OPTIONS)
    address = read_address(url) if at else GEMINI if service == "gemini" else OPENAI
    api = _api(service, options.get("api"))
    size, quality = _size(api, options.get("size")), options.get("quality")
    if quality is not None and api != "images":
        raise UsageError(f"option quality={quality} is one of the images API; {service}:{model} is asked by {api}.")
    return HostedModel(
        name=name,
        api=api,
        model=model,
        address=address,
        size=size,
        quality=quality,
        seeded=_choice("seed", options.get("seed", "none"), ("none", "sent")) == "sent",
        price=_price(options.get("price"), address, model, size, quality),
        limits=_limits(options),
    )


def _api(service: str, wanted: str | None) -> str:
    if service == "gemini":
        if wanted is not None:
            raise UsageError(f"option api={wanted}: gemini models are asked in one way; drop it.")
        return "gemini"
    return _choice("api", wanted or "images", ("images", "chat"))


def _size(api: str, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    if api != "images":
        size = _SIZES.get(wanted, wanted)
        return _choice("size", size, tuple(dict.fromkeys(_SIZES.values())))
    found = re.fullmatch(r"([1-9]\d{1,4})(?:x([1-9]\d{1,4}))?", wanted)
    if not found and wanted != "auto":
        raise UsageError(f"option size={wanted}: give the pixels as N or WxH, for instance 1024x1024, or auto.")
    return f"{found[1]}x{found[2] or found[1]}" if found else wanted


def _price(wanted: str | None, address: Address, model: str, size: str | None, quality: str | None) -> float | None:
    if wanted is None:
        return list_price(address, model, size, quality)
    return _number("price", wanted, "US dollars per image, 0 where it is free", least=0.0)


def _limits(options: Mapping[str, str]) -> Limits:
    usual = Limits()
    rpm = options.get("rpm")
    return Limits(
        timeout=_number("timeout", options.get("timeout", f"{usual.timeout:g}"), "seconds, 0.1 or more", least=0.1),
        per_minute=None if rpm is None else _number("rpm", rpm, "calls per minute, 0.1 or more", least=0.1),
        concurrency=_whole("concurrency", options.get("concurrency", str(usual.concurrency)), most=64),
        attempts=_whole("attempts", options.get("attempts", str(usual.attempts)), most=20),
    )


def _number(option: str, text: str, what: str, *, least: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < 1e6:
        raise UsageError(f"option {option}={text}: give {what}.")
    return value


def _whole(option: str, text: str, *, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
        raise UsageError(f"option {option}={text}: give a whole number from 1 to {most}.")
    return int(text)


def _choice(option: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise UsageError(f"option {option}={text}: choose {', '.join(allowed)}.")
    return text
