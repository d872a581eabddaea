"""What hosts charge for an image, as far as it is known. `[price=USD]` in a SPEC overrides; no entry means unknown."""

from __future__ import annotations

from collections.abc import Mapping

from aes_audit.endpoints.address import GEMINI, OPENAI, Address

__all__ = ["list_price"]

# US dollars per image on the standard tier, as listed in autumn 2026 (https://ai.google.dev/gemini-api/docs/pricing,
# https://developers.openai.com/api/docs/pricing), by size for Gemini and by quality at 1024 x 1024 for OpenAI. The
# few words of a prompt are charged on top: less than $0.001.
_GEMINI: Mapping[str, Mapping[str, float]] = {
    "gemini-2.5-flash-image": {"1K": 0.039},
    "gemini-3.1-flash-image": {"512": 0.045, "1K": 0.067, "2K": 0.101, "4K": 0.151},
    "gemini-3-pro-image": {"1K": 0.134, "2K": 0.134, "4K": 0.24},
}
_OPENAI: Mapping[str, Mapping[str, float]] = {
    "gpt-image-1-mini": {"low": 0.005, "medium": 0.011, "high": 0.036},
    "gpt-image-2": {"low": 0.006, "medium": 0.053, "high": 0.211},
}


def list_price(address: Address, model: str, size: str | None, quality: str | None) -> float | None:
    """US dollars per image; None where it is not known. Where the host picks the quality, the highest price counts."""
    if address == GEMINI:
        return _GEMINI.get(model.removesuffix("-preview"), {}).get(size or "1K")
    prices = _OPENAI.get(model) if address == OPENAI and size in (None, "1024x1024") else None
    if not prices:
        return None
    return max(prices.values()) if quality in (None, "auto") else prices.get(quality)
