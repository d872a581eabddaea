"""Storage without a store: what a folder or an S3 server gives by itself, one object after the other."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Bare", "bare_storage"]


class Bare(Protocol):
    """The storage in which a store lies; names are those within the store."""

    def write(self, contents: Iterable[bytes]) -> int:
        """Write each under a name that nobody has used, one after the other; how many there were."""

    def read(self, names: Iterable[str]) -> int:
        """Read each of these objects; how many there were."""

    def look_through(self) -> None:
        """Read all that lies there, where that is quick: a virtual machine is slow when it first touches memory."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove these objects, and what `write` has written."""


def bare_storage(address: str) -> Bare:
    """Of the store at this address."""
    scheme, _, rest = address.rpartition("://")
    if scheme:
        bucket, _, prefix = rest.partition("/")
        return _Bucket(bucket, prefix)
    return _Folder(Path(address))


class _Folder:
    """As careful as the store: on disk before it has its name, and the name on disk as well."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._written: list[str] = []

    def write(self, contents: Iterable[bytes]) -> int:
        return sum(self._write(content) for content in contents)

    def _write(self, content: bytes) -> int:
        name = uuid.uuid4().hex
        target = self._root / "bare" / name[:2] / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{target}.tmp", "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{target}.tmp", target)
        folder = os.open(target.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self._written.append(f"bare/{name[:2]}/{name}")
        return 1

    def read(self, names: Iterable[str]) -> int:
        return sum(bool((self._root / name).read_bytes()) for name in names)

    def look_through(self) -> None:
        for path in (path for _ in range(2) for path in self._root.rglob("*") if path.is_file()):
            path.read_bytes()

    def remove(self, names: Iterable[str]) -> None:
        for name in (*names, *self._written):
            (self._root / name).unlink()
        self._written.clear()


class _Bucket:
    """boto3's calls, one connection."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3

        self._client: Any = boto3.client("s3")
        self._bucket = bucket
        self._prefix = prefix
        self._written: list[str] = []

    def write(self, contents: Iterable[bytes]) -> int:
        return sum(self._write(content) for content in contents)

    def _write(self, content: bytes) -> int:
        name = uuid.uuid4().hex
        self._written.append(f"bare/{name[:2]}/{name}")
        self._client.put_object(**self._named(self._written[-1]), Body=content)
        return 1

    def read(self, names: Iterable[str]) -> int:
        return sum(bool(self._client.get_object(**self._named(name))["Body"].read()) for name in names)

    def look_through(self) -> None:
        pass

    def remove(self, names: Iterable[str]) -> None:
        for name in (*names, *self._written):
            self._client.delete_object(**self._named(name))
        self._written.clear()

    def _named(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}/{name}"}
