"""Files of the store: whole or absent, and an operating system's refusal said in one sentence."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from aes_audit.errors import StoreUnusable

__all__ = ["is_temporary", "read", "refused", "remove", "size_of", "sweep", "write"]

Result = TypeVar("Result")

_ABANDONED = 3600.0
"""Seconds after which a temporary file has no living writer: none takes an hour for one object."""

_TEMPORARY = re.compile(r".+\.(?P<process>[0-9]+)\.(?P<machine>[0-9a-f]{8})[0-9a-f]{24}\.tmp")

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space, or name another folder",
    errno.EDQUOT: "the disk quota is used up; free some space, or name another folder",
    errno.EROFS: "the file system is read-only; name a folder that can be written",
    errno.EACCES: "permission denied; name a folder of your own",
    errno.EPERM: "permission denied; name a folder of your own",
    errno.ENOTDIR: "a file is in the place of the folder {blocking}; remove it, or name another folder",
    errno.EEXIST: "a file is in the place of the folder {blocking}; remove it, or name another folder",
    errno.EISDIR: "a folder is in the place of a file; remove it, or name another folder",
}

_BESIDE = frozenset({errno.EXDEV, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST})
"""Why a workshop is of no use: the target's folder is a link to another disk, or it is somebody else's, or a file."""


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Turn an OSError into a StoreUnusable that names the path and the way out."""
    try:
        yield
    except OSError as error:
        raise _refusal(path, error) from error


def write(target: Path, content: bytes, *, workshop: Path | None = None) -> None:
    """Write a whole file or none, and have it on disk before it gets its name.

    The temporary name is the writer's own, so that no lock is needed: of two writers the later one wins, whole. It lies
    in the `workshop`, or beside the target where there is none, or none that can be used for this target.
    """
    with refused(target):
        try:
            _write(target, content, workshop or target.parent)
        except OSError as error:
            if error.errno not in _BESIDE:
                raise
            _write(target, content, target.parent)
    _sync_folder(target.parent)


def _write(target: Path, content: bytes, workshop: Path) -> None:
    temporary = workshop / f"{target.name}.{os.getpid()}.{_machine()}{uuid.uuid4().hex[8:]}.tmp"
    try:
        with _in_folder(temporary.parent, lambda: open(temporary, "xb")) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _in_folder(target.parent, lambda: os.replace(temporary, target))
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _in_folder(folder: Path, act: Callable[[], Result]) -> Result:
    # Most folders are there already, and across a network it costs a round trip to ask about them for every file.
    try:
        return act()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        return act()


def read(path: str | Path) -> bytes | None:
    """A file's content, None when there is no such file."""
    # Reading and asking are done for every object of a run: `Path` and `refused` would take longer than the file.
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refusal(path, error) from error


def size_of(path: str | Path) -> int | None:
    """A file's length in bytes, None when there is no such file."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refusal(path, error) from error


def remove(path: Path) -> None:
    """Remove a file if that is possible; a store that is only read keeps it."""
    with suppress(OSError):
        path.unlink()


def is_temporary(name: str) -> bool:
    """Whether `write` gave a file this name until it was whole."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Remove what writers that died left in this folder, as far as that is possible; other files stay.

    A writer of this machine is dead when it has no process any more; of others only age tells.
    """
    oldest = time.time() - _ABANDONED
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            # Between two looks, its writer may be done with it.
            with suppress(OSError):
                name = _TEMPORARY.fullmatch(entry.name)
                if name and (entry.stat().st_mtime < oldest or _is_dead(int(name["process"]), name["machine"])):
                    os.unlink(entry.path)


def _refusal(path: str | Path, error: OSError) -> StoreUnusable:
    known = _REASONS.get(error.errno or 0)
    reason = known.format(blocking=_blocking(Path(path))) if known else error.strerror or str(error)
    return StoreUnusable(f"store: cannot use {path}: {reason}.")


def _blocking(path: Path) -> Path:
    """What is no folder, nearest to the root."""
    within = [each for each in (path, *path.parents) if os.path.lexists(each) and not os.path.isdir(each)]
    return within[-1] if within else path


def _is_dead(process: int, machine: str) -> bool:
    # Elsewhere than on POSIX systems, signal 0 is no question.
    if machine != _machine() or os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


@cache
def _machine() -> str:
    """Where a process number means the same process: the host, and within it the container's own numbering."""
    numbering = 0
    with suppress(OSError):
        numbering = os.stat("/proc/self/ns/pid").st_ino
    return hashlib.sha256(f"{platform.node()} {numbering}".encode()).hexdigest()[:8]


def _sync_folder(folder: Path) -> None:
    # Makes the new name survive a power cut; some file systems and systems cannot, and lose only a cached object.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
