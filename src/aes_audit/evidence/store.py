"""The store: images and scores under the digest of what determines them, in a folder or in object storage.

    blobs/ab/<sha256>.png     image files, named by their content
    images/ab/<key>.json      which blob an image key has, or why it has none
    scores/ab/<key>.json      what a scorer answered about an image
    rates/ab/<key>.json       how fast a model was
    changed/<key>-<id>        when an image was found whose bytes were not those that were stored
    unfinished/               in a folder: files until they are whole

Any number of processes may share a store. Each object is written whole or not at all: a reader or a crash never sees
half of one. A blob is written before the record that names it, so a record without its blob is an unfinished image.
"""

from __future__ import annotations

import hashlib
import re
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from aes_audit.errors import AesAuditError, StoreUnusable
from aes_audit.evidence.files import refused
from aes_audit.evidence.keys import JSON
from aes_audit.evidence.records import decoded, encoded
from aes_audit.evidence.storage.address import local_folder, open_storage

__all__ = ["ChangedImageWarning", "CorruptObject", "ImageRecord", "Store"]

_CHANGED = "changed"
_OWN = frozenset({"blobs", "images", "scores", "rates", "locks", "fingerprints", _CHANGED, "changed.log"})
_DIGEST = re.compile("[0-9a-f]{64}")


class CorruptObject(AesAuditError):
    """An image whose bytes are not those that were stored; it has been removed and may be made again."""


class ChangedImageWarning(UserWarning):
    """A stored image was found changed on disk; one warning per image."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What the store knows about an image without opening it."""

    key: str
    """The image's key."""
    sha256: str | None
    """Digest of the PNG file; None when there is no image."""
    error: str | None
    """Why there is no image; None when there is one."""
    record: Mapping[str, Any] = field(hash=False)
    """What was put beside it, with `sha256` and `bytes` (the file's digest and length), or `error`."""

    @property
    def fault(self) -> str | None:
        """The kind of a missing image; None when there is an image."""
        return None if self.error is None else str(self.record.get("kind", "failed"))

    @property
    def flags(self) -> tuple[str, ...]:
        """What is suspicious about an image that is data."""
        return tuple(map(str, self.record.get("flags", ())))


class Store:
    """Images and scores at one address; see the module for what lies there. All methods raise StoreUnusable."""

    shared = True
    """Whether who opens the address in another process has all of it."""

    def __init__(self, address: str | Path, *, looked_at: bool = False, sharing: str = "") -> None:
        """Open the store at `address`: a folder, which is made where there is none, or a URL.

        Where it is only `looked_at`, nothing is made, and it does not say whether it can be written. A store that
        cannot be written may still be read. Processes that share the work of one plan, each with a part of it, say so:
        they do not wait for each other.
        """
        self.storage = open_storage(address)
        self._looked_at = looked_at
        self._sharing = sharing
        if not looked_at:
            self.storage.prepare(_OWN)
        self._changed_before = self._changes()
        self._noted: list[str] = []

    @property
    def address(self) -> str:
        """Opens the same store from another process."""
        return self.storage.address

    @cached_property
    def local(self) -> Path:
        """The folder of what belongs to this machine: locks, the sums of a budget, digests of weights."""
        return local_folder(self.address)

    @cached_property
    def read_only(self) -> bool:
        """Whether this process may read the store and not write it; found out by writing."""
        if self._looked_at:
            return False
        try:
            return not self.storage.probe()
        except StoreUnusable:
            return False

    @property
    def changed(self) -> int:
        """Images that were found changed, and removed, since this store was opened, by whichever process.

        Where the store does not answer any more, those that this process found: a run that ends says what it knows.
        """
        try:
            return self._changes() - self._changed_before
        except StoreUnusable:
            return len(self._noted)

    def check_writable(self) -> None:
        """Write and remove a probe, so that a full place is found before hours are spent."""
        if not self.storage.probe():
            self.refuse_missing("something that this run needs")

    def refuse_missing(self, what: str) -> None:
        """Raise StoreUnusable where the store is read only: `what` is missing there, and could not be kept."""
        if self.read_only:
            raise StoreUnusable(
                f"store {self.address} is read only and lacks {what}: give another --audit-store, or merge it into one "
                f"that can be written (aes-audit merge {self.address} --into DIR)."
            )

    def put_image(self, key: str, png: bytes, record: Mapping[str, JSON]) -> None:
        """Keep an image file under its key, with a record of how it was made; replaces what was there."""
        sha256 = hashlib.sha256(png).hexdigest()
        self.storage.write(_blob(sha256), png)
        self._put("images", key, {**record, "sha256": sha256, "bytes": len(png)})

    def put_missing_image(self, key: str, reason: str, record: Mapping[str, JSON]) -> None:
        """Keep the reason why there is no image under this key: it counts as made, and is missing."""
        self._put("images", key, {**record, "sha256": None, "error": reason})

    def image(self, key: str) -> ImageRecord | None:
        """What is known about an image; None when it must be made. The image file is not opened.

        A garbled record, and a record whose blob is absent or has another size, count as None.
        """
        record = self._get("images", key)
        if record is None:
            return None
        sha256, error = record.get("sha256"), record.get("error")
        if sha256 is None:
            return None if error is None else ImageRecord(key, None, error, record)
        if not _is_digest(sha256):
            return None
        if self.storage.size(_blob(sha256)) != record.get("bytes"):
            return None
        return ImageRecord(key, sha256, None, record)

    def images(self, keys: Iterable[str]) -> Iterator[ImageRecord | None]:
        """What `image` says of each key, in order."""
        return self.storage.each(self.image, keys)

    def read_image(self, record: ImageRecord) -> bytes:
        """The PNG file of a record that has one, verified against its digest.

        Raises CorruptObject when the bytes have changed or are gone; record and blob are then removed, so that
        `image` answers None and the image can be made again, and the change is counted in `changed` and warned of. In
        a store that is read only nothing can be made again: that is StoreUnusable.
        Raises ValueError for a missing image.
        """
        if record.sha256 is None:
            raise ValueError(f"image {record.key} is missing: {record.error}")
        blob = _blob(record.sha256)
        png = self.storage.read(blob)
        if png is not None and hashlib.sha256(png).hexdigest() == record.sha256:
            return png
        if self.read_only:
            raise StoreUnusable(
                f"store {self.address} is read only and image {record.key} is not what was stored there: give another "
                "--audit-store, or run once where it can be written."
            )
        known = _name("images", record.key)
        if self.storage.size(known) is not None:
            self._note_change(record.key)
        # The record goes first: without it nothing refers to the blob.
        self.storage.remove(known)
        self.storage.remove(blob)
        raise CorruptObject(f"store {self.address}: image {record.key} is not what was stored; run again to remake it.")

    def read_images(self, records: Iterable[ImageRecord]) -> Iterator[bytes]:
        """What `read_image` gives for each, in order."""
        return self.storage.each(self.read_image, records)

    def put_scores(self, key: str, record: Mapping[str, JSON]) -> None:
        """Keep a scorer's answers under their key; replaces what was there."""
        self._put("scores", key, record)

    def put_all_scores(self, records: Mapping[str, Mapping[str, JSON]]) -> None:
        """Keep the answers under each of these keys."""
        deque(self.storage.each(lambda each: self.put_scores(*each), records.items()), maxlen=0)

    def scores(self, key: str) -> Mapping[str, Any] | None:
        """A scorer's answers as they were put, fields sorted and tuples as lists; None where garbled or absent."""
        return self._get("scores", key)

    def all_scores(self, keys: Iterable[str]) -> Iterator[Mapping[str, Any] | None]:
        """What `scores` says of each key, in order."""
        return self.storage.each(self.scores, keys)

    def has_scores(self, key: str) -> bool:
        """Whether there are answers under this key, as far as that is known without reading them."""
        return self.storage.size(_name("scores", key)) is not None

    def have_scores(self, keys: Iterable[str]) -> Iterator[bool]:
        """What `has_scores` says of each key, in order."""
        return self.storage.each(self.has_scores, keys)

    def put_rate(self, key: str, record: Mapping[str, JSON]) -> None:
        """Keep how fast a model was; replaces what was there."""
        self._put("rates", key, record)

    def rate(self, key: str) -> Mapping[str, Any] | None:
        """How fast a model was; None where nobody knows."""
        return self._get("rates", key)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Wait for, and hold, the store's lock of this name; a lock only saves double work, writes are safe without.

        Processes wait that share `local`: those of one machine, or of all machines that mount the store's folder. A
        holder that dies lets go of it. File systems without locks grant it to everyone. In a store that is read only
        there is nothing to be made, and no lock.
        """
        self.refuse_missing("something that this run needs")
        path = self.local / "locks" / f"{hashlib.sha256((name + self._sharing).encode()).hexdigest()}.lock"
        lock = FileLock(path)
        with refused(path), suppress(NotImplementedError):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[str, str]]:
        # What is open (connections, threads) stays where it is.
        return _looked_at, (self.address, self._sharing)

    def __repr__(self) -> str:
        return f"Store({self.address!r})"

    def _changes(self) -> int:
        return len(self.storage.names(_CHANGED))

    def _note_change(self, key: str) -> None:
        self._noted.append(key)
        # A store that is only read keeps no account.
        with suppress(StoreUnusable):
            noted = f"{datetime.now(UTC).isoformat(timespec='seconds')} {key}\n"
            self.storage.write(f"{_CHANGED}/{key}-{uuid.uuid4().hex}", noted.encode())
        told = f"store {self.address}: image {key} had changed on disk; it was dropped, to be made again."
        warnings.warn(told, ChangedImageWarning, stacklevel=3)

    def _put(self, room: str, key: str, record: Mapping[str, JSON]) -> None:
        self.storage.write(_name(room, key), encoded(key, record))

    def _get(self, room: str, key: str) -> dict[str, Any] | None:
        content = self.storage.read(_name(room, key))
        return None if content is None else decoded(key, content)


def _looked_at(address: str, sharing: str) -> Store:
    return Store(address, looked_at=True, sharing=sharing)


def _blob(sha256: str) -> str:
    return _name("blobs", sha256, ".png")


def _name(room: str, key: str, suffix: str = ".json") -> str:
    # A key that comes out of a record must not lead out of the store.
    if not _is_digest(key):
        raise ValueError(f"not a key: {key!r}; keys have 64 hex digits, see aes_audit.evidence.keys")
    return f"{room}/{key[:2]}/{key}{suffix}"


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None
