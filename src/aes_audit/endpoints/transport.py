"""HTTP as hosts are met here: no redirects, no endless answers. Used by the client libraries underneath.

A redirect would carry the key to wherever the host points; an answer without end would fill the memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from aes_audit.endpoints.failures import CallFailed, shortened
from aes_audit.endpoints.keys import ApiKey

__all__ = ["LARGEST_ANSWER", "AnswerRefused", "http_client", "transport_failures"]

LARGEST_ANSWER = 100 * 2**20
"""Bytes of an answer beyond which it is dropped: an uncompressed 4096 x 4096 image in base64 fits."""

_CONNECTING = 15.0
"""Seconds for connecting, whatever the timeout of the call."""


class AnswerRefused(Exception):
    """An answer that was not read to its end."""


def http_client(timeout: float, largest: int = LARGEST_ANSWER) -> httpx2.Client:
    """A client whose calls end after `timeout` seconds and whose answers have at most `largest` bytes.

    Proxies and certificates come from the environment, as always.
    """

    def start(request: httpx2.Request) -> None:
        request.extensions["aes_audit_started"] = time.monotonic()
        # A few compressed bytes may unfold into more than fits; images do not get smaller anyway.
        request.headers["accept-encoding"] = "identity"

    def guard(response: httpx2.Response) -> None:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise AnswerRefused(f"the answer is compressed ({shortened(encoding)}), which was not asked for")
        deadline = response.request.extensions["aes_audit_started"] + timeout
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Guarded(response.stream, response.request, deadline, largest)

    return httpx2.Client(
        timeout=httpx2.Timeout(timeout, connect=min(timeout, _CONNECTING)),
        follow_redirects=False,
        event_hooks={"request": [start], "response": [guard]},
    )


class _Guarded(httpx2.SyncByteStream):
    """The bytes of an answer, until there are too many or they take too long."""

    def __init__(self, stream: httpx2.SyncByteStream, request: httpx2.Request, deadline: float, largest: int) -> None:
        self._stream = stream
        self._request = request
        self._deadline = deadline
        self._largest = largest

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._stream:
            size += len(chunk)
            if size > self._largest:
                raise AnswerRefused(f"the answer has more than {self._largest} bytes")
            # The library's own timeout starts anew with every byte.
            if time.monotonic() > self._deadline:
                raise httpx2.ReadTimeout("the answer did not end in time", request=self._request)
            yield chunk

    def close(self) -> None:
        self._stream.close()


@contextmanager
def transport_failures(key: ApiKey, timeout: float) -> Iterator[None]:
    """Raise CallFailed for what goes wrong below HTTP, also where a client library has wrapped it.

    Other errors pass. After the request was sent, the host may have worked and may charge for it.
    """
    try:
        yield
    except CallFailed:
        raise
    except Exception as error:
        cause = _cause(error)
        if isinstance(cause, AnswerRefused):
            failed = CallFailed(str(cause), passing=False, billed=True)
        elif isinstance(cause, httpx2.ConnectTimeout | httpx2.ConnectError | httpx2.PoolTimeout | httpx2.ProxyError):
            failed = CallFailed(f"no connection: {_said(cause, key)}", passing=True)
        elif isinstance(cause, httpx2.TimeoutException):
            failed = CallFailed(f"no answer within {timeout:g} s", passing=True, billed=True)
        elif isinstance(cause, httpx2.RequestError):
            failed = CallFailed(f"the connection broke: {_said(cause, key)}", passing=True, billed=True)
        else:
            raise
        raise failed from None


def _cause(error: BaseException) -> BaseException:
    """The first error of a chain that is the transport's, or the error itself."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, httpx2.RequestError | AnswerRefused):
            return link
        link = link.__cause__ or link.__context__
    return error


def _said(error: BaseException, key: ApiKey) -> str:
    return key.redacted(shortened(str(error) or type(error).__name__))
