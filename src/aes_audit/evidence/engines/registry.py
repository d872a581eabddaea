"""From what --engine was given to the engine; nothing is started before there is something to do."""

from __future__ import annotations

from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.progress import Progress

__all__ = ["open_engine"]


def open_engine(named: str, progress: Progress) -> Engine:
    """The engine that was named, drawing its bars on `progress`."""
    return LocalEngine(progress)
