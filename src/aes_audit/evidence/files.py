"""Files of the store: whole or absent, and an operating system's refusal said in one sentence."""

from __future__ import annotations

import errno
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aes_audit.errors import StoreUnusable

__all__ = ["is_temporary", "read", "refused", "remove", "size_of", "sweep", "write"]

_ABANDONED = 3600.0
"""Seconds after which a temporary file has no living writer: none takes an hour for one object."""

_TEMPORARY = re.compile(r".+\.[0-9]+\.[0-9a-f]{32}\.tmp")

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space, or name another folder",
    errno.EDQUOT: "the disk quota is used up; free some space, or name another folder",
    errno.EROFS: "the file system is read-only; name a folder that can be written",
    errno.EACCES: "permission denied; name a folder of your own",
    errno.EPERM: "permission denied; name a folder of your own",
    errno.ENOTDIR: "a file is in the place of a folder; remove it, or name another folder",
    errno.EEXIST: "a file is in the place of a folder; remove it, or name another folder",
    errno.EISDIR: "a folder is in the place of a file; remove it, or name another folder",
}


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Turn an OSError into a StoreUnusable that names the path and the way out."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise StoreUnusable(f"store: cannot use {path}: {reason}.") from error


def write(target: Path, content: bytes) -> None:
    """Write a whole file or none, and have it on disk before it gets its name.

    The temporary name is the writer's own, so that no lock is needed: of two writers the later one wins, whole.
    """
    temporary = target.with_name(f"{target.name}.{os.getpid()}.{uuid.uuid4().hex}.tmp")
    with refused(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    _sync_folder(target.parent)


def read(path: Path) -> bytes | None:
    """A file's content, None when there is no such file."""
    with refused(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def size_of(path: Path) -> int | None:
    """A file's length in bytes, None when there is no such file."""
    with refused(path):
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None


def remove(path: Path) -> None:
    """Remove a file if that is possible; a store that is only read keeps it."""
    with suppress(OSError):
        path.unlink()


def is_temporary(name: str) -> bool:
    """Whether `write` gave a file this name until it was whole."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Remove what writers that died left in this folder, as far as that is possible; other files stay."""
    oldest = time.time() - _ABANDONED
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_temporary(entry.name) and entry.stat().st_mtime < oldest:
                remove(Path(entry.path))


def _sync_folder(folder: Path) -> None:
    # Makes the new name survive a power cut; some file systems and systems cannot, and lose only a cached object.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
