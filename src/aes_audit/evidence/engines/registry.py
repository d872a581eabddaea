"""From what --engine was given to the engine; nothing is started before there is something to do."""

from __future__ import annotations

from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.engines.spec import EngineSpec, RaySettings
from aes_audit.evidence.progress import Progress

__all__ = ["open_engine"]


def open_engine(spec: EngineSpec, progress: Progress) -> Engine:
    """The engine that was named, drawing its bars on `progress`. Raises UsageError where its library is missing."""
    if spec.name == "local":
        return LocalEngine(progress)
    from aes_audit.evidence.engines.ray_engine import RayEngine

    return RayEngine(progress, RaySettings(**spec.options))  # type: ignore[arg-type]
