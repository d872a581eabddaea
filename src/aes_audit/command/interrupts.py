"""Ctrl-C during a training."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

__all__ = ["Interrupts"]


@dataclass(slots=True)
class Interrupts:
    """The first Ctrl-C ends a training after the step, the second one at once."""

    asked: bool = False
    """Whether somebody has asked to stop."""

    def stop(self) -> bool:
        """Whether somebody has asked to stop."""
        return self.asked

    @contextmanager
    def heard(self) -> Iterator[Callable[[], bool]]:
        """Listen while the training runs."""
        before = signal.signal(signal.SIGINT, self._handle)
        try:
            yield self.stop
        finally:
            signal.signal(signal.SIGINT, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        # A step that is cut in half would leave weights that no undisturbed run has.
        self.asked = True
