"""The generators that have a name. One entry per model: adding one is one line here."""

from __future__ import annotations

from dataclasses import dataclass

from aes_audit.resources import control_folder
from aes_audit.weights.source import Source

__all__ = ["ZOO", "ZooEntry"]


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """How a named generator is put together."""

    base: Source
    """The pipeline."""
    loras: tuple[Source, ...] = ()
    """Adapters applied to it, in order."""


def _control(name: str, *, lora: str | None = None) -> ZooEntry:
    adapters = (Source(folder=control_folder(lora)),) if lora else ()
    return ZooEntry(Source(folder=control_folder(name)), adapters)


ZOO: dict[str, ZooEntry] = {
    "control/faithful": _control("faithful"),
    "control/beautified": _control("faithful", lora="beautified"),
    "control/instructed": _control("faithful", lora="instructed"),
}
