"""A pass over tasks by a pool of processes: Ray Data hands them out, once more where a process dies."""

from __future__ import annotations

import gc
import logging
import threading
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from aes_audit.evidence.engines.protocol import Batch
from aes_audit.evidence.engines.ray_actor import Assignment, Outcome, Performer, outcomes, task_of

__all__ = ["Pool"]

RETRIES = 1
"""How often a task is given out again whose process died; the process itself is always replaced."""

_EVERY = 5.0
"""Seconds between two collections of garbage."""

_DEATHS = 3
"""How many processes in a row may die before they begin."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Processes with one model each."""

    processes: int
    """How many there are, where the cluster has room for them; those that have none wait for it."""
    cpus: float
    """CPUs of each."""
    gpus: float
    """GPUs of each; Ray shows a process no others."""

    def perform(
        self, assignment: Assignment, tasks: Sequence[Sequence[Batch]], *, ahead: int = 2
    ) -> Generator[Outcome, None, None]:
        """What becomes of the tasks, as it comes; nothing is said of those whose processes died again and again.

        `ahead` is how many tasks a process has at once: with two it need not wait for the next one, and the second
        one counts as tried when the first one ends the process. Raises ray.exceptions.RayError.
        """
        import ray.data
        from ray.util.annotations import RayDeprecationWarning

        # A block is a task, and its rows are batches, which stay what they are. All tasks but the last have as many
        # rows, so that Ray Data, which wants to know how many it is to gather for a GPU, finds them gathered.
        blocks = ray.data.from_blocks([task_of(task) for task in tasks])
        with warnings.catch_warnings():
            # Nothing else bounds how often a task is given out that ends its process (Ray 2.60 to 2.63).
            warnings.simplefilter("ignore", RayDeprecationWarning)
            dataset = blocks.map_batches(
                Performer,
                batch_size=max(map(len, tasks)),
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(
                    min_size=1,
                    initial_size=self.processes,
                    max_size=self.processes,
                    max_tasks_in_flight_per_actor=ahead,
                ),
                fn_constructor_args=(assignment,),
                num_cpus=self.cpus,
                num_gpus=self.gpus,
                max_task_retries=RETRIES,
            )
        dataset.context.enable_progress_bars = False
        # Of a task that is lost for good the other ones know nothing; who runs the stage finds it missing.
        dataset.context.max_errored_blocks = -1
        dataset.context.max_consecutive_actor_init_deaths = _DEATHS
        # A task may be slow, and room in the cluster may be long in coming.
        dataset.context.execution_no_progress_timeout_s = -1
        with _collecting(), _unheard():
            for rows in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                yield from outcomes(rows)


@contextmanager
def _unheard() -> Iterator[None]:
    """Leave Ray's lines to its own files.

    Whoever keeps them, as pytest does of every logger, keeps their tracebacks, which refer to the processes of the pool
    before; and a failing audit would be shown under hundreds of them.
    """
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    others = [
        (logger, handler)
        for logger in loggers
        for handler in logger.handlers
        if not type(handler).__module__.startswith("ray.")
    ]
    for logger, handler in others:
        logger.removeHandler(handler)
    try:
        yield
    finally:
        for logger, handler in others:
            logger.addHandler(handler)


@contextmanager
def _collecting() -> Iterator[None]:
    """Break circles every few seconds.

    Tracebacks of lost tasks refer in circles to the processes of the pool before, on threads that end later than it.
    While nobody breaks them, such a process is kept, or started again, in the room that this pool waits for.
    """
    over = threading.Event()

    def collect() -> None:
        while not over.wait(_EVERY):
            gc.collect()

    thread = threading.Thread(target=collect, name="aes_audit-collecting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
