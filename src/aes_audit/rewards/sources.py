"""Official reward files pinned to one content: a commit on the hub, or digests of local files. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aes_audit.errors import ModelNotFound, UsageError
from aes_audit.rewards.catalogue import CONFIGURATION, Companion, RewardEntry
from aes_audit.rewards.files import RewardFiles
from aes_audit.weights.hub import download, resolve_commit
from aes_audit.weights.pinned import file_digests

__all__ = ["PinnedFiles", "pin_files"]

_WEIGHTS = (".safetensors", ".pt", ".pth", ".bin")
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt")


class PinnedFiles(Protocol):
    """A checkpoint with everything it needs, of one content."""

    @property
    def revision(self) -> str:
        """Commit or content digest of the checkpoint."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """What goes into keys; never a path."""
        ...

    def fetch(self) -> RewardFiles:
        """The local files, downloaded first where they are on the hub; raises ModelNotFound."""
        ...


def pin_files(
    entry: RewardEntry, name: str, place: Path | None, revision: str | None, cache: Path | None
) -> PinnedFiles:
    """Pin a reward's files: those at `place`, a file or folder, or the hub repository's at `revision`.

    `cache` is a folder that remembers file digests. Raises UsageError where a path must be given, and ModelNotFound
    for a file, repository or revision that cannot be read.
    """
    if place is not None:
        return _local(entry, name, place, cache)
    if entry.repo is None:
        raise UsageError(
            f"reward {name!r} has no repository on the hub: give its weights as {name}=PATH, a folder or a file "
            f"({', '.join(entry.files)})."
        )
    commit = resolve_commit(entry.repo, revision)
    shared = {
        role: None if other.own and other.repo == entry.repo else _HubFolder.pin(other)
        for role, other in entry.companions.items()
    }
    return _HubFiles(entry, entry.repo, commit, revision, shared)


@dataclass(frozen=True, slots=True)
class _LocalFolder:
    """A companion on this machine."""

    folder: Path
    identity: Mapping[str, str]

    def fetch(self) -> Path:
        return self.folder


@dataclass(frozen=True, slots=True)
class _HubFolder:
    """A companion on the hub."""

    repo: str
    commit: str

    @classmethod
    def pin(cls, companion: Companion) -> _HubFolder:
        return cls(companion.repo, resolve_commit(companion.repo, None))

    @property
    def identity(self) -> Mapping[str, str]:
        return {"repo": self.repo, "revision": self.commit}

    def fetch(self) -> Path:
        return download(self.repo, self.commit, files=CONFIGURATION)


@dataclass(frozen=True, slots=True)
class _LocalFiles:
    """Everything by path, companions perhaps from the hub."""

    checkpoint: Path
    digests: Mapping[str, str]
    companions: Mapping[str, _LocalFolder | _HubFolder]

    @property
    def revision(self) -> str:
        return self.digests[self.checkpoint.name]

    @property
    def identity(self) -> Mapping[str, Any]:
        beside = {name: digest for name, digest in self.digests.items() if name != self.checkpoint.name}
        companions = {role: dict(companion.identity) for role, companion in self.companions.items()}
        return {"checkpoint": self.revision, "beside": beside, "companions": companions}

    def fetch(self) -> RewardFiles:
        companions = {role: companion.fetch() for role, companion in self.companions.items()}
        return RewardFiles(self.checkpoint, self.checkpoint.parent, companions)


@dataclass(frozen=True, slots=True)
class _HubFiles:
    """Everything on the hub."""

    entry: RewardEntry
    repo: str
    revision: str
    asked: str | None
    companions: Mapping[str, _HubFolder | None]
    """None is the repository itself."""

    @property
    def identity(self) -> Mapping[str, Any]:
        others = {role: dict(other.identity) for role, other in self.companions.items() if other}
        return {"repo": self.repo, "revision": self.revision, "companions": others}

    def fetch(self) -> RewardFiles:
        own = CONFIGURATION if None in self.companions.values() else ()
        folder = self._folder((*self.entry.beside, *own))
        companions = {role: other.fetch() if other else folder for role, other in self.companions.items()}
        return RewardFiles(self._checkpoint(folder), folder, companions)

    def _folder(self, small: tuple[str, ...]) -> Path:
        # Official names in order: a pickle is fetched only where the publisher has nothing better.
        for file in self.entry.files:
            folder = download(self.repo, self.revision, self.asked, files=(file, *small))
            if (folder / file).is_file():
                break
        return folder

    def _checkpoint(self, folder: Path) -> Path:
        for file in self.entry.files:
            if (folder / file).is_file():
                return folder / file
        raise ModelNotFound(
            f"{self.repo} at {self.revision[:12]} holds no {' or '.join(self.entry.files)} (or the hub cannot be asked "
            "for it): check the revision and the network, or give the file by path."
        )


def _local(entry: RewardEntry, name: str, place: Path, cache: Path | None) -> _LocalFiles:
    checkpoint = _find(entry, name, place)
    folder = checkpoint.parent
    digests = file_digests(folder, (checkpoint.name, *entry.beside), cache)
    companions = {role: _companion(other, folder, cache) for role, other in entry.companions.items()}
    return _LocalFiles(checkpoint, digests, companions)


def _find(entry: RewardEntry, name: str, place: Path) -> Path:
    if place.is_file():
        return place
    if not place.is_dir():
        raise ModelNotFound(f"reward {name!r}: {str(place)!r} does not exist: check the path.")
    official = [place / file for file in entry.files if (place / file).is_file()]
    others = sorted(file for file in place.iterdir() if file.suffix in _WEIGHTS and file.is_file())
    if official or len(others) == 1:
        return (official or others)[0]
    found = f"several other weight files ({', '.join(file.name for file in others)})" if others else "no weight file"
    raise ModelNotFound(
        f"reward {name!r}: {str(place)!r} holds {found} and no {' or '.join(entry.files)}: give the file itself."
    )


def _companion(companion: Companion, folder: Path, cache: Path | None) -> _LocalFolder | _HubFolder:
    rooms = [folder / companion.beside, *([folder] if companion.own else [])]
    for room in rooms:
        if any((room / file).is_file() for file in (*_TOKENIZERS, *(["config.json"] if room is not folder else []))):
            return _LocalFolder(room, file_digests(room, CONFIGURATION, cache))
    try:
        return _HubFolder.pin(companion)
    except ModelNotFound as error:
        raise ModelNotFound(f"{error} Or put its tokenizer files into {str(rooms[0])!r}.") from error
