"""Keys of hosted models: from the environment into a request header, and nowhere else."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field

from aes_audit.endpoints.address import Address
from aes_audit.errors import UsageError

__all__ = ["ApiKey", "find_key", "redact_logs"]

REDACTED = "[key]"
"""What stands where a key stood."""

_LOGGERS = (
    *(f"httpcore2.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
    "httpx2",
    "openai._base_client",
    "google_genai._api_client",
)
"""Who logs what goes over the wire. A filter holds for a logger alone and not for those below it."""
_SHORTEST = 8
"""Shorter texts stand in any message by chance, and are no keys."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that does not show itself: repr, str and format say where it came from."""

    variable: str | None
    """The environment variable it was read from; None where none is needed."""
    secret: str = field(default="", repr=False)
    """The key itself, for the request header only."""

    def __str__(self) -> str:
        return repr(self)

    def redacted(self, text: str) -> str:
        """The text without the key: hosts repeat it in their complaints."""
        if len(self.secret) < _SHORTEST:
            return text
        return text.replace(self.secret, REDACTED)


def find_key(address: Address) -> ApiKey:
    """The key for an address. Raises UsageError naming the variable when it is not set; this machine needs none."""
    for variable in address.variables:
        # A line break at the end comes from `export KEY=$(cat file)`; in a header it would be an error that shows it.
        if secret := os.environ.get(variable, "").strip():
            if not secret.isascii() or not secret.isprintable():
                raise UsageError(f"the key in {variable} holds characters that no key has: set it again.")
            return ApiKey(variable, secret)
    if address.is_local:
        return ApiKey(None)
    raise UsageError(f"{address.host} needs a key: set the environment variable {' or '.join(address.variables)}.")


def redact_logs(key: ApiKey) -> None:
    """Keep the key out of the wire logs of the client libraries: a host may repeat it in its headers."""
    for name in _LOGGERS:
        # Equal filters are added once.
        logging.getLogger(name).addFilter(_Redacting(key))


@dataclass(frozen=True, slots=True)
class _Redacting:
    key: ApiKey

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.key.redacted(record.getMessage()), ()
        return True
