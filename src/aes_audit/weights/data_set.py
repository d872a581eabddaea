"""A data set on the model hub, at one commit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from aes_audit.weights.hub import download, list_files, resolve_commit

__all__ = ["DataSet", "find_data_set"]


@dataclass(frozen=True, slots=True)
class DataSet:
    """What is on the hub; nothing of it is fetched yet."""

    repo: str
    """`owner/name`."""
    revision: str | None
    """Branch, tag or commit as typed; None is the default branch."""
    commit: str
    """What it names now."""
    files: tuple[str, ...]
    """Names of all its files, sorted."""

    def __str__(self) -> str:
        """For messages."""
        return f"data set {self.repo} at {self.commit[:12]}"

    def ending(self, endings: Collection[str], pattern: str | None = None) -> list[str]:
        """Names of its files that end so, whatever the case, and fit the pattern."""
        found = [name for name in self.files if name.lower().endswith(tuple(endings))]
        return [name for name in found if pattern is None or fnmatchcase(name, pattern)]

    def fetch(self, names: Sequence[str]) -> Path:
        """The folder of the hub cache with these files (names or patterns); raises ModelNotFound."""
        return download(self.repo, self.commit, self.revision, names, kind="dataset")


def find_data_set(repo: str, revision: str | None) -> DataSet:
    """Ask the hub for commit and files; the local cache answers without a network. Raises ModelNotFound."""
    commit = resolve_commit(repo, revision, kind="dataset")
    return DataSet(repo, revision, commit, tuple(sorted(list_files(repo, commit, kind="dataset"))))
