"""Print what the engine for Ray costs by itself: stages whose operator does nothing, on a cluster of this machine.

    python benchmarks/ray_overheads.py [--actors 2] [--tasks 1000] [--repeats 3]

"start" is Ray's import and a cluster of its own; "stage" a stage of as many tasks as processes, with the pool's start
and end; "process" what it takes longer where a process imports torch, diffusers and transformers; "task" what one more
task costs, from a stage of many. There a task is eight batches of 32 keys. Also the driver's memory at its peak: with
the cluster joined, and when all is done. It is an error if fewer processes than asked for take part in the many tasks.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aes_audit.evidence.engines.protocol import Batch
from aes_audit.evidence.engines.ray_engine import RayEngine
from aes_audit.evidence.engines.spec import RaySettings
from aes_audit.evidence.keys import digest
from aes_audit.evidence.rates import Rate
from aes_audit.evidence.store import Store

__all__ = ["main"]

BATCH = 32


class IdleHands:
    """Does nothing with a batch."""

    timed = Rate(1, 1e-9)

    def take(self, batch: Batch) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


@dataclass(frozen=True)
class IdleOperator:
    """Keeps nothing, and says of every task that it was done."""

    imports: bool
    """Whether a process imports what models need."""
    seen: Path | None = None
    """A folder in which every process leaves its number."""
    name = "idle"
    device = "cpu"
    draws = False
    portable = True

    @property
    def identity(self) -> Mapping[str, Any]:
        """Its own."""
        return {"kind": "idle"}

    def left(self, store: Store, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Everything, whatever the store has."""
        yield from batches

    def start(self, store: Store) -> AbstractContextManager[IdleHands]:
        """Import, and begin."""
        if self.seen:
            (self.seen / str(os.getpid())).touch()
        if self.imports:
            import diffusers  # noqa: F401
            import torch  # noqa: F401
            import transformers  # noqa: F401
        return nullcontext(IdleHands())


@dataclass(frozen=True)
class IdleStage:
    """A stage of equal batches."""

    operator: IdleOperator
    batches: int
    title = "idle"
    unit = "item"

    @property
    def total(self) -> int:
        """Keys."""
        return self.batches * BATCH

    def left(self, store: Store) -> Sequence[Batch]:
        """All of it."""
        keys = [[digest({"batch": batch, "place": place}) for place in range(BATCH)] for batch in range(self.batches)]
        return [Batch(tuple((key, None) for key in each), frozenset(each)) for each in keys]


def peak() -> float:
    """MiB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(engine: RayEngine, stage: IdleStage, store: Store) -> float:
    """Of a whole stage."""
    start = time.perf_counter()
    engine.run(stage, store)
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    said = parser.parse_args(arguments)
    start = time.perf_counter()
    from aes_audit.evidence.engines.ray_cluster import RayCluster

    cluster = RayCluster(None)
    started = time.perf_counter() - start
    joined = peak()
    # On a CPU a process has all of its node unless it is told otherwise: the second one would wait for ever.
    engine = RayEngine(settings=RaySettings(actors=said.actors, cpus=1 / said.actors))
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as seen:
        store = Store(folder)
        few = IdleStage(IdleOperator(imports=False), said.actors)
        loaded = replace(few, operator=IdleOperator(imports=True))
        many = IdleStage(IdleOperator(imports=False, seen=Path(seen)), 8 * said.tasks)
        tasks = len(engine.plan(many, store).tasks)
        rounds = [[seconds(engine, stage, store) for stage in (few, loaded, many)] for _ in range(said.repeats + 1)]
        worked = len(list(Path(seen).iterdir())) / len(rounds)
    cluster.close()
    if worked < said.actors:
        raise SystemExit(f"{worked:g} of {said.actors} processes were at work")
    stage, process, all_of_them = (statistics.median(column) for column in zip(*rounds[1:], strict=True))
    print(f"{said.actors} processes, {os.cpu_count()} cores, medians of {said.repeats}\n")
    print("| what | seconds |\n|---|---|")
    each = (all_of_them - stage) / (tasks - said.actors)
    for what, took in (("start", started), ("stage", stage), ("process", process - stage), ("task", each)):
        print(f"| {what} | {took:.4f} |")
    print(f"\nThe driver's memory: {joined:.0f} MiB with the cluster joined, {peak():.0f} MiB at its peak.")


if __name__ == "__main__":
    main()
