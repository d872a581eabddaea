"""A folder, of this machine or of a file system that several mount: files, written under another name and renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from aes_audit.errors import StoreUnusable
from aes_audit.evidence import files
from aes_audit.evidence.storage.protocol import Storage

__all__ = ["FolderStorage"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_MARKERS = {
    ".gitignore": b"*\n",
    "CACHEDIR.TAG": b"Signature: 8a477f597d28d172789f06886806bc55\n# Images and scores kept by aes_audit.\n",
}
_WORKSHOP = "unfinished"
"""Where files lie until they are whole: one folder, so that what dead writers left there is found at once."""
_READ_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class FolderStorage:
    """Each file is synced under a temporary name and then renamed, which a file system does whole or not at all."""

    def __init__(self, root: Path) -> None:
        """Nothing is made."""
        self.root = root

    @property
    def address(self) -> str:
        """The absolute path."""
        return str(self.root.absolute())

    def prepare(self, own: Collection[str]) -> None:
        """Create the folder, and remove temporary files of writers that are dead.

        A folder that also holds other people's files gets no `.gitignore`, which would hide them from git.
        """
        with files.refused(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            names = {path.name for path in self.root.iterdir() if not files.is_temporary(path.name)}
        if names <= {*own, _WORKSHOP, *_MARKERS} and os.access(self.root, os.W_OK):
            for name in _MARKERS.keys() - names:
                files.write(self.root / name, _MARKERS[name])
        for folder in (self.root, self.root / _WORKSHOP):
            files.sweep(folder)

    def probe(self) -> bool:
        """As the protocol says; no permission and a read-only file system are the same here."""
        probe = f"locks/probe-{os.getpid()}"
        try:
            self.write(probe, b"probe")
        except StoreUnusable as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _READ_ONLY:
                return False
            raise
        self.remove(probe)
        return True

    def read(self, name: str) -> bytes | None:
        """A file's content; None when there is none."""
        return files.read(f"{self.root}/{name}")

    def size(self, name: str) -> int | None:
        """A file's length in bytes; None when there is none."""
        return files.size_of(f"{self.root}/{name}")

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file or none."""
        files.write(self.root / name, content, workshop=self.root / _WORKSHOP)

    def adopt(self, name: str, content: bytes, source: Storage) -> None:
        """A second name for the file where both lie on one file system; else a copy."""
        target = self.root / name
        if isinstance(source, FolderStorage):
            with files.refused(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            try:
                # A store replaces files and never writes into them, so that two names for one file are safe.
                os.link(source.root / name, target)
                return
            except OSError:
                pass
        self.write(name, content)

    def remove(self, name: str) -> None:
        """Remove a file if that is possible."""
        files.remove(self.root / name)

    def names(self, folder: str) -> Sequence[str]:
        """The files right in a folder, but for temporary ones."""
        return [name for name, is_folder in self._entries(folder) if not is_folder]

    def folders(self, folder: str) -> Sequence[str]:
        """The folders right in a folder."""
        return [name for name, is_folder in self._entries(folder) if is_folder]

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """One after the other: a disk has nothing to wait for."""
        return map(work, items)

    def __repr__(self) -> str:
        return f"FolderStorage({str(self.root)!r})"

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        within = self.root / folder
        with files.refused(within):
            found = sorted(within.iterdir()) if within.is_dir() else []
        for path in found:
            if not files.is_temporary(path.name):
                yield path.relative_to(self.root).as_posix(), path.is_dir()
