"""From the base and the options of a SPEC to a hosted generator. Imports no client library."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aes_audit.endpoints.address import GEMINI, OPENAI, Address, read_address
from aes_audit.endpoints.options import read_choice, read_limits, read_number
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
        seeded=read_choice("seed", options.get("seed", "none"), ("none", "sent")) == "sent",
        price=_price(options.get("price"), address, model, size, quality),
        limits=read_limits(options),
    )


def _api(service: str, wanted: str | None) -> str:
    if service == "gemini":
        if wanted is not None:
            raise UsageError(f"option api={wanted}: gemini models are asked in one way; drop it.")
        return "gemini"
    return read_choice("api", wanted or "images", ("images", "chat"))


def _size(api: str, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    if api != "images":
        size = _SIZES.get(wanted, wanted)
        return read_choice("size", size, tuple(dict.fromkeys(_SIZES.values())))
    found = re.fullmatch(r"([1-9]\d{1,4})(?:x([1-9]\d{1,4}))?", wanted)
    if not found and wanted != "auto":
        raise UsageError(f"option size={wanted}: give the pixels as N or WxH, for instance 1024x1024, or auto.")
    return f"{found[1]}x{found[2] or found[1]}" if found else wanted


def _price(wanted: str | None, address: Address, model: str, size: str | None, quality: str | None) -> float | None:
    if wanted is None:
        return list_price(address, model, size, quality)
    return read_number("price", wanted, "US dollars per image, 0 where it is free", least=0.0)
