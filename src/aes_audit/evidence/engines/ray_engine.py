"""The engine of clusters: what is missing is made by Ray Data, one model in each process of a pool."""

from __future__ import annotations

import math
import os
import sys
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from importlib.util import find_spec

from aes_audit.errors import EngineUnreachable, InfrastructureError, UsageError
from aes_audit.evidence.batches import fixed_batches
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.engines.protocol import Batch, Operator, Plan, Stage
from aes_audit.evidence.engines.ray_actor import THREADS, Assignment, Outcome, Told, library_versions
from aes_audit.evidence.engines.ray_cluster import RayCluster
from aes_audit.evidence.engines.ray_pool import RETRIES, Pool
from aes_audit.evidence.engines.refusing import refuse_read_only
from aes_audit.evidence.engines.spec import RaySettings
from aes_audit.evidence.keys import JSON, digest
from aes_audit.evidence.progress import Progress, Tick
from aes_audit.evidence.rates import Rate, keep_rate
from aes_audit.evidence.store import ChangedImageWarning, CorruptObject, Store

__all__ = ["RayEngine"]

_SHARES = 4
"""Tasks per process at least, where there are as many batches: what is left at the end is spread over all of them."""

_LONGEST = 8
"""Batches of a task at most: what a process that dies may have to do again, and how often the bar moves."""

_PASSES = 2

_UNIT = 1e-4
"""Of a CPU: Ray knows no smaller part, and rounds to the nearest, so that three thirds would be too much."""


class RayEngine:
    """Runs stages on a Ray cluster, which is joined or started for the first stage of which something is missing."""

    def __init__(self, progress: Progress | None = None, settings: RaySettings | None = None) -> None:
        """Raises UsageError where Ray is not installed."""
        if find_spec("ray") is None:
            raise UsageError("--engine=ray needs Ray on this machine: pip install 'aes-audit[ray]'.")
        self.progress = progress or Progress()
        self._settings = settings or RaySettings()
        self._here = LocalEngine(self.progress)
        self._cluster: RayCluster | None = None
        self._unreachable: InfrastructureError | None = None

    @property
    def workers(self) -> int:
        """As many as `actors` says, else as the cluster has room for; a cluster is joined to find out."""
        if self._settings.actors is not None:
            return self._settings.actors
        room, gpus = self._joined().room, self._settings.gpus
        if gpus is None:
            return max(1, room(self._cpus(1), 1) or room(self._cpus(0), 0))
        return max(1, room(self._cpus(gpus), gpus))

    def plan(self, stage: Stage, store: Store) -> Plan:
        """Runs of a few batches for each process."""
        if not _is_sent(stage, store):
            return self._here.plan(stage, store)
        left = stage.left(store)
        if not left:
            return Plan([], 0)
        processes = self._processes(stage.operator)
        size = min(_LONGEST, max(1, len(left) // (processes * _SHARES)))
        tasks = list(fixed_batches(left, size))
        return Plan(tasks, min(processes, len(tasks)))

    def run(self, stage: Stage, store: Store) -> None:
        """On the cluster, or here where the operator must not be sent, or where nobody else has the store.

        Whatever goes wrong with a batch, all the others are made. What was not made is tried once more, each batch a
        task of its own, in other processes; then the first error is raised, with the traceback from there in its
        notes. A store that cannot be used, and a node that is not like the driver's machine, end the stage at once.
        """
        if not _is_sent(stage, store):
            self._here.run(stage, store)
            return
        operator = stage.operator
        refuse_read_only(stage, store)
        with store.lock(digest(operator.identity)):
            plan = self.plan(stage, store)
            if not plan.tasks:
                return
            # Without a connection Ray would make one of its own.
            cluster = self._joined()
            self._refuse_small(cluster, operator)
            done = stage.total - plan.wanted
            with (
                _assignment(operator, store, self._threads) as assignment,
                self.progress.bar(stage.title, done=done, total=stage.total, unit=stage.unit) as tick,
            ):
                made = _Making(operator, tick)
                self._make(made, plan, assignment)
            made.keep_rates(store)
            made.raise_first([batch for task in plan.tasks for batch in task], cluster.logs)

    def describe(self) -> Mapping[str, JSON]:
        """Its name, and what was said about it."""
        return {"name": "ray", **{name: value for name, value in asdict(self._settings).items() if value is not None}}

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    @property
    def _threads(self) -> str | None:
        """What the driver's kernels go by; None leaves to Ray what `cpus` says."""
        return None if self._settings.cpus is not None else os.environ.get(THREADS, "")

    def _joined(self) -> RayCluster:
        # Every stage would knock and wait for itself.
        if self._unreachable is not None:
            raise self._unreachable
        if self._cluster is None:
            try:
                self._cluster = RayCluster(self._settings.address)
            except EngineUnreachable as error:
                self._unreachable = error.again
                raise
        return self._cluster

    def _make(self, made: _Making, plan: Plan, assignment: Assignment) -> None:
        from ray.exceptions import RayError

        tasks: Sequence[Sequence[Batch]] = plan.tasks
        for number in range(_PASSES):
            gpus = self._gpus(made.operator)
            pool = Pool(min(plan.workers, len(tasks)), self._cpus(gpus), gpus)
            try:
                with closing(pool.perform(assignment, tasks, ahead=1 if number else 2)) as performed:
                    for outcome in performed:
                        made.hear(outcome)
            except RayError as error:
                made.failed = error
            tasks = [[batch] for task in tasks for batch in task if not made.has(batch)]
            if not tasks:
                return

    def _processes(self, operator: Operator) -> int:
        if self._settings.actors is not None:
            return self._settings.actors
        return self._room(operator)

    def _refuse_small(self, cluster: RayCluster, operator: Operator) -> None:
        """A cluster that was started here gets no more nodes, and whoever waits for one waits for ever."""
        if cluster.started:
            self._room(operator)

    def _room(self, operator: Operator) -> int:
        gpus = self._gpus(operator)
        cpus = self._cpus(gpus)
        room = self._joined().room(cpus, gpus)
        if not room:
            way = "" if self._joined().started else ", or actors= where nodes are still to come"
            raise InfrastructureError(
                f"--engine=ray: no node of the cluster has {cpus:g} CPUs and {gpus:g} GPUs for "
                f"{operator.name}: set cpus= and gpus={way}."
            )
        return room

    def _cpus(self, gpus: float) -> float:
        """A CPU is one device: a process has all of it, as it would without Ray, unless several were asked for."""
        if self._settings.cpus is not None:
            return self._settings.cpus
        if gpus:
            return 1
        cluster = self._joined()
        if not cluster.started:
            # It may have other nodes, and get more: several processes need not share one.
            return cluster.smallest
        return max(1, math.floor(cluster.smallest / (self._settings.actors or 1) / _UNIT)) * _UNIT

    def _gpus(self, operator: Operator) -> float:
        drawing, scoring = self._settings.gpus, self._settings.reward_gpus
        said = drawing if operator.draws or scoring is None else scoring
        return (1 if operator.device.startswith("cuda") else 0) if said is None else said


class _Making:
    """What became of a stage so far."""

    def __init__(self, operator: Operator, tick: Tick) -> None:
        self.operator = operator
        self.failed: Exception | None = None
        """What ended a pass."""
        self._tick = tick
        self._made: set[str] = set()
        self._errors: dict[str, BaseException] = {}
        self._heard: dict[str, Told] = {}

    def hear(self, outcome: Outcome) -> None:
        """Take note of what a process says. Raises its error where nothing can be made."""
        if told := outcome.told:
            known = self._heard.get(told.process)
            self._heard[told.process] = told if known is None or told.timed.items >= known.timed.items else known
            if told.error is not None:
                if isinstance(told.error, CorruptObject) and str(told.error) not in map(str, self._errors.values()):
                    # What was said of it there, nobody has heard.
                    warnings.warn(str(told.error), ChangedImageWarning, stacklevel=2)
                self._errors[outcome.key] = told.error
                if told.unfit:
                    raise told.error
        if outcome.error is None and outcome.key not in self._made:
            self._made.add(outcome.key)
            self._tick(1)

    def has(self, batch: Batch) -> bool:
        """Whether all that is wanted of a batch is made."""
        return batch.wanted <= self._made

    def keep_rates(self, store: Store) -> None:
        """Add what the processes timed to what is known of the model, by kind of device."""
        for device in {told.device for told in self._heard.values() if told.device}:
            timed = [told.timed for told in self._heard.values() if told.device == device]
            keep_rate(store, self.operator.identity, device, sum(timed, Rate(0, 0.0)))

    def raise_first(self, batches: Sequence[Batch], logs: str) -> None:
        """Raise what kept the first batch, in the order of the plan, that is not made."""
        left = [batch for batch in batches if not self.has(batch)]
        for batch in left:
            for key, _ in batch.entries:
                if key in self._errors:
                    raise self._errors[key]
        if left:
            tried = _PASSES * (1 + RETRIES)
            raise InfrastructureError(
                f"{self.operator.name}: {tried} times the process died that was to make {_named(left)}; "
                f"Ray's logs are in {logs}, and --engine=local makes it in this process."
            ) from self.failed


def _is_sent(stage: Stage, store: Store) -> bool:
    return stage.operator.portable and store.shared


@contextmanager
def _assignment(operator: Operator, store: Store, threads: str | None) -> Iterator[Assignment]:
    """What processes elsewhere need, with a probe in the store by which they know it again."""
    from ray import cloudpickle

    try:
        sent = cloudpickle.dumps(operator)
    except Exception as error:
        raise UsageError(
            f"--engine=ray: {operator.name} cannot be sent to another process ({error}): --engine=local runs it here."
        ) from error
    probe = f"locks/ray-{uuid.uuid4().hex}"
    store.storage.write(probe, b"The driver's and its processes' store are one.\n")
    try:
        yield Assignment(sent, store.address, probe, os.getcwd(), tuple(sys.path), library_versions(), threads)
    finally:
        store.storage.remove(probe)


def _named(batches: Sequence[Batch]) -> str:
    wanted = [(key, asked) for batch in batches for key, asked in batch.entries if key in batch.wanted]
    shown = [repr(getattr(asked, "prompt", key[:12])) for key, asked in wanted]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
