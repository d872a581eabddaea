"""Pictures shown to the rewards of a bench, as a stage: whoever runs it, every batch is the one of the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from aes_audit.evidence.batches import planned
from aes_audit.evidence.bench import Bench, Known, Shown
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.engines.protocol import Batch, Engine
from aes_audit.evidence.rates import ELSEWHERE, Rate, Stopwatch, keep_rate
from aes_audit.evidence.scorers import BATCH
from aes_audit.evidence.store import Store

__all__ = ["ShownStage", "show"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BenchOperator:
    """An Operator: all rewards of a bench, so that a picture is decoded once."""

    bench: Bench

    draws = False

    @property
    def name(self) -> str:
        """The rewards'."""
        return ", ".join(self.bench.scorers)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What is scored: two runs over the same pictures take turns."""
        return {"shown": self.bench.name}

    @property
    def device(self) -> str:
        """The kind of hardware the rewards run on."""
        return next((scorer.device for scorer in self.bench.scorers.values()), ELSEWHERE)

    @property
    def portable(self) -> bool:
        """Whether nobody is paid for any of them."""
        return all(scorer.portable for scorer in self.bench.scorers.values())

    def left(self, store: Store, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches in which a reward has not been asked about a picture."""
        bench = replace(self.bench, store=store)
        for batch in batches:
            known = bench.known([shown for _, shown in batch.entries])
            pairs = zip(batch.entries, known, strict=True)
            missing = frozenset(key for (key, _), found in pairs if not found.is_whole)
            if wanted := missing & batch.wanted:
                yield Batch(batch.entries, wanted)

    def start(self, store: Store) -> _BenchHands:
        """Begin; a reward is loaded when it is first asked."""
        return _BenchHands(replace(self.bench, store=store))


class _BenchHands:
    """Decodes a batch, asks every reward about it, and stores the answers before the next."""

    def __init__(self, bench: Bench) -> None:
        """Load nothing yet."""
        self._bench = bench
        self._watches = {name: Stopwatch() for name in bench.scorers}

    def __enter__(self) -> _BenchHands:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def timed(self) -> Rate:
        """Nothing: the time of several rewards together is nobody's rate. `finish` keeps those of each."""
        return Rate(0, 0.0)

    def take(self, batch: Batch) -> None:
        """Ask every reward what it was not asked."""
        self._bench.answer([shown for _, shown in batch.entries], self._watches)

    def finish(self) -> None:
        """Keep how fast each reward was since it was last asked; everything else is stored already."""
        # Of processes that end at once one may be lost, and what stays is a rate all the same.
        for name, scorer in self._bench.scorers.items():
            timed, self._watches[name] = self._watches[name].rate, Stopwatch()
            keep_rate(self._bench.store, scorer.identity, scorer.device, timed)


@dataclass(frozen=True, slots=True)
class ShownStage:
    """A Stage: the rewards of a bench and all pictures that they are shown."""

    operator: BenchOperator
    """Who is asked."""
    entries: Sequence[tuple[str, Shown]]
    """Place in the plan and picture, in order."""
    title: str
    """For the progress bar."""
    unit: str
    """What is counted."""

    @property
    def total(self) -> int:
        """Number of pictures."""
        return len(self.entries)

    def left(self, store: Store) -> Sequence[Batch]:
        """The batches of which something is not known."""
        return list(self.operator.left(store, planned(self.entries, BATCH)))


def show(
    bench: Bench, plan: Sequence[T], shown: Callable[[T], Shown], engine: Engine, *, title: str, unit: str
) -> Iterator[tuple[T, Known]]:
    """Every entry of a plan and what is known about its picture, in order; asks for what the store lacks.

    Raises InfrastructureError or StoreUnusable.
    """
    # What an engine's machines could not open, this one may.
    engines: list[Engine] = [engine, LocalEngine(engine.progress)]
    for start in range(0, len(plan), BATCH):
        batch = plan[start : start + BATCH]
        known = bench.known([shown(each) for each in batch])
        while engines and not all(found.is_whole for found in known):
            entries = [(str(place), shown(each)) for place, each in enumerate(plan[start:], start)]
            engines.pop(0).run(ShownStage(BenchOperator(bench), entries, title, unit), bench.store)
            known = bench.known([shown(each) for each in batch])
        yield from zip(batch, known, strict=True)
