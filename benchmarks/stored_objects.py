"""What a store really holds of an image: a control picture as PNG, its record, and the answers of eight rewards."""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from PIL import Image

from aes_audit.controls.prompts import control_pairs
from aes_audit.controls.world import render
from aes_audit.evidence.keys import digest, image_key, score_key
from aes_audit.evidence.store import Store
from aes_audit.generators.registry import resolve_model
from aes_audit.rewards.registry import resolve_reward

__all__ = [
    "OBJECTS",
    "REWARDS",
    "Stored",
    "fill",
    "image_record",
    "lost",
    "png",
    "put",
    "quickly",
    "score_record",
    "stored",
]

REWARDS = 8

OBJECTS = 2 + REWARDS
"""Of an image in the store: its file, its record, and the answers of every reward."""

_PICTURES = 32
"""Different pictures; every image has bytes of its own all the same."""

_AT_ONCE = 256
"""Images put between two writes of many scores."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An image as generating and scoring keep it."""

    key: str
    """Of the image."""
    png: bytes
    """Its file."""
    record: Mapping[str, Any]
    """What is put beside it."""
    scores: Mapping[str, Mapping[str, Any]]
    """Key -> answers of a reward, one for each."""

    @property
    def names(self) -> Sequence[str]:
        """Of its objects within the store, as the store's module says."""
        sha256 = hashlib.sha256(self.png).hexdigest()
        records = [("images", self.key), *(("scores", key) for key in self.scores)]
        return [f"blobs/{sha256[:2]}/{sha256}.png", *(f"{room}/{key[:2]}/{key}.json" for room, key in records)]


def stored(number: int) -> Stored:
    """The image of this number: another number, another picture, prompt and seed."""
    pairs = control_pairs()
    pair, lap = pairs[number % len(pairs)], number // len(pairs)
    prompt = f"{pair.original}, number {lap}"
    content = png(number)
    sha256 = hashlib.sha256(content).hexdigest()
    key = image_key(_generator(), prompt, number)
    queries = (prompt, f"{pair.wide}, number {lap}")
    scores = {
        score_key(scorer, sha256, queries): score_record(scorer, sha256, queries, number) for scorer in _scorers()
    }
    return Stored(key, content, image_record(_generator(), prompt, number), scores)


def png(number: int) -> bytes:
    """A control picture with bytes that are those of no other number."""
    # Readers of PNG ignore what follows its end, and the digest does not.
    return _picture(number % _PICTURES) + number.to_bytes(8, "big")


def image_record(generator: Mapping[str, Any], prompt: str, seed: int) -> Mapping[str, Any]:
    """As generating puts it beside an image."""
    return {"generator": generator, "prompt": prompt, "seed": seed}


def score_record(scorer: Mapping[str, Any], sha256: str, queries: Sequence[str], seed: int) -> Mapping[str, Any]:
    """As scoring puts it, with random scores."""
    rng = random.Random(f"{seed} {scorer}")
    values = [rng.random() for _ in queries]
    return {"scorer": scorer, "image_sha256": sha256, "queries": list(queries), "values": values}


@contextmanager
def quickly() -> Iterator[None]:
    """Fill a folder without waiting for its disk; what is measured afterwards starts with a quiet disk."""
    with patch.object(os, "fsync"):
        yield
    os.sync()


def fill(store: Store, images: int) -> None:
    """Put the first images, with all that is known of them."""
    with quickly():
        for start in range(0, images, _AT_ONCE):
            put(store, [stored(number) for number in range(start, min(start + _AT_ONCE, images))])


def put(store: Store, images: Sequence[Stored]) -> None:
    """Put images, and then all that was answered about them."""
    for one in images:
        store.put_image(one.key, one.png, one.record)
    store.put_all_scores({key: record for one in images for key, record in one.scores.items()})


def lost(store: Store, images: Sequence[Stored]) -> int:
    """How many objects of these images the store lacks or holds otherwise than they were put."""
    missing = 0
    for one, record in zip(images, store.images([one.key for one in images]), strict=True):
        whole = record is not None and store.read_image(record) == one.png
        missing += 0 if whole else 2
        missing += sum(
            found != put for put, found in zip(one.scores.values(), store.all_scores(one.scores), strict=True)
        )
    return missing


@cache
def _picture(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(render(control_pairs()[number].scene)).save(file, format="PNG")
    return file.getvalue()


@cache
def _generator() -> Mapping[str, Any]:
    return resolve_model("control/faithful", root=Path.cwd(), device="cpu").identity


@cache
def _scorers() -> tuple[Mapping[str, Any], ...]:
    """A shipped reward's identity, eight times with another revision."""
    identity = resolve_reward("control/clip", device="cpu").identity
    weights = [{"repo": None, "revision": f"sha256:{digest({'reward': number})}"} for number in range(REWARDS)]
    return tuple({**identity, "weights": each} for each in weights)
