"""Storage without a store: what a folder or an S3 server gives by itself, one object after the other."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Bare", "bare_storage"]


class Bare(Protocol):
    """Objects under names that nobody has used."""

    def write(self, contents: Iterable[bytes]) -> int:
        """Write each under a new name; how many there were."""

    def read(self, count: int) -> int:
        """Read the first of those that were written, this often."""


def bare_storage(address: str) -> Bare:
    """Beside the store of this address: in the same bucket, or on the same disk."""
    scheme, _, rest = address.rpartition("://")
    if scheme:
        bucket, _, prefix = rest.partition("/")
        return _Bucket(bucket, f"{prefix}-bare/")
    return _Folder(Path(f"{address}-bare"))


class _Folder:
    """As careful as the store: on disk before it has its name, and the name on disk as well."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._first: Path | None = None
        root.mkdir(parents=True)

    def write(self, contents: Iterable[bytes]) -> int:
        return sum(self._write(content) for content in contents)

    def _write(self, content: bytes) -> int:
        target = self._root / uuid.uuid4().hex
        self._first = self._first or target
        with open(f"{target}.tmp", "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{target}.tmp", target)
        folder = os.open(self._root, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return 1

    def read(self, count: int) -> int:
        assert self._first is not None
        return sum(bool(self._first.read_bytes()) for _ in range(count))


class _Bucket:
    """boto3's calls, one connection."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3

        self._client: Any = boto3.client("s3")
        self._bucket = bucket
        self._prefix = prefix
        self._first = ""

    def write(self, contents: Iterable[bytes]) -> int:
        return sum(self._write(content) for content in contents)

    def _write(self, content: bytes) -> int:
        name = f"{self._prefix}{uuid.uuid4().hex}"
        self._first = self._first or name
        self._client.put_object(Bucket=self._bucket, Key=name, Body=content)
        return 1

    def read(self, count: int) -> int:
        return sum(
            bool(self._client.get_object(Bucket=self._bucket, Key=self._first)["Body"].read()) for _ in range(count)
        )
