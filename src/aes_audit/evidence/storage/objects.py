"""A bucket of object storage. An object is sent with one request, which the service takes whole or not at all.

S3 and Google Cloud Storage answer a PUT once the object is kept whole, and every request after that finds it, lists
included. A request that was cut off or never answered leaves what was there before, so it can be sent again.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from aes_audit.errors import StoreUnusable
from aes_audit.evidence.storage.clients import answer, open_client
from aes_audit.evidence.storage.haste import hurry
from aes_audit.evidence.storage.protocol import Storage
from aes_audit.evidence.storage.refusals import is_absent, is_denied, said
from aes_audit.evidence.storage.threads import Threads

__all__ = ["ObjectStorage"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 32
"""Requests under way; a bucket takes thousands per second, and each takes tens of milliseconds."""

_PATIENCE = 20.0
"""Seconds after which a silent service is asked again."""


class ObjectStorage:
    """The objects below a prefix of a bucket; credentials and endpoint are those that the client library finds."""

    def __init__(self, address: str, *, patience: float = _PATIENCE) -> None:
        """Asks nothing yet; one answer may take `patience` seconds. Raises StoreUnusable without the client library."""
        self.address = address
        self._bucket = address.partition("://")[2].partition("/")[0]
        self._client = open_client(address, at_once=_AT_ONCE, patience=patience)
        self._threads = Threads(_AT_ONCE, "aes_audit-objects")

    def prepare(self, own: Collection[str]) -> None:
        """Make sure that the bucket is there; nothing is written, since a prefix needs no making."""
        if self.folders(""):
            return
        with self._asking("read"):
            # Credentials for a prefix alone may not ask about the bucket.
            try:
                self._answer("_info", self._bucket)
            except FileNotFoundError:
                # gcsfs says so too of an empty bucket that it may not ask about, and may list.
                self._answer("_ls", self._bucket)
            except Exception as error:
                if not is_denied(error):
                    raise

    def probe(self) -> bool:
        """As the protocol says."""
        name = f"locks/probe-{uuid.uuid4().hex}"
        try:
            self.write(name, b"probe")
        except StoreUnusable as error:
            if is_denied(error.__cause__):
                return False
            raise
        self.remove(name)
        return True

    def read(self, name: str) -> bytes | None:
        """An object's content, with one request; None when there is none."""
        with self._asking("read"):
            try:
                content: bytes = self._answer("_cat_file", self._path(name))
            except Exception as error:
                if is_absent(error):
                    return None
                raise
            return content

    def size(self, name: str) -> int | None:
        """An object's length in bytes; None when there is none."""
        with self._asking("read"):
            try:
                info = self._answer("_info", self._path(name))
            except Exception as error:
                if is_absent(error):
                    return None
                raise
            return int(info["size"]) if info["type"] == "file" else None

    def write(self, name: str, content: bytes) -> None:
        """Keep an object, with one request."""
        with self._asking("write"):
            self._answer("_pipe_file", self._path(name), content)

    def adopt(self, name: str, content: bytes, source: Storage) -> None:
        """A copy."""
        self.write(name, content)

    def remove(self, name: str) -> None:
        """Remove an object if that is possible."""
        with suppress(StoreUnusable), self._asking("remove"):
            try:
                self._answer("_rm_file", self._path(name))
            except Exception as error:
                if not is_absent(error):
                    raise

    def names(self, folder: str) -> Sequence[str]:
        """The objects right in a folder; a thousand with every request."""
        return self._entries(folder, "file")

    def folders(self, folder: str) -> Sequence[str]:
        """The prefixes right in a folder."""
        return self._entries(folder, "directory")

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Many at once, none further ahead of the reader than that."""
        begun: deque[Future[Result]] = deque()
        try:
            for item in items:
                begun.append(self._threads.submit(work, item))
                if len(begun) == _AT_ONCE:
                    yield _result(begun.popleft())
            while begun:
                yield _result(begun.popleft())
        finally:
            for future in begun:
                future.cancel()

    def __repr__(self) -> str:
        return f"ObjectStorage({self.address!r})"

    def _entries(self, folder: str, kind: str) -> Sequence[str]:
        with self._asking("list"):
            try:
                found = self._answer("_ls", self._path(folder), detail=True, refresh=True)
            except Exception as error:
                if is_absent(error):
                    return []
                raise
        root = len(self._path(""))
        return sorted(entry["name"][root:].strip("/") for entry in found if entry["type"] == kind)

    def _path(self, name: str) -> str:
        return f"{self.address.partition('://')[2]}/{name}"

    def _answer(self, method: str, *arguments: Any, **options: Any) -> Any:
        with _hurrying():
            return answer(self._client, method, *arguments, **options)

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn whatever the client library raises into a StoreUnusable; their errors have no common base."""
        try:
            yield
        except Exception as error:
            raise StoreUnusable(f"store {self.address}: {said(error, what, self._bucket)}.") from error


def _result(future: Future[Result]) -> Result:
    with _hurrying():
        return future.result()


@contextmanager
def _hurrying() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        hurry()
        raise
