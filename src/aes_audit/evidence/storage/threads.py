"""Threads that nobody waits for: what they do can be given up at any moment, and a run that is stopped ends at once.

Those of `concurrent.futures` are joined when the interpreter ends, and a request to a silent service takes minutes.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

__all__ = ["Threads"]

Item = TypeVar("Item")
Result = TypeVar("Result")

Task = tuple[Future[Any], Callable[[Any], Any], Any]


class Threads:
    """So many threads, started when there is something to do; they end once nobody holds this any more."""

    def __init__(self, count: int, name: str) -> None:
        """Starts none; `name` begins the names of all."""
        self._count = count
        self._name = name
        self._started = 0
        self._starting = Lock()
        self._asked: SimpleQueue[Task | None] = SimpleQueue()
        weakref.finalize(self, self._asked.put, None)

    def submit(self, work: Callable[[Item], Result], item: Item) -> Future[Result]:
        """The work on an item, begun as soon as a thread is free."""
        future: Future[Result] = Future()
        self._asked.put((future, work, item))
        with self._starting:
            if self._started < self._count:
                self._started += 1
                name = f"{self._name}_{self._started}"
                Thread(target=_serve, args=(self._asked,), name=name, daemon=True).start()
        return future


def _serve(asked: SimpleQueue[Task | None]) -> None:
    while (task := asked.get()) is not None:
        _do(*task)
        # What was done is the asker's, also as long as nothing else is asked.
        del task
    # For the next thread.
    asked.put(None)


def _do(future: Future[Any], work: Callable[[Any], Any], item: Any) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work(item))
    except BaseException as error:
        future.set_exception(error)
