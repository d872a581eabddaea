"""An S3-speaking server in a process of its own, for measuring a store in object storage without an account.

Run as a script it is that process: moto's server, which begins with the files of folders as objects.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["served"]

PREFIX = "evidence"
_PATIENCE = 300.0


@contextmanager
def served(buckets: Mapping[str, Path]) -> Iterator[list[str]]:
    """Addresses of stores, each in a bucket of its own, with what lies in its folder.

    Clients find the server through the environment, as users' do. It takes the folders' files without HTTP, which would
    be the longest part of filling a large store and is not what is measured.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, __file__, str(port), *(f"{name}={folder}" for name, folder in buckets.items())]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.environ |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        _await(url, server)
        yield [f"s3://{name}/{PREFIX}" for name in buckets]
    finally:
        server.terminate()
        server.wait()


def _await(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/moto-api/", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"no moto server answers at {url}; install the extra `test`.")


def main() -> None:
    """Serve on a port; further arguments are BUCKET=FOLDER."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends
    from moto.server import main as serve

    port, *buckets = sys.argv[1:]
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for bucket in buckets:
        name, _, folder = bucket.partition("=")
        backend.create_bucket(name, "us-east-1")
        for path in Path(folder).rglob("*"):
            if path.is_file():
                backend.put_object(name, f"{PREFIX}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    serve(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    main()
