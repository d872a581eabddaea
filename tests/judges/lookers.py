"""Scripted judges behind a local server that decode what they are shown, and pairs of pictures to show them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from endpoints.hosts import Asked, FakeTime, Host, Sent, serving
from PIL import Image

from aes_audit.endpoints.address import read_address
from aes_audit.endpoints.caller import Limits
from aes_audit.evidence.preferring import PairJob, shown_orders
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.judges.image_preference import HostedPreference

__all__ = ["answer", "bright_pair", "brighter", "judge_at", "lookers_host", "said", "shown", "texts"]


def shown(asked: Asked) -> list[bytes]:
    """The files of the images, in the order in which they are shown."""
    parts = asked.body["messages"][-1]["content"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert all(url.startswith("data:image/png;base64,") for url in urls)
    return [base64.b64decode(url.partition(",")[2]) for url in urls]


def texts(asked: Asked) -> str:
    """All text parts, a line each."""
    parts = asked.body["messages"][-1]["content"]
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def said(content: Any, **more: Any) -> Sent:
    """A chat completion that says this."""
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    choice = {"index": 0, "finish_reason": more.pop("finish_reason", "stop"), "message": message}
    whole = {"id": "c1", "object": "chat.completion", "created": 1, "model": "looker-001", "choices": [choice]}
    return Sent({**whole, **more})


def answer(choice: Any, **more: Any) -> Sent:
    """A valid answer, as far as the choice is one."""
    return said(json.dumps({"answer": choice}), **more)


def brighter(asked: Asked) -> Sent:
    """Prefers the brighter image, having looked at both."""
    first, second = (float(np.asarray(Image.open(io.BytesIO(png)).convert("L")).mean()) for png in shown(asked))
    return answer(-1 if abs(first - second) < 1 else int(second > first))


@contextmanager
def lookers_host(reply: Callable[[Asked], Sent] = brighter) -> Iterator[Host]:
    """The server while the block runs."""
    with serving(reply) as host:
        yield host


def judge_at(host: Host, *, limits: Mapping[str, Any] | None = None, **settings: Any) -> HostedPreference:
    """A judge at this server whose clock does not make anybody wait."""
    usual = {"concurrency": 4, "attempts": 3, "timeout": 20.0}
    return HostedPreference(
        name="preference/looker",
        model="looker",
        address=read_address(f"{host.url}/v1"),
        limits=Limits(**{**usual, **(limits or {})}),
        clock=FakeTime().clock,
        **settings,
    )


def bright_pair(store: Store, item: str, original: int, wide: int, orders: str = "both") -> PairJob:
    """A pair of plain-looking pictures of these brightnesses, 0 to 255."""
    before, after = _kept(store, f"{item} original", original), _kept(store, f"{item} wide", wide)
    return PairJob(item, f"a picture of {item}, and bright", before, after, shown_orders(orders, "tests", item))


def _kept(store: Store, name: str, level: int) -> ImageRecord:
    key = hashlib.sha256(name.encode()).hexdigest()
    file = io.BytesIO()
    pixels = np.full((8, 8, 3), level, dtype=np.uint8)
    # A corner of its own, so that no two pictures are the same file unless they are meant to be.
    pixels[0, 0] = list(key.encode()[:3])
    Image.fromarray(pixels).save(file, format="PNG")
    store.put_image(key, file.getvalue(), {})
    found = store.image(key)
    assert found is not None
    return found
