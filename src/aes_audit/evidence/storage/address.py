"""Addresses of stores: a folder, or a bucket of object storage with a prefix. Imports no client library."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from aes_audit.errors import StoreUnusable, UsageError
from aes_audit.evidence.storage.folder import FolderStorage
from aes_audit.evidence.storage.protocol import Storage

__all__ = ["checked_address", "folder_of", "is_url", "local_folder", "open_storage"]

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/.*")
"""A scheme has two letters or more: one letter and a colon is a drive."""

_BUCKET = re.compile(r"(s3|gs)://[A-Za-z0-9][A-Za-z0-9._-]+(/+|(/[^/]+)*/*)")
"""Client libraries list nothing below an empty name between slashes."""


def is_url(address: str | Path) -> bool:
    """Whether an address is no folder."""
    return isinstance(address, str) and _URL.fullmatch(address) is not None


def checked_address(address: str) -> str:
    """An address as it was typed, URLs without their last slashes. Raises UsageError for none and for unknown URLs."""
    if address and not is_url(address):
        return address
    if not _BUCKET.fullmatch(address):
        raise UsageError(
            f"{address!r} is no address of a store: give a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX."
        )
    return address.rstrip("/")


def open_storage(address: str | Path) -> Storage:
    """The storage at an address. Raises UsageError for a URL of no known kind, StoreUnusable without its client."""
    checked = checked_address(address) if isinstance(address, str) else ""
    if is_url(checked):
        from aes_audit.evidence.storage.objects import ObjectStorage

        return ObjectStorage(checked)
    return FolderStorage(Path(address))


def folder_of(address: str | Path) -> Path | None:
    """The folder of a store that is one."""
    return None if is_url(address) else Path(address)


def local_folder(address: str | Path) -> Path:
    """Where this machine keeps what belongs to it and not to the evidence: locks, sums, digests of weights.

    The store's own folder where it can be written, else one in the user's cache directory, named by the address.
    Raises StoreUnusable where nobody knows the user's home.
    """
    folder = folder_of(address)
    if folder is not None:
        folder = folder.absolute()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if os.access(there, os.W_OK):
            return folder
    name = hashlib.sha256(str(folder or address).encode()).hexdigest()[:16]
    return _cache(folder or address) / "aes_audit" / "stores" / name


def _cache(address: str | Path) -> Path:
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base)
    try:
        return Path.home() / ".cache"
    except RuntimeError as error:
        raise StoreUnusable(
            f"store {address}: this user has no home for its locks: set XDG_CACHE_HOME to a folder that can be written."
        ) from error
