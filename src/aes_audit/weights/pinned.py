"""Which weights exactly: a commit for a hub repository, a content digest for a folder. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aes_audit.errors import ModelNotFound, UnsafeWeights
from aes_audit.weights.hub import download, resolve_commit
from aes_audit.weights.source import Source

__all__ = ["Weights", "file_digests", "fingerprint", "resolve_weights"]

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# What people put beside weights and what changes no score.
_NOT_WEIGHTS = (".md", ".png", ".jpg", ".jpeg", ".webp", ".gitattributes")


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights pinned to one content."""

    source: Source
    """Where they were asked for."""
    revision: str
    """Commit of the repository, or `sha256:...` of the folder's content."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What goes into keys: a folder counts by content alone, so a copy elsewhere is the same model."""
        return {"repo": self.source.repo, "revision": self.revision}

    def folder(self) -> Path:
        """The local folder, downloaded first where it is a repository."""
        return self.source.folder or download(str(self.source.repo), self.revision, self.source.revision)


def resolve_weights(source: Source, marker: str, cache: Path | None = None) -> Weights:
    """Pin a source. `marker` is the file that shows that the folder is what it should be.

    Raises ModelNotFound for a missing or unreadable folder, repository or revision, and UnsafeWeights
    for a folder whose weights exist only in formats that can run code when loaded.
    """
    if source.folder is None:
        return Weights(source, resolve_commit(str(source.repo), source.revision))
    folder = source.folder
    if not folder.is_dir():
        raise ModelNotFound(f"model folder {str(folder)!r} does not exist: check the path.")
    if not (folder / marker).is_file():
        raise ModelNotFound(
            f"model folder {str(folder)!r} holds no {marker}: give a folder that the library's save_pretrained wrote."
        )
    _refuse_pickles(folder)
    return Weights(source, fingerprint(folder, cache))


def fingerprint(folder: Path, cache: Path | None = None) -> str:
    """`sha256:` over names and contents of the folder's files, documentation and hidden files left out.

    `cache` is a folder that remembers digests of files by size and modification time, so that a large
    model is read once and not at every start.
    """
    known = _Remembered(folder, cache)
    total = hashlib.sha256()
    try:
        for file in sorted(_relevant(folder)):
            total.update(f"{file.relative_to(folder).as_posix()}\0{known.digest(file)}\n".encode())
    except OSError as error:
        raise ModelNotFound(f"model folder {str(folder)!r} cannot be read: {error}.") from error
    known.save()
    return f"sha256:{total.hexdigest()}"


def file_digests(folder: Path, names: Iterable[str], cache: Path | None = None) -> dict[str, str]:
    """`sha256:` of the content of each named file, by name; a file that is not there is left out.

    `cache` is as for `fingerprint`. Raises ModelNotFound for a file that cannot be read.
    """
    known = _Remembered(folder, cache)
    try:
        found = {name: f"sha256:{known.digest(folder / name)}" for name in names if (folder / name).is_file()}
    except OSError as error:
        raise ModelNotFound(f"{str(folder)!r} cannot be read: {error}.") from error
    known.save()
    return found


def _relevant(folder: Path) -> list[Path]:
    return [
        file
        for file in folder.rglob("*")
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.suffix.lower() not in _NOT_WEIGHTS
    ]


def _refuse_pickles(folder: Path) -> None:
    for room in {file.parent for file in _relevant(folder)}:
        names = [file.name for file in room.iterdir()]
        pickles = [name for name in names if name.endswith(_PICKLES)]
        if pickles and not any(name.endswith(".safetensors") for name in names):
            raise UnsafeWeights(f"{room / pickles[0]} can run code when loaded: save the weights as safetensors.")


class _Remembered:
    """File digests kept between runs; a changed size or modification time forgets them."""

    def __init__(self, folder: Path, cache: Path | None) -> None:
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
        self._file = cache / f"{name}.json" if cache else None
        self._known: dict[str, list[Any]] = {}
        self._changed = False
        if self._file is not None:
            try:
                self._known = dict(json.loads(self._file.read_text()))
            except (OSError, ValueError, TypeError):
                self._known = {}

    def digest(self, file: Path) -> str:
        """SHA-256 of the file's content."""
        stat = file.stat()
        stamp = [stat.st_size, stat.st_mtime_ns]
        known = self._known.get(str(file))
        if isinstance(known, list) and len(known) == 3 and known[:2] == stamp:
            return str(known[2])
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        self._known[str(file)] = [*stamp, digest]
        self._changed = True
        return digest

    def save(self) -> None:
        """Best effort: a store that cannot be written is reported where results are at stake."""
        if self._file is None or not self._changed:
            return
        part = self._file.with_name(f"{self._file.name}.{os.getpid()}.tmp")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self._known))
            part.replace(self._file)
        except OSError:
            with suppress(OSError):
                part.unlink()
