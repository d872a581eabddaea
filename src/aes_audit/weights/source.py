"""Where weights come from: a local folder or a repository on the hub."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Source", "file_at", "folder_at", "parse_source"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where weights come from: exactly one of `folder` and `repo` is set."""

    folder: Path | None = None
    """A local folder."""
    repo: str | None = None
    """`owner/name` on the hub."""
    revision: str | None = None
    """Branch, tag or commit of the repository; None is its default branch."""

    @property
    def is_floating(self) -> bool:
        """Whether it may be other weights tomorrow: a repository at a branch or tag. A folder counts by its content."""
        return self.repo is not None and not _COMMIT.fullmatch(self.revision or "")

    def __str__(self) -> str:
        """The source as a person would type it."""
        place = str(self.folder) if self.folder else self.repo
        return f"{place}@{self.revision}" if self.revision else str(place)


def parse_source(text: str, root: Path) -> Source | None:
    """A folder or a hub repository, or None when `text` can only be a name of the zoo.

    `root` is what relative folders refer to. A folder that exists wins over a repository of the same name.
    """
    folder = _path(text, root)
    if _exists(folder, Path.is_dir) or text.startswith((".", "/", "~")):
        return Source(folder=folder)
    repo, _, revision = text.partition("@")
    if _HUB_ID.fullmatch(repo):
        return Source(repo=repo, revision=revision or None)
    return None


def folder_at(text: str, root: Path) -> Path | None:
    """The folder that `text` names, a relative one under `root`; None where there is none."""
    folder = _path(text, root)
    return folder if _exists(folder, Path.is_dir) else None


def file_at(text: str, root: Path) -> Path | None:
    """The file that `text` names, a relative one under `root`; None where there is none."""
    file = _path(text, root)
    return file if _exists(file, Path.is_file) else None


def _path(text: str, root: Path) -> Path:
    try:
        return root / Path(text).expanduser()
    except RuntimeError:
        # `~somebody` without a home folder: the name as typed, which will not be found.
        return root / text


def _exists(path: Path, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(path)
    except OSError:
        # Names that no file system holds, being too long, are not there.
        return False
