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

import pytest
from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "89abcdef0123456789abcdef0123456789abcdef"
REVISIONS = {"main": COMMIT, "v1": COMMIT, "old": OLDER, "refs/pr/1": OLDER}
"""Branches and tags of every repository, and what they name."""


@dataclass
class Hub:
    """What the server holds and what it was asked."""

    repos: Mapping[str, Path]
    """Repository -> folder of its files at COMMIT; `datasets/owner/name` is a data set."""
    older: Mapping[str, Path] = field(default_factory=dict)
    """Repository -> folder of its files at OLDER."""
    gated: frozenset[str] = frozenset()
    """Repositories that need a licence to be accepted."""
    locked: frozenset[str] = frozenset()
    """Repositories that anybody may list, but whose files need a licence to be accepted."""
    hanging: frozenset[str] = frozenset()
    """Repositories about which the server never answers (a fault)."""
    closing: frozenset[str] = frozenset()
    """Repositories at which the server closes the connection (a fault)."""
    breaking: dict[str, int] = field(default_factory=dict)
    """File name -> how many times its transfer still breaks off in the middle (a fault)."""
    lying: frozenset[str] = frozenset()
    """Names of files that are announced longer than they are (a fault)."""
    requests: list[str] = field(default_factory=list)
    """Methods, paths and ranges, in order."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the server goes down: releases what hangs."""
    url: str = ""
    """Where it listens."""


def turn_client(patch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """Turn this process's own hub client, which has read its environment already, to a server and an empty cache."""
    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}")
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)


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
        self.hub.requests.append(" ".join(filter(None, (self.command, path, self.headers.get("Range")))))
        api = path.startswith("/api/")
        words = path.removeprefix("/api").strip("/").split("/")
        if len(words) < 3:
            # Libraries ask a few things besides: whether there is a hub at all, say.
            return self._send(404, b"", {})
        kind, owner, name, *rest = words
        if kind not in ("models", "datasets"):
            # Files of models stand right below the root.
            kind, owner, name, *rest = "models", kind, owner, name, *rest
        repo = f"datasets/{owner}/{name}" if kind == "datasets" else f"{owner}/{name}"
        if repo in self.hub.hanging:
            self.hub.stopping.wait()
        if repo in self.hub.hanging | self.hub.closing:
            self.close_connection = True
            return None
        if refusal := self._refusal(repo, rest):
            return self._send(refusal[0], b"{}", {"X-Error-Code": refusal[1], "Content-Type": "application/json"})
        named, inside = _revision(rest[1:])
        commit = REVISIONS.get(named, named)
        folder = (self.hub.older if commit == OLDER else self.hub.repos)[repo]
        if not api:
            return self._file(folder / inside, commit)
        return self._json(_tree(folder) if rest[:1] == ["tree"] else {"id": repo, "sha": commit, "siblings": []})

    def _refusal(self, repo: str, rest: list[str]) -> tuple[int, str] | None:
        if repo in self.hub.gated:
            return 403, "GatedRepo"
        if repo not in self.hub.repos:
            # The real hub does not tell strangers a private repository from an absent one.
            return 401, "RepoNotFound"
        named, inside = _revision(rest[1:])
        if named not in {*REVISIONS, *REVISIONS.values()}:
            return 404, "RevisionNotFound"
        if repo in self.hub.locked and rest[:1] == ["resolve"]:
            return 401, "GatedRepo"
        if rest[:1] == ["resolve"] and not (self.hub.repos[repo] / inside).is_file():
            return 404, "EntryNotFound"
        return None

    def _file(self, file: Path, commit: str) -> None:
        content = file.read_bytes()
        headers = {"ETag": f'"{_etag(content)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if file.name in self.hub.lying and self.command == "GET":
            return self._send(200, content[: len(content) // 2], headers)
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if self.command == "GET" and self.hub.breaking.get(file.name, 0):
            self.hub.breaking[file.name] -= 1
            return self._break_off(content[start:], headers)
        return self._send(206 if start else 200, content[start:], headers)

    def _break_off(self, content: bytes, headers: Mapping[str, str]) -> None:
        """Send half of what was announced and hang up."""
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _revision(rest: list[str]) -> tuple[str, str]:
    """Revision and path, of what stands behind `resolve`, `tree` or `revision`; the default branch for nothing."""
    size = 3 if rest[:1] == ["refs"] else 1
    return "/".join(rest[:size]) or "main", "/".join(rest[size:])


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
