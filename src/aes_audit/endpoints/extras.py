"""Client libraries that are installed only where they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from aes_audit.errors import UsageError

__all__ = ["needing", "refuse_missing"]

_MODULES = {"gemini": ("google.genai", "httpx2"), "openai": ("openai", "httpx2")}
"""Extra -> the modules it brings."""


def refuse_missing(extra: str) -> None:
    """Raise UsageError with the command that installs an extra, when it is not installed; imports nothing of it."""
    with needing(extra):
        for module in _MODULES[extra]:
            if find_spec(module) is None:
                raise ModuleNotFoundError(name=module)


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Turn a failed import of a client library into UsageError with the command that installs it."""
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"{extra} models are called through {error.name or 'a library'}, which is not installed: "
            f"pip install 'aes-audit[{extra}]'."
        ) from error
