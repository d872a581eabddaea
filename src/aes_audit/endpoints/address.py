"""Where a hosted model answers, checked before anything is sent there."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from aes_audit.errors import UsageError

__all__ = ["GEMINI", "OPENAI", "Address", "read_address"]


@dataclass(frozen=True, slots=True)
class Address:
    """The base URL of an API, and the environment variables that may hold its key."""

    url: str
    """Scheme, host, port and path, without a slash at the end."""
    variables: tuple[str, ...]
    """Environment variables that may hold the key; the first that is set counts."""

    @property
    def host(self) -> str:
        """Name or number of the machine."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether it is this machine, where servers need no key."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


OPENAI = Address("https://api.openai.com/v1", ("OPENAI_API_KEY",))
"""OpenAI's own API."""
GEMINI = Address("https://generativelanguage.googleapis.com", ("GEMINI_API_KEY", "GOOGLE_API_KEY"))
"""Google's API of the Gemini models; its client library appends the version."""


def read_address(text: str) -> Address:
    """The address of another host; its key comes from AES_AUDIT_<HOST>_KEY, so that no host sees the key of another.

    Raises UsageError for what is no http(s) URL, and for a user, password, query or fragment in it: these are where
    keys are hidden, and a SPEC is written into results.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UsageError(
            f"the endpoint at {host!r} was given with a user, a query or a fragment: write http(s)://host[:port]/path "
            "and put the key into an environment variable."
        )
    if parts.scheme not in ("http", "https") or not host or re.search(r"\s", text):
        raise UsageError(f"endpoint {text!r} is no URL: write http(s)://host[:port]/path, for instance {OPENAI.url}.")
    shown = f"[{host}]" if ":" in host else host
    url = f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    name = re.sub(r"[^A-Z0-9]+", "_", host.upper()).strip("_")
    return Address(url, (f"AES_AUDIT_{name}_KEY",))
