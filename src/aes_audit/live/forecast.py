"""What a live run would do: counted from its plan and its store, timed by what earlier runs measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aes_audit.evidence.collecting import pairs_per_round
from aes_audit.evidence.engines.looking import LookingEngine
from aes_audit.evidence.rates import Rate, known_rate
from aes_audit.evidence.workload import DRAWN, Work, pairs_work
from aes_audit.gates.expectation import StopForecast, stop_forecast

if TYPE_CHECKING:
    from aes_audit.live.session import LiveSession

__all__ = ["RunPlan", "Step", "plan_run"]


@dataclass(frozen=True, slots=True)
class Step:
    """The work of one model, and how fast it was so far."""

    work: Work
    rate: Rate | None
    """None where nobody has measured it on this kind of device."""

    @property
    def seconds(self) -> float | None:
        """Device-seconds for what is left; None where the rate is unknown."""
        if not self.work.left:
            return 0.0
        return None if self.rate is None else self.work.counted.run * self.rate.seconds / self.rate.items

    @property
    def usd(self) -> float | None:
        """What is left costs so many US dollars if no answer must be repeated; None for an unknown price."""
        if not (self.work.paid and self.work.left):
            return 0.0
        return None if self.work.price is None else self.work.counted.run * self.work.price

    @property
    def bytes(self) -> float | None:
        """Length of the image files to come; None where none was written before."""
        if self.work.does != DRAWN or not self.work.left:
            return 0.0
        each = self.rate.bytes_per_file if self.rate else None
        return None if each is None else self.work.left * each

    @property
    def record(self) -> Mapping[str, Any]:
        """For the results file; JSON values only."""
        work = self.work
        return {
            "does": work.does,
            "who": work.who,
            "set": work.set,
            "model": work.model,
            "total": work.counted.total,
            "stored": work.counted.stored,
            "left": work.left,
            "run": work.counted.run,
            "answers": work.counted.answers,
            "forward_passes": work.passes,
            "at_most": work.at_most,
            "device": work.device,
            "per_second": self.rate.items / self.rate.seconds if self.rate and self.rate.seconds else None,
            "device_seconds": self.seconds,
            "usd": self.usd,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything that a run would do."""

    steps: tuple[Step, ...]
    """In the order in which they would be done."""
    stops: Mapping[str, StopForecast | None]
    """Generators that may stop early; None where that depends on another model's images."""
    early_stop: str
    """The rule that was chosen."""
    budget_usd: float | None
    """What the run may spend; None for no limit."""

    @property
    def record(self) -> Mapping[str, Any]:
        """For the results file; JSON values only."""
        return {
            "steps": [step.record for step in self.steps],
            "early_stop": {
                "rule": self.early_stop,
                "generators": {name: stop and stop._asdict() for name, stop in self.stops.items()},
            },
            "budget_usd": self.budget_usd,
        }


def plan_run(session: LiveSession) -> RunPlan:
    """The work of every case that was selected, tables that several cases read once. Raises StoreUnusable."""
    with _looking(session):
        steps = tuple(_steps(session))
    stops = {name: _stop(session, name) for name in session.generators if session.may_stop(name)}
    return RunPlan(steps, stops, session.config.early_stop, session.config.budget)


@contextmanager
def _looking(session: LiveSession) -> Iterator[None]:
    """What is chosen from tables is found out with an engine that makes nothing."""
    engine, session.engine = session.engine, LookingEngine()
    try:
        yield
    finally:
        session.engine = engine


def _steps(session: LiveSession) -> Iterator[Step]:
    for set_, model in session.tables:
        collector = session.set_of(set_, model)
        if collector:
            works = collector.work(model)
        else:
            works = pairs_work(session.generators[model], session.plan, session.instruments, session.store)
        for work in works:
            yield Step(work, known_rate(session.store, work.identity, work.device))


def _stop(session: LiveSession, name: str) -> StopForecast | None:
    """The last of its gates to be settled decides; several together take as long as the longest, or longer."""
    planned, step = len(session.plan.pairs), pairs_per_round(session.generators[name])
    found = [stop_forecast(case.gate, planned, step) for case in session.may_stop(name) if case.gate]
    known = [each for each in found if each is not None]
    return max(known, key=lambda each: each.expected) if len(known) == len(found) else None
