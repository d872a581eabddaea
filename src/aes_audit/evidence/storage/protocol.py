"""What a store needs of the place where it lies. Names are POSIX paths within the store: `images/ab/<key>.json`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

__all__ = ["Storage"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Storage(Protocol):
    """Objects under names, each there whole or not at all, whoever dies. All methods raise StoreUnusable.

    What was written is read from then on, by every process; of two writers of one name the later one wins.
    """

    @property
    def address(self) -> str:
        """Opens the same storage from another process."""

    def prepare(self, own: Collection[str]) -> None:
        """Make sure of the place before it is used; `own` are the names that a store has at its top."""

    def probe(self) -> bool:
        """Write and remove an object: false where that is not permitted. Raises StoreUnusable for a full disk."""

    def read(self, name: str) -> bytes | None:
        """An object's content; None when there is none."""

    def size(self, name: str) -> int | None:
        """An object's length in bytes; None when there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Keep an object, in place of an earlier one."""

    def adopt(self, name: str, content: bytes, source: Storage) -> None:
        """Keep an object of another storage under its name, without taking room where that is possible."""

    def remove(self, name: str) -> None:
        """Remove an object if that is possible; a storage that is only read keeps it."""

    def names(self, folder: str) -> Sequence[str]:
        """The objects right in a folder, sorted; none where there is no such folder."""

    def folders(self, folder: str) -> Sequence[str]:
        """The folders right in a folder, sorted; "" is the whole storage."""

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The work on every item, in order: as many at once as it pays, and no more than that ahead of its reader."""
