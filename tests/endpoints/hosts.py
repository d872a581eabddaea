"""A local server that speaks the protocols of hosted models, and misbehaves on demand. Driven by the real clients."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from aes_audit.endpoints.pacing import Clock

__all__ = ["Asked", "FakeTime", "Host", "Sent", "chat_answer", "gemini_answer", "images_answer", "picture", "serving"]


@dataclass(frozen=True)
class Asked:
    """One request as the host saw it."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    number: int
    """Counted from 0 in order of arrival."""

    @property
    def prompt(self) -> str:
        """The text to draw, wherever the protocol puts it."""
        if "prompt" in self.body:
            return str(self.body["prompt"])
        if "messages" in self.body:
            return str(self.body["messages"][-1]["content"])
        return str(self.body["contents"][-1]["parts"][0]["text"])


@dataclass(frozen=True)
class Sent:
    """What the host sends, and how."""

    body: Any = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    """Seconds before the first byte."""
    cut: int | None = None
    """Bytes after which the connection is closed; 0 closes it without a word."""
    drip: float = 0.0
    """Seconds between single bytes."""

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


class Host:
    """The running server: what it was asked, and how many requests it had at once."""

    def __init__(self, answer: Callable[[Asked], Sent]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._under_way = 0
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it answers, without a path."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def prompts(self) -> list[str]:
        """The texts it was asked for."""
        return [asked.prompt for asked in self.asked]

    @contextmanager
    def _counted(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Iterator[Asked]:
        with self._lock:
            asked = Asked(path, headers, body, len(self.asked))
            self.asked.append(asked)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield asked
        finally:
            with self._lock:
                self._under_way -= 1


def _handler(host: Host) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with host._counted(self.path, headers, body) as asked, suppress(ConnectionError):
                self._send(host.answer(asked))

        def _send(self, sent: Sent) -> None:
            time.sleep(sent.after)
            if sent.cut == 0:
                self.close_connection = True
                return
            self.send_response(sent.status)
            for name, value in {"content-type": "application/json", **sent.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(sent.content)))
            self.end_headers()
            for byte in sent.content if sent.drip else b"":
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(sent.drip)
            if not sent.drip:
                self.wfile.write(sent.content[: sent.cut])
            self.close_connection = sent.cut is not None

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: tests read what the project says, not what the host says."""

    return Handler


@contextmanager
def serving(answer: Callable[[Asked], Sent]) -> Iterator[Host]:
    """A host that answers like this while the block runs."""
    host = Host(answer)
    thread = threading.Thread(target=host.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        host.server.shutdown()
        host.server.server_close()
        thread.join()


class FakeTime:
    """A clock that moves only when somebody sleeps, and remembers how long."""

    def __init__(self, chance: float = 0.0) -> None:
        self.slept: list[float] = []
        self._now = 0.0
        self._lock = threading.Lock()
        self.clock = Clock(now=lambda: self._now, sleep=self._sleep, chance=lambda: chance)

    def _sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._now += seconds


def picture(text: str = "", *, side: int = 8, format: str = "PNG") -> bytes:
    """A small picture that depends on the text."""
    noise = np.random.default_rng(list(text.encode())).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, format=format)
    return file.getvalue()


def _base64(image: bytes | str) -> str:
    return image if isinstance(image, str) else base64.b64encode(image).decode()


def gemini_answer(image: bytes | str | None, *, text: str = "", mime: str = "image/png", **more: Any) -> Sent:
    """A generateContent answer; `image` as bytes, or as base64 text that may be broken."""
    parts: list[dict[str, Any]] = [{"text": text}] if text else []
    if image is not None:
        parts.append({"inlineData": {"mimeType": mime, "data": _base64(image)}})
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 20, "candidatesTokenCount": 1290, "totalTokenCount": 1310}
    return Sent({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "drawer-001", **more})


def images_answer(image: bytes | str, **more: Any) -> Sent:
    """An answer of the images API."""
    return Sent({"created": 1, "data": [{"b64_json": _base64(image)}], **more})


def chat_answer(image: bytes | str | None, *, text: str = "", mime: str = "image/png", **more: Any) -> Sent:
    """A chat completion with a picture beside the text."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if image is not None:
        url = f"data:{mime};base64,{_base64(image)}"
        message["images"] = [{"type": "image_url", "image_url": {"url": url}, "index": 0}]
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    whole = {"id": "c1", "object": "chat.completion", "created": 1, "model": "drawer", "choices": [choice]}
    return Sent({**whole, **more})
