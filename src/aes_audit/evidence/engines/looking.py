"""An engine that makes nothing: for finding out whether everything is there, and for stores that are only read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.engines.protocol import Plan, Stage
from aes_audit.evidence.keys import JSON
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.store import Store

__all__ = ["Incomplete", "LookingEngine"]


class Incomplete(InfrastructureError):
    """Something is not in the store, and was not to be made."""


@dataclass(frozen=True, slots=True)
class LookingEngine:
    """Raises Incomplete for the first stage of which something is missing."""

    progress: Progress = field(default_factory=Progress)
    """Bars of what is not an engine's work."""

    workers = 1

    def plan(self, stage: Stage, store: Store) -> Plan:
        """Nothing."""
        return Plan([], self.workers)

    def run(self, stage: Stage, store: Store) -> None:
        """Say that something is missing."""
        raise Incomplete(f"{stage.title} are missing in {store}.")

    def describe(self) -> Mapping[str, JSON]:
        """Its name."""
        return {"name": "looking"}

    def close(self) -> None:
        """It holds nothing."""
