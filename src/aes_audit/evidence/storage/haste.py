"""Whoever stops a run does not wait for a silent service: every request of this process is given up after seconds."""

from __future__ import annotations

import math
import time

__all__ = ["hurry", "is_too_long"]

_PATIENCE = 2.0
"""Seconds that an answer may take then."""

_ENDING = 60.0
"""Seconds after which this process does something new."""

_stopped = -math.inf


def hurry() -> None:
    """Say that the run is being stopped: for a minute, also what was asked before is waited for seconds only."""
    global _stopped
    _stopped = time.monotonic()


def is_too_long(begun: float) -> bool:
    """Whether a request that was begun then (`time.monotonic`) is not to be waited for any longer."""
    return begun < _stopped + _ENDING and time.monotonic() > max(begun, _stopped) + _PATIENCE
