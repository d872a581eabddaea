"""The engine that every other one is held against: this process, one model at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aes_audit.evidence.engines.protocol import Plan, Stage
from aes_audit.evidence.engines.refusing import refuse_read_only
from aes_audit.evidence.keys import JSON, digest
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.rates import keep_rate
from aes_audit.evidence.store import Store

__all__ = ["LocalEngine"]


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Runs every stage in this process; several processes that share a store wait for each other, model by model."""

    progress: Progress = field(default_factory=Progress)
    """Where bars are drawn."""

    workers = 1

    def plan(self, stage: Stage, store: Store) -> Plan:
        """All that is missing, in one piece."""
        left = stage.left(store)
        return Plan([left] if left else [], self.workers)

    def run(self, stage: Stage, store: Store) -> None:
        """Batch by batch, in the order of the plan; the first one that fails ends it."""
        operator = stage.operator
        refuse_read_only(stage, store)
        with store.lock(digest(operator.identity)):
            plan = self.plan(stage, store)
            if not plan.tasks:
                return
            done = stage.total - plan.wanted
            with (
                self.progress.bar(stage.title, done=done, total=stage.total, unit=stage.unit) as tick,
                operator.start(store) as hands,
            ):
                for batch in plan.tasks[0]:
                    hands.take(batch)
                    tick(len(batch.wanted))
                hands.finish()
            keep_rate(store, operator.identity, operator.device, hands.timed)

    def describe(self) -> Mapping[str, JSON]:
        """Its name."""
        return {"name": "local"}

    def close(self) -> None:
        """It holds nothing."""
