"""A model hub on the loopback interface: the few requests that the real client sends, and its ways to refuse."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server holds and what it was asked."""

    repos: Mapping[str, Path]
    """Repository -> folder of its files; every repository has the branch `main` and the tag `v1`."""
    gated: frozenset[str] = frozenset()
    """Repositories that need a licence to be accepted."""
    hanging: frozenset[str] = frozenset()
    """Repositories about which the server never answers (a fault)."""
    closing: frozenset[str] = frozenset()
    """Repositories at which the server closes the connection (a fault)."""
    requests: list[str] = field(default_factory=list)
    """Methods and paths, in order."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the server goes down: releases what hangs."""
    url: str = ""
    """Where it listens."""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, hub)) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            hub.stopping.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *args: object) -> None:
        self.hub = hub
        super().__init__(*args)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test prints what it needs."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        api = path.startswith("/api/models/")
        owner, name, *rest = path.removeprefix("/api/models/").lstrip("/").split("/")
        repo = f"{owner}/{name}"
        if repo in self.hub.hanging:
            self.hub.stopping.wait()
        if repo in self.hub.hanging | self.hub.closing:
            self.close_connection = True
            return None
        if refusal := self._refusal(repo, rest):
            return self._send(refusal[0], b"{}", {"X-Error-Code": refusal[1], "Content-Type": "application/json"})
        folder = self.hub.repos[repo]
        if not api:
            return self._file(folder / "/".join(rest[2:]))
        return self._json(_tree(folder) if rest[:1] == ["tree"] else {"id": repo, "sha": COMMIT, "siblings": []})

    def _refusal(self, repo: str, rest: list[str]) -> tuple[int, str] | None:
        if repo in self.hub.gated:
            return 403, "GatedRepo"
        if repo not in self.hub.repos:
            # The real hub does not tell strangers a private repository from an absent one.
            return 401, "RepoNotFound"
        if len(rest) > 1 and rest[1] not in ("main", "v1", COMMIT):
            return 404, "RevisionNotFound"
        return None

    def _file(self, file: Path) -> None:
        content = file.read_bytes()
        self._send(200, content, {"ETag": f'"{_etag(content)}"', "X-Repo-Commit": COMMIT})

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _tree(folder: Path) -> list[dict[str, object]]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return [
        {
            "type": "file",
            "path": file.relative_to(folder).as_posix(),
            "size": file.stat().st_size,
            "oid": _etag(file.read_bytes()),
        }
        for file in files
    ]


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
