"""Calls that failed: what the host said, whether to try again and when, and whether it will be on the bill."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from aes_audit.endpoints.payload import dig
from aes_audit.errors import InfrastructureError

__all__ = ["CallFailed", "shortened", "status_failure"]

_PASSING = frozenset({408, 409, 425, 429})
"""Statuses besides 5xx after which the same request may succeed."""
_HOPELESS = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""Codes that come with status 429 although waiting does not help."""
_REFUSALS = frozenset({"moderation_blocked", "content_policy_violation", "content_filter", "content_moderation"})
"""Codes that say no to what was asked for, not to the call."""
_LONGEST = 200


class CallFailed(InfrastructureError):
    """One attempt at a call did not succeed."""

    def __init__(
        self,
        reason: str,
        *,
        passing: bool,
        billed: bool = False,
        status: int | None = None,
        code: str = "",
        wait: float | None = None,
    ) -> None:
        """`reason` in words; `passing`: the next attempt may succeed; `billed`: the host may have done the work.

        `status` is that of HTTP, `code` the host's own word for it, `wait` the seconds it asks to be left alone.
        """
        super().__init__(reason)
        self.passing = passing
        self.billed = billed
        self.status = status
        self.code = code
        self.wait = wait

    @property
    def refused(self) -> bool:
        """Whether the host would answer another request, but not this one."""
        return self.code in _REFUSALS


def status_failure(status: int, headers: Mapping[str, str], body: str) -> CallFailed:
    """What an HTTP answer other than success means. `headers` is looked up in lower case.

    OpenAI-compatible hosts send {"error": {"message", "code", "type"}}, Google {"error": {"message", "status",
    "details"}}; a proxy in between sends anything.
    """
    try:
        payload = json.loads(body)
    except ValueError:
        payload = {}
    # Google's gateways wrap the error object into a list.
    payload = payload[0] if isinstance(payload, list) and payload else payload
    said = dig(payload, "error", "message") or dig(payload, "error") or dig(payload, "message") or body
    words = (dig(payload, "error", name) for name in ("code", "type", "status"))
    code = next((word for word in words if isinstance(word, str)), "")
    reason = f"HTTP {status}{f' {shortened(code)}' if code else ''}: {shortened(said)}"
    passing = (status in _PASSING or status >= 500) and code not in _HOPELESS
    return CallFailed(reason, passing=passing, status=status, code=code, wait=_wait(headers, payload))


def shortened(said: object) -> str:
    """What a host said, on one line and not too long, without what a terminal or a JSON file would trip over."""
    shown = "".join(letter if letter.isprintable() else " " for letter in str(said)[: 100 * _LONGEST])
    text = " ".join(shown.split()) or "no explanation"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _wait(headers: Mapping[str, str], payload: Any) -> float | None:
    """Seconds from Retry-After (RFC 9110: a number or a date), or from Google's RetryInfo."""
    asked = headers.get("retry-after", "").strip()
    details = dig(payload, "error", "details")
    delays = [dig(detail, "retryDelay") for detail in details] if isinstance(details, list) else []
    for text in (asked, *(delay.removesuffix("s") for delay in delays if isinstance(delay, str))):
        seconds = _seconds(text)
        if seconds is not None:
            return seconds
    return None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    # Not a number compares as false: a host that asks for NaN asks for nothing.
    return max(0.0, seconds) if seconds < float("inf") else None
