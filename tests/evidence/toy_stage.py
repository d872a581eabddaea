"""A stage of a toy model, whose images depend on their whole batch, and which dies or fails where it is told to."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aes_audit.errors import StoreUnusable
from aes_audit.evidence.batches import planned
from aes_audit.evidence.engines.protocol import Batch
from aes_audit.evidence.keys import digest
from aes_audit.evidence.rates import Rate
from aes_audit.evidence.store import CorruptObject, Store
from aes_audit.generators.protocol import ImageRequest

__all__ = ["ToyHands", "ToyOperator", "ToyStage", "kept_by", "toy"]


@dataclass(frozen=True)
class ToyOperator:
    """Draws 8 KB of noise per request, decided by all requests of the batch."""

    seconds: float = 0.0
    """What a batch takes."""
    deaths: Path | None = None
    """A folder with a file for every prompt that ends the process once; it is removed then. `poison` always does."""
    log: Path | None = None
    """A file with a line per batch that was begun: the process, the GPUs that it sees, and the prompts."""
    broken: bool = False
    """Whether the model cannot be loaded."""
    name: str = "toy"
    device: str = "cpu (toy)"
    draws: bool = True
    portable: bool = True

    @property
    def identity(self) -> Mapping[str, Any]:
        """One for all: how it fails does not change what it draws."""
        return {"kind": "toy"}

    def left(self, store: Store, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of which the store lacks something."""
        for batch in batches:
            if wanted := frozenset(key for key in batch.wanted if store.image(key) is None):
                yield Batch(batch.entries, wanted)

    def start(self, store: Store) -> ToyHands:
        """Begin."""
        return ToyHands(self, store)


@dataclass
class ToyHands:
    """Keeps a batch only when the next one comes, or at the end: a process that dies loses two."""

    operator: ToyOperator
    store: Store
    items: int = 0
    waiting: list[Batch] = field(default_factory=list)

    def __enter__(self) -> ToyHands:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    @property
    def timed(self) -> Rate:
        """A quarter of a second per image."""
        return Rate(self.items, self.items * 0.25)

    def take(self, batch: Batch) -> None:
        """Fail, die, or draw."""
        prompts = [request.prompt for _, request in batch.entries]
        if self.operator.log is not None:
            with open(self.operator.log, "ab", buffering=0) as log:
                log.write(f"{os.getpid()}/{os.environ.get('CUDA_VISIBLE_DEVICES')} {' '.join(prompts)}\n".encode())
        if self.operator.broken:
            raise RuntimeError("the weights are not what they were")
        self.items += len(batch.entries)
        time.sleep(self.operator.seconds)
        for prompt in prompts:
            self._suffer(prompt)
        self.finish()
        self.waiting.append(batch)

    def finish(self) -> None:
        """Keep what waits."""
        while self.waiting:
            batch = self.waiting.pop()
            seed = digest({"batch": [request.prompt for _, request in batch.entries]})
            for key, request in batch.entries:
                if key in batch.wanted:
                    content = hashlib.shake_256(f"{seed} {request.prompt}".encode()).digest(8192)
                    self.store.put_image(key, content, {"prompt": request.prompt})

    def _suffer(self, prompt: str) -> None:
        if prompt.startswith("poison"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.operator.deaths is not None and (self.operator.deaths / prompt).exists():
            (self.operator.deaths / prompt).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if prompt.startswith("foreign"):
            raise ZeroDivisionError(prompt)
        if prompt.startswith("changed"):
            raise CorruptObject(prompt)
        if prompt.startswith("unusable"):
            raise StoreUnusable(prompt)


@dataclass(frozen=True)
class ToyStage:
    """Every prompt, in fixed batches."""

    operator: ToyOperator
    entries: Sequence[tuple[str, ImageRequest]]
    batch: int = 3

    title = "toy: images"
    unit = "image"

    @property
    def total(self) -> int:
        """Number of images."""
        return len(self.entries)

    def left(self, store: Store) -> Sequence[Batch]:
        """Fixed batches of which something is missing."""
        return list(self.operator.left(store, planned(self.entries, self.batch)))


def toy(prompts: Sequence[str], operator: ToyOperator | None = None) -> ToyStage:
    """A stage that draws these prompts."""
    return ToyStage(
        operator or ToyOperator(), [(digest({"toy": prompt}), ImageRequest(prompt, 0)) for prompt in prompts]
    )


def kept_by(stage: ToyStage, store: Store) -> Mapping[str, bytes]:
    """Prompt -> image, of what the store has."""
    found = ((request.prompt, store.image(key)) for key, request in stage.entries)
    return {prompt: store.read_image(record) for prompt, record in found if record is not None}
