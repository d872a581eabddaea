"""Places where a store can lie, seen from outside: what is there is read and damaged without the store's own code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aes_audit.evidence.store import Store

ROOMS = ("blobs", "images", "scores", "rates", "changed")


class Place(Protocol):
    """An address, and its objects by name."""

    @property
    def address(self) -> str:
        """Opens a store."""

    def contents(self) -> Mapping[str, bytes]:
        """Every object in the rooms of a store."""

    def put(self, name: str, content: bytes) -> None:
        """Write an object, in place of what was there."""

    def drop(self, name: str) -> None:
        """Remove an object."""


@dataclass(frozen=True)
class Folder:
    """A folder."""

    root: Path

    @property
    def address(self) -> str:
        return str(self.root)

    def contents(self) -> Mapping[str, bytes]:
        files = [file for room in ROOMS for file in (self.root / room).rglob("*") if file.is_file()]
        return {file.relative_to(self.root).as_posix(): file.read_bytes() for file in files}

    def put(self, name: str, content: bytes) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_bytes(content)

    def drop(self, name: str) -> None:
        (self.root / name).unlink()


@dataclass(frozen=True)
class Bucket:
    """A prefix of a bucket."""

    address: str
    client: Any
    """boto3's."""

    @property
    def _where(self) -> tuple[str, str]:
        bucket, _, prefix = self.address.removeprefix("s3://").partition("/")
        return bucket, f"{prefix}/"

    def contents(self) -> Mapping[str, bytes]:
        bucket, prefix = self._where
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        names = [found["Key"].removeprefix(prefix) for page in pages for found in page.get("Contents", ())]
        return {name: self._read(name) for name in names if name.startswith(ROOMS)}

    def put(self, name: str, content: bytes) -> None:
        bucket, prefix = self._where
        self.client.put_object(Bucket=bucket, Key=prefix + name, Body=content)

    def drop(self, name: str) -> None:
        bucket, prefix = self._where
        self.client.delete_object(Bucket=bucket, Key=prefix + name)

    def _read(self, name: str) -> bytes:
        bucket, prefix = self._where
        return bytes(self.client.get_object(Bucket=bucket, Key=prefix + name)["Body"].read())


def only(place: Place, room: str) -> str:
    """The name of the one object in a room."""
    (name,) = (name for name in place.contents() if name.startswith(f"{room}/"))
    return name


def assert_whole(place: Place) -> None:
    """Every object that has its name is the object of that name."""
    store = Store(place.address)
    for name, content in place.contents().items():
        room, key = name.split("/")[0], Path(name).stem
        if room == "blobs":
            assert hashlib.sha256(content).hexdigest() == key
        elif room == "images":
            found = store.image(key)
            assert found is not None
            store.read_image(found)
        elif room == "scores":
            assert store.scores(key) is not None
