"""The client libraries of object storage, and how patient they are. Each is imported when an address needs it."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from aes_audit.errors import StoreUnusable
from aes_audit.evidence.storage.haste import is_too_long

if TYPE_CHECKING:
    from fsspec.asyn import AsyncFileSystem

__all__ = ["answer", "open_client"]

_ATTEMPTS = 3
"""How often a request is sent whose answer says to come back later, or does not come."""

_LOOK = 0.5
"""Seconds between two looks whether somebody stops the run."""


def open_client(address: str, *, at_once: int, patience: float) -> AsyncFileSystem:
    """A client for the scheme of an address, `at_once` connections wide, with nothing cached.

    Raises StoreUnusable naming the extra that is not installed.
    """
    scheme = address.partition("://")[0]
    try:
        return _s3(at_once, patience) if scheme == "s3" else _gs(patience)
    except ImportError as error:
        raise StoreUnusable(
            f"store {address}: {error.name or error} is not installed: pip install 'aes-audit[{scheme}]'."
        ) from error


def answer(client: AsyncFileSystem, method: str, *arguments: Any, **options: Any) -> Any:
    """What one of the client's coroutines returns or raises; TimeoutError where somebody is in a hurry."""
    begun = time.monotonic()
    asked = asyncio.run_coroutine_threadsafe(getattr(client, method)(*arguments, **options), client.loop)
    try:
        while wait([asked], _LOOK).not_done:
            if is_too_long(begun):
                raise TimeoutError("the run was stopped, and there was no answer")
        return asked.result()
    finally:
        asked.cancel()


def _s3(at_once: int, patience: float) -> AsyncFileSystem:
    from s3fs import S3FileSystem

    client = S3FileSystem(
        config_kwargs={
            "connect_timeout": patience,
            "read_timeout": patience,
            "max_pool_connections": at_once,
            "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
        },
        # One request per object: otherwise its length is asked for first.
        max_concurrency=1,
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    # These are around the library's: for answers that break off, which that one does not send for again.
    client.retries = 2
    return client


def _gs(patience: float) -> AsyncFileSystem:
    # What it could not do is said in a sentence; its log would show a traceback before that.
    logging.getLogger("gcsfs").addHandler(logging.NullHandler())
    from aiohttp import ClientTimeout

    # The package's own class asks another service first what kind of bucket it is.
    from gcsfs.core import GCSFileSystem

    # A limit for the whole request would be no error that it sends again for, and too short for a slow line.
    silence = ClientTimeout(sock_connect=patience, sock_read=patience)
    return GCSFileSystem(requests_timeout=silence, use_listings_cache=False, skip_instance_cache=True)
