"""An S3 server as it is on a bad day: requests pass through a real proxy that refuses, hangs or breaks off some."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

DENIED = b'{"error": {"code": 403, "message": "somebody does not have access to this."}}'
BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass
class Trouble:
    """What happens to the next requests of a method; then they pass."""

    upstream: str
    """The server behind."""
    method: str = ""
    path: str = ""
    """Of these alone; empty for all."""
    how: str = ""
    """`busy`: 503; `denied`: 403, as Google says it; `hang`: no answer; `cut`: half of the request arrives, then both
    connections close; `torn`: half of the answer arrives."""
    after: int = 0
    """How many requests of the method pass before."""
    times: int = 0
    """How many requests it happens to."""
    happened: int = 0
    url: str = ""
    """Of the proxy."""
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def strikes(self, method: str, path: str) -> bool:
        """Whether it happens to this request."""
        with self.lock:
            fits = method == self.method and self.path in ("", urlsplit(path).path)
            if not fits or self.happened >= self.times:
                return False
            if self.after:
                self.after -= 1
                return False
            self.happened += 1
            return True


@contextmanager
def troubled(upstream: str) -> Iterator[Trouble]:
    """A proxy in front of a server; nothing happens before it is told to."""
    trouble = Trouble(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Proxy", (_Proxy,), {"trouble": trouble}))
    trouble.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield trouble
    finally:
        trouble.over.set()
        server.shutdown()
        server.server_close()


class _Proxy(BaseHTTPRequestHandler):
    trouble: Trouble
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        struck = self.trouble.how if self.trouble.strikes(self.command, self.path) else ""
        if struck == "busy":
            self._answer(503, {"Content-Type": "application/xml"}, BUSY)
        elif struck == "denied":
            self._answer(403, {"Content-Type": "application/json"}, DENIED)
        elif struck == "hang":
            self.trouble.over.wait(60)
            self.close_connection = True
        elif struck == "cut":
            self._send_half(body)
            self._close()
        else:
            self._pass(body, torn=struck == "torn")

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _any  # noqa: N815

    def _pass(self, body: bytes, *, torn: bool) -> None:
        connection = HTTPConnection(urlsplit(self.trouble.upstream).netloc, timeout=30)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        headers = {
            name: value for name, value in answer.getheaders() if name not in ("Transfer-Encoding", "Connection")
        }
        if torn:
            self._answer(answer.status, {**headers, "Content-Length": str(len(content))}, content[: len(content) // 2])
            self._close()
        else:
            self._answer(answer.status, headers, content)
        connection.close()

    def _send_half(self, body: bytes) -> None:
        server = urlsplit(self.trouble.upstream)
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        with socket.create_connection((str(server.hostname), int(server.port or 0))) as connection:
            connection.sendall(f"{self.command} {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body[: len(body) // 2])

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        length = {} if "Content-Length" in headers else {"Content-Length": str(len(content))}
        for name, value in {**headers, **length}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _close(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""
