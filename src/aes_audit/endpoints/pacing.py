"""When to call, and when to call again: a rate limit, and pauses that grow. Time is injected, so tests need none."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Backoff", "Clock", "RateLimit"]


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance as the calls see them."""

    now: Callable[[], float] = time.monotonic
    """Seconds since any fixed moment."""
    sleep: Callable[[float], object] = time.sleep
    """Wait that many seconds."""
    chance: Callable[[], float] = random.random
    """A number in [0, 1)."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between attempts: each twice the one before, shortened by up to half at random, never above a limit.

    The randomness keeps calls that failed together from coming back together.
    """

    first: float = 1.0
    """Longest pause after the first failure, in seconds."""
    longest: float = 60.0
    """Longest pause of our own choice, in seconds."""
    patience: float = 300.0
    """Longest pause that a host may ask for, in seconds; beyond it the call is given up."""

    def pause(self, attempt: int, asked: float | None, chance: float) -> float | None:
        """Seconds to wait after failed attempt number `attempt` (from 0); None when the host asks for too many.

        `asked` is what the host wants (Retry-After): never less than that, and up to a tenth more. `chance` is in
        [0, 1).
        """
        # Beyond 2**32 the limit holds anyway, and the power would overflow.
        own = min(self.longest, self.first * 2.0 ** min(attempt, 32)) * (1 - chance / 2)
        if asked is None:
            return own
        return None if asked > self.patience else max(own, asked * (1 + chance / 10))


@dataclass(slots=True)
class RateLimit:
    """At most so many calls a minute, spread evenly; shared by any number of threads."""

    per_minute: float | None
    """Calls per minute; None for no limit."""
    clock: Clock
    """What time is."""
    _next: float = field(default=float("-inf"), init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def wait(self) -> None:
        """Return when the next call may start."""
        if self.per_minute is None:
            return
        with self._lock:
            now = self.clock.now()
            turn = max(now, self._next)
            self._next = turn + 60.0 / self.per_minute
        if turn > now:
            self.clock.sleep(turn - now)
