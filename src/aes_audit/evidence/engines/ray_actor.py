"""What works in the processes of a Ray cluster: a model that is given tasks, and says what became of them."""

from __future__ import annotations

import os
import pickle
import platform
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from aes_audit.errors import InfrastructureError, StoreUnusable
from aes_audit.evidence.engines.protocol import Batch, Hands, Operator
from aes_audit.evidence.rates import Rate
from aes_audit.evidence.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["THREADS", "Assignment", "Outcome", "Performer", "Told", "library_versions", "outcomes", "task_of"]

THREADS = "OMP_NUM_THREADS"

LOADS = 3
"""Tasks that may fail alike, one after the other, before anything is done; those that follow fail at once."""

_LIBRARIES = ("aes-audit", "torch", "diffusers", "transformers", "numpy", "pillow")
"""Those that decide what a pixel or a score is."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a process is to do, and where it finds what it needs."""

    operator: bytes
    """Who works on the batches, pickled."""
    store: str
    """Address of the store."""
    probe: str
    """Name of an object that the driver has put there."""
    folder: str
    """Working directory of the driver: names of files may be relative to it."""
    modules: Sequence[str]
    """Where the driver finds modules."""
    versions: Mapping[str, str]
    """The driver's, of `library_versions`."""
    threads: str | None = None
    """The driver's OMP_NUM_THREADS, empty where it has none; None leaves what Ray sets."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a process says with every task."""

    process: str
    """Which one: node and number."""
    device: str
    """The kind of hardware that it works on."""
    timed: Rate
    """What it has done since it began."""
    error: BaseException | None
    """What ended the task, with the traceback in its notes; None where all of it is made."""
    unfit: bool
    """Whether nothing can be made: this machine is not like the driver's, or the store cannot be used."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image or score."""

    key: str
    """Its key."""
    error: str | None
    """Why the store lacks it; None where it is there."""
    told: Told | None
    """What its process said, with the first outcome of a task."""


class Performer:
    """Ray Data makes one in every process of a pool, and calls it once per task."""

    def __init__(self, assignment: Assignment) -> None:
        """Touch nothing: what is raised here would end the whole stage."""
        self._assignment = assignment
        self._at_work: tuple[Operator, Store, Hands] | None = None
        self._began = False
        self._failed = 0
        self._last: Exception | None = None

    def __call__(self, task: pa.Table) -> pa.Table:
        """A row per wanted key of the task: the key, and why it was not made, None if it was.

        What the store has is left as it is: a task whose first process died is given out again.
        """
        batches: list[Batch] = [pickle.loads(row) for row in task["batch"].to_pylist()]
        error: Exception | None = None
        try:
            self._work(batches)
        except Exception as raised:
            error = raised
        return self._rows(batches, error)

    def _work(self, batches: Iterable[Batch]) -> None:
        if self._last is not None and self._failed >= LOADS:
            raise self._last
        operator, store, hands = self._at_work = self._at_work or _begun(self._assignment)
        try:
            try:
                for batch in operator.left(store, batches):
                    hands.take(batch)
                    self._began = True
            finally:
                # What is under way is kept, whatever became of the batch after it.
                hands.finish()
        except Exception as error:
            if not (self._began or hands.timed.items):
                # A model that cannot be loaded says the same every time.
                self._failed = self._failed + 1 if str(error) == str(self._last) else 1
            self._last = error
            raise

    def _rows(self, batches: Sequence[Batch], error: Exception | None) -> pa.Table:
        import pyarrow as pa

        left = frozenset[str]() if error is None else self._left(batches)
        keys = [key for batch in batches for key, _ in batch.entries if key in batch.wanted]
        reason = None if error is None else f"{type(error).__name__}: {error}"
        told = pickle.dumps(self._told(error))
        return pa.table(
            {
                "key": pa.array(keys, pa.string()),
                "error": pa.array([reason if key in left else None for key in keys], pa.string()),
                "told": pa.array([told] + [None] * (len(keys) - 1), pa.binary()),
            }
        )

    def _left(self, batches: Sequence[Batch]) -> frozenset[str]:
        if self._at_work is not None:
            operator, store, _ = self._at_work
            with suppress(Exception):
                return frozenset(key for batch in operator.left(store, batches) for key in batch.wanted)
        return frozenset(key for batch in batches for key in batch.wanted)

    def _told(self, error: Exception | None) -> Told:
        process = f"{platform.node()}, process {os.getpid()}"
        sent = None if error is None else _portable(error, process)
        if self._at_work is None:
            return Told(process, "", Rate(0, 0.0), sent, unfit=True)
        operator, _, hands = self._at_work
        return Told(process, operator.device, hands.timed, sent, unfit=isinstance(error, StoreUnusable))


def task_of(batches: Iterable[Batch]) -> pa.Table:
    """A task as Ray Data takes it: a row per batch, which it cannot cut."""
    import pyarrow as pa

    return pa.table({"batch": pa.array([pickle.dumps(batch) for batch in batches], pa.binary())})


def outcomes(rows: pa.Table) -> Iterator[Outcome]:
    """What the rows of any number of tasks say."""
    for row in rows.to_pylist():
        yield Outcome(row["key"], row["error"], pickle.loads(row["told"]) if row["told"] is not None else None)


def library_versions() -> Mapping[str, str]:
    """Those of what decides what a pixel or a score is."""
    return {name: found for name in _LIBRARIES if (found := _version(name)) is not None}


def _begun(assignment: Assignment) -> tuple[Operator, Store, Hands]:
    """The operator at work in this process; raises InfrastructureError where this machine is not like the driver's."""
    with suppress(OSError):
        os.chdir(assignment.folder)
    sys.path += [path for path in assignment.modules if path not in sys.path]
    here = library_versions()
    if differing := [name for name, found in assignment.versions.items() if here.get(name) != found]:
        said = ", ".join(f"{name} {here.get(name, 'is missing')}" for name in differing)
        wanted = ", ".join(f"{name} {assignment.versions[name]}" for name in differing)
        raise InfrastructureError(f"--engine=ray: {platform.node()} has {said}, and the driver {wanted}: images and "
                                  "scores could differ; install the same on every node.")  # fmt: skip
    _take_threads(assignment.threads)
    # Nothing is made at an address where the driver's store is not.
    store = Store(assignment.store, looked_at=True)
    if store.storage.read(assignment.probe) is None:
        raise InfrastructureError(
            f"--engine=ray: {platform.node()} does not see the store {assignment.store}: give --audit-store a folder "
            "on a file system that all nodes mount, or object storage."
        )
    operator: Operator = pickle.loads(assignment.operator)
    # Never left: it ends with the process, and `finish` has kept everything before.
    return operator, store, operator.start(store).__enter__()


def _take_threads(threads: str | None) -> None:
    """Before a model library is imported, which reads it once."""
    if threads:
        os.environ[THREADS] = threads
    elif threads is not None:
        os.environ.pop(THREADS, None)


def _portable(error: Exception, process: str) -> BaseException:
    """The error itself where it survives the journey, else one that says the same."""
    where = "".join(traceback.format_exception(error)).rstrip()
    try:
        sent: BaseException = pickle.loads(pickle.dumps(error))
    except Exception:
        sent = InfrastructureError(f"{type(error).__name__}: {error}")
    sent.add_note(f"On {process}:\n{where}")
    return sent


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
