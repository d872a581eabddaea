"""Options in the brackets of a SPEC that all hosted models share, read strictly."""

from __future__ import annotations

import math
from collections.abc import Mapping

from aes_audit.endpoints.caller import Limits
from aes_audit.errors import UsageError

__all__ = ["LIMITS", "read_choice", "read_limits", "read_number", "read_whole"]

LIMITS = ("timeout", "rpm", "concurrency", "attempts")
"""The options that `read_limits` reads."""


def read_limits(options: Mapping[str, str]) -> Limits:
    """How hard a host may be pressed: `timeout` in seconds, `rpm`, `concurrency` and `attempts`; raises UsageError."""
    usual = Limits()
    rpm = options.get("rpm")
    return Limits(
        timeout=read_number("timeout", options.get("timeout", f"{usual.timeout:g}"), "seconds, 0.1 or more", least=0.1),
        per_minute=None if rpm is None else read_number("rpm", rpm, "calls per minute, 0.1 or more", least=0.1),
        concurrency=read_whole("concurrency", options.get("concurrency", str(usual.concurrency)), most=64),
        attempts=read_whole("attempts", options.get("attempts", str(usual.attempts)), most=20),
    )


def read_number(option: str, text: str, what: str, *, least: float) -> float:
    """A number of at least `least`, which `what` describes; raises UsageError naming the option."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < 1e6:
        raise UsageError(f"option {option}={text}: give {what}.")
    return value


def read_whole(option: str, text: str, *, most: int) -> int:
    """A whole number from 1 to `most`; raises UsageError naming the option."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
        raise UsageError(f"option {option}={text}: give a whole number from 1 to {most}.")
    return int(text)


def read_choice(option: str, text: str, allowed: tuple[str, ...]) -> str:
    """One of the allowed words; raises UsageError naming the option and them."""
    if text not in allowed:
        raise UsageError(f"option {option}={text}: choose {', '.join(allowed)}.")
    return text
