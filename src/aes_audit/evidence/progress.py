"""Progress bars that show done/total, rate and time left, on a terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

__all__ = ["Progress", "Tick"]

Tick = Callable[[int], object]
"""Call it with how much has been added."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Progress:
    """Where bars are drawn."""

    shown: Callable[[], bool] = _never
    """Whether anything is drawn at all; asked when a bar opens."""
    uncaptured: Callable[[], AbstractContextManager[None]] = nullcontext
    """Lifts pytest's output capture while a bar is open."""
    _open: list[str] = field(default_factory=list, init=False, compare=False)
    """Titles of bars that are open: one is enough, but for what is done `beneath`."""
    _beneath: list[None] = field(default_factory=list, init=False, compare=False)

    @contextmanager
    def bar(self, title: str, *, done: int, total: int, unit: str) -> Iterator[Tick]:
        """A bar that starts at `done` of `total`; nothing where another one is open."""
        if len(self._open) > len(self._beneath) or not self.shown():
            yield lambda _: None
            return
        from tqdm import tqdm

        lifted = nullcontext() if self._open else self.uncaptured()
        with lifted, tqdm(total=total, initial=done, desc=title, unit=unit, leave=False) as bar:
            self._open.append(title)
            try:
                yield bar.update
            finally:
                self._open.remove(title)

    @contextmanager
    def beneath(self) -> Iterator[None]:
        """For what takes long while a bar stands still: its own bars are drawn beneath that one."""
        self._beneath.append(None)
        try:
            yield
        finally:
            self._beneath.pop()
