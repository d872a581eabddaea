"""What object storage refuses, told from the errors of its client libraries and said with a way out.

The libraries are known by the names of their errors and not imported: botocore's below s3fs, aiohttp's and Google's
below gcsfs, of which fsspec turns some into errors of the operating system.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["is_absent", "is_denied", "said"]

_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError"}
_UNREACHABLE = {
    "ClientConnectorError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "EndpointConnectionError",
    "FSTimeoutError",
    "ReadTimeoutError",
    "ServerDisconnectedError",
    "ServerTimeoutError",
    "TimeoutError",
}


def is_absent(error: BaseException | None) -> bool:
    """Whether the object is not there, in a bucket that is."""
    return isinstance(error, FileNotFoundError) and not _lacks_bucket(error)


def is_denied(error: BaseException | None) -> bool:
    """Whether these credentials may not do what was asked."""
    # gcsfs knows no error of its own for 403.
    return any(
        isinstance(each, PermissionError) or _status(each) in (401, 403) or str(each).startswith("Forbidden")
        for each in _chain(error)
    )


def said(error: BaseException, what: str, bucket: str) -> str:
    """Why `what` (read, write, list, remove) was not possible, and the way out; no full stop."""
    names = {cls.__name__ for each in _chain(error) for cls in type(each).__mro__}
    detail = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return f"there is no bucket {bucket!r}; make it, or give another --audit-store"
    if names & _NO_CREDENTIALS:
        return f"no credentials were found ({detail}); set up those of the service's own tools (docs/stores.md)"
    if is_denied(error):
        return f"access denied: these credentials may not {what} there ({detail}); give others, or another store"
    if names & _UNREACHABLE:
        return f"the service does not answer ({detail}); check network and endpoint, then run again to go on"
    return f"cannot {what} there ({detail}); run again to go on with what is kept"


def _lacks_bucket(error: BaseException) -> bool:
    return any(_code(each) == "NoSuchBucket" for each in _chain(error))


def _code(error: BaseException) -> object:
    response = getattr(error, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None


def _status(error: BaseException) -> int | None:
    """The status of an HTTP error of gcsfs."""
    code = str(getattr(error, "code", None))
    return int(code) if code.isdecimal() else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
