"""Calls to one host under its limits: retried, paced, bounded in number, and paid for out of a budget."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from aes_audit.endpoints.budget import Budget, Reservation
from aes_audit.endpoints.failures import CallFailed
from aes_audit.endpoints.pacing import Backoff, Clock, RateLimit
from aes_audit.errors import AesAuditError, InfrastructureError

__all__ = ["Caller", "Limits"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard a host may be pressed."""

    timeout: float = 120.0
    """Seconds a call may take."""
    per_minute: float | None = None
    """Calls started per minute; None for no limit."""
    concurrency: int = 4
    """Calls under way at once."""
    attempts: int = 5
    """How often a call is tried when the host is busy, broken or silent."""
    backoff: Backoff = field(default_factory=Backoff)
    """Pauses between the attempts."""


class Caller:
    """Sends calls to one host. All methods may be called from any thread."""

    def __init__(
        self, name: str, limits: Limits, *, price: float = 0.0, budget: Budget | None = None, clock: Clock | None = None
    ) -> None:
        """`name` is who is called, for messages; `price` in US dollars is reserved for every attempt."""
        self.name = name
        self.limits = limits
        self.price = price
        self.budget = budget or Budget()
        self._clock = clock or Clock()
        self._rate = RateLimit(limits.per_minute, self._clock)
        self._places = threading.BoundedSemaphore(limits.concurrency)

    def call(self, send: Callable[[], T], cost: Callable[[T], float | None] = lambda _: None) -> T:
        """The answer of `send`, which raises CallFailed when it has none; it is called again as the limits allow.

        `cost` says what an answer cost in US dollars; None is the price. Raises InfrastructureError when all attempts
        failed, and BudgetSpent when the next one cannot be paid.
        """
        for attempt in range(1, self.limits.attempts + 1):
            try:
                return self._attempt(send, cost)
            except CallFailed as failed:
                pause = self._pause(failed, attempt)
                if pause is None:
                    # Without its cause: the client library's error holds the request, and so the key.
                    raise self._given_up(failed, attempt) from None
            self._clock.sleep(pause)
        raise AssertionError("the last attempt either answers or is given up")

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> list[R | AesAuditError]:
        """`work(item)` for all items at once, as far as the limits allow; one result or error per item, in order.

        Once an item fails for good, those that have not been started are not: they get its error.
        """
        stopped = _Stop()

        def guarded(item: T) -> R | AesAuditError:
            if stopped.error is not None:
                return stopped.error
            try:
                return work(item)
            except AesAuditError as error:
                stopped.error = error
                return error

        with ThreadPoolExecutor(max_workers=self.limits.concurrency) as pool:
            return list(pool.map(guarded, items))

    def _attempt(self, send: Callable[[], T], cost: Callable[[T], float | None]) -> T:
        with self._places:
            reservation = self.budget.reserve(self.price)
            with _settled(reservation):
                self._rate.wait()
                answer = send()
                reservation.settle(cost(answer))
                return answer

    def _pause(self, failed: CallFailed, attempt: int) -> float | None:
        """Seconds until the next attempt; None when there is none."""
        if not failed.passing or attempt >= self.limits.attempts:
            return None
        return self.limits.backoff.pause(attempt - 1, failed.wait, self._clock.chance())

    def _given_up(self, failed: CallFailed, attempt: int) -> InfrastructureError:
        tried = f" ({attempt} attempts)" if attempt > 1 else ""
        asked = failed.wait is not None and failed.passing and attempt < self.limits.attempts
        wait = f"; it asks to wait for {failed.wait:.0f} s" if asked else ""
        return InfrastructureError(f"{self.name}: {str(failed).removesuffix('.')}{tried}{wait}.")


@dataclass(slots=True)
class _Stop:
    """Why no further item is started."""

    error: AesAuditError | None = field(default=None)


@contextmanager
def _settled(reservation: Reservation) -> Iterator[None]:
    """Whatever happens to the call, its money is accounted for; where nobody knows, it counts as spent."""
    try:
        yield
    except CallFailed as failed:
        if not failed.billed:
            reservation.release()
        raise
    finally:
        reservation.settle()
