"""Work in batches that fit into memory: one that does not is halved, and the smaller size is remembered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from aes_audit.errors import InfrastructureError

__all__ = ["MemoryBatch"]

Item = TypeVar("Item")
State = TypeVar("State")


class MemoryBatch:
    """How many items go into one forward pass; halved for good when that many do not fit into memory."""

    def __init__(self, what: str, size: int, model: str = "reward") -> None:
        """`what` the items and `model` the one that works on them are called in messages."""
        self.what = what
        self.size = max(1, size)
        self.model = model

    def run(self, items: Sequence[Item], call: Callable[[list[Item]], Sequence[State]]) -> list[State]:
        """`call` on all items, a batch at a time, in order; what is done already is never done again.

        Raises InfrastructureError where not even one item fits.
        """
        done: list[State] = []
        while len(done) < len(items):
            batch = list(items[len(done) : len(done) + self.size])
            found = self._attempt(batch, call)
            if found is not None:
                done += found
            elif len(batch) == 1:
                raise InfrastructureError(
                    f"the {self.model} ran out of memory with {self.what} one at a time: free memory, or use another "
                    "device."
                )
            else:
                self.size = len(batch) // 2
                _release_memory()
        return done

    def _attempt(self, batch: list[Item], call: Callable[[list[Item]], Sequence[State]]) -> Sequence[State] | None:
        # Retrying happens after this returns, so that the error no longer holds the tensors of the failed pass.
        try:
            return call(batch)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            return None


def _out_of_memory(error: Exception) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "not enough memory", "can't allocate memory"))


def _release_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
