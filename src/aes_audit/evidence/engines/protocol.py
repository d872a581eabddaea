"""What an engine is, and what it is given to run: a stage, which is one model and everything that it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from aes_audit.evidence.keys import JSON
    from aes_audit.evidence.progress import Progress
    from aes_audit.evidence.rates import Rate
    from aes_audit.evidence.store import Store

__all__ = ["Batch", "Engine", "Hands", "Operator", "Plan", "Stage"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One call of a model: a fixed run of the stage's plan, whatever the store has of it already."""

    entries: tuple[tuple[str, Any], ...]
    """Key and request of everything that is asked in this call, in order."""
    wanted: frozenset[str]
    """What is to be kept of it; the rest is asked again, so that rounding is that of an undisturbed run."""


class Hands(Protocol):
    """A model at work in this process."""

    def take(self, batch: Batch) -> None:
        """Answer a batch and keep what is wanted of it; the model is loaded with the first.

        It may still be at work on the batch when it returns, and raise what went wrong with the next one or at the end.
        """

    def finish(self) -> None:
        """Until everything that was taken is kept. Raises what went wrong."""

    @property
    def timed(self) -> Rate:
        """What has been done so far and how long it took, loading left out."""


class Operator(Protocol):
    """What works on the batches of a stage; it can be pickled and loads its model where it is started."""

    @property
    def name(self) -> str:
        """The model's name in the evidence."""

    @property
    def identity(self) -> Mapping[str, JSON]:
        """The model's identity: what its rate is kept under."""

    @property
    def device(self) -> str:
        """The kind of hardware it runs on, as `device_of`."""

    @property
    def draws(self) -> bool:
        """Whether it makes images; otherwise it scores them."""

    @property
    def portable(self) -> bool:
        """Whether it may work in other processes; what is paid for is not, because its budget is kept in one place."""

    def left(self, store: Store, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of which the store lacks something that is wanted, and wanted of each what it lacks."""

    def start(self, store: Store) -> AbstractContextManager[Hands]:
        """Begin to work; everything that was taken is kept when it ends."""


class Stage(Protocol):
    """One model and everything that it is asked."""

    @property
    def operator(self) -> Operator:
        """Who does it."""

    @property
    def title(self) -> str:
        """For the progress bar."""

    @property
    def unit(self) -> str:
        """What is counted, in the singular."""

    @property
    def total(self) -> int:
        """How many there are, those that are in the store included."""

    def left(self, store: Store) -> Sequence[Batch]:
        """The batches of which the store lacks something; they depend on the plan, and not on who does them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an engine would do for a stage."""

    tasks: Sequence[Sequence[Batch]]
    """What is handed out at a time: runs of batches, each for one worker."""
    workers: int
    """How many of them are done at once, at most; each loads the model for itself."""

    @property
    def wanted(self) -> int:
        """Images or scores to make."""
        return sum(len(batch.wanted) for task in self.tasks for batch in task)


class Engine(Protocol):
    """Runs stages. What it makes is in the store afterwards, the same whichever engine made it."""

    @property
    def progress(self) -> Progress:
        """Where bars are drawn."""

    @property
    def workers(self) -> int:
        """How many models work at once, at most: as many rounds are made ahead of a rule that may stop the run."""

    def plan(self, stage: Stage, store: Store) -> Plan:
        """What is missing, and in which pieces it would be made. Loads nothing."""

    def run(self, stage: Stage, store: Store) -> None:
        """Make what is missing. Raises InfrastructureError, StoreUnusable, BudgetSpent or CorruptObject, once
        everything that could be made is kept."""

    def describe(self) -> Mapping[str, JSON]:
        """For the head of the run and the provenance of its results."""

    def close(self) -> None:
        """Give back what it holds; it can be closed more than once."""
