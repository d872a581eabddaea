"""A cluster that audits models, as a discrete-event simulation: what the engine, the store and the driver really do.

Per model the stages follow each other: images, then one scorer after the other. Before and after each the driver asks
the store about every key. Between them a pool of processes, each of which loads the model, is given runs of batches. A
batch of images is drawn while the one before it is written; a task ends when all of it is written. Nothing here is a
rate: every number comes with `Setup`.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

__all__ = ["Cost", "Driver", "Outcome", "Pool", "Setup", "StageOutcome", "StoreRates", "Work", "simulated"]

Process = Generator[simpy.Event, Any, None]


@dataclass(frozen=True, slots=True)
class Cost:
    """What an object costs in the store."""

    alone: float = 0.0
    """Seconds for one client that asks alone, as it asks (many at once, where the store does so)."""
    shared: float = 0.0
    """Seconds of the whole store: the reciprocal of what it gives many clients together."""


@dataclass(frozen=True, slots=True)
class StoreRates:
    """The store as a server with one queue."""

    put_image: Cost = Cost()
    """File and record."""
    put_scores: Cost = Cost()
    """The answers of one scorer about one image."""
    read_image: Cost = Cost()
    """A file, verified."""
    look_image: Cost = Cost()
    """An image record that is there."""
    look_scores: Cost = Cost()
    """Answers that are there."""
    absent: Cost = Cost()
    """A key that is not there."""


@dataclass(frozen=True, slots=True)
class Driver:
    """What the process costs that holds the plan; the store comes on top."""

    image_key: float = 0.0
    """Seconds per image to plan it: its key, its place in a batch."""
    score_key: float = 0.0
    """Seconds per image and scorer."""
    pair_rows: float = 0.0
    """Seconds per pair to make rows of evidence of what was found."""


@dataclass(frozen=True, slots=True)
class Pool:
    """What the engine costs."""

    start: float = 0.0
    """Seconds once, for the cluster and the driver itself."""
    stage: float = 0.0
    """Seconds per stage before its processes run, and after they are done."""
    process: float = 0.0
    """Seconds until a process has imported what it needs; every process of every stage."""
    task: float = 0.0
    """Seconds of the driver for each task: one after the other, whoever waits."""
    batches: int | None = 1
    """Batches in a task; None for as many as Ray's engine takes: `shares` tasks per process, `longest` at most."""
    shares: int = 4
    """As it says there."""
    longest: int = 8
    """As it says there."""
    ahead: int = 1
    """Tasks that a process is given at once, the one in hand included; nobody else can take them any more."""

    def size(self, batches: int, processes: int) -> int:
        """Batches in a task."""
        return self.batches or min(self.longest, max(1, batches // (processes * self.shares)))


@dataclass(frozen=True, slots=True)
class Work:
    """A stage of every model."""

    name: str
    """Who draws or scores."""
    seconds: float
    """Of a device, per image."""
    load: float = 0.0
    """Seconds to load the model, in every process."""
    batch: int = 32
    """Images per call."""
    draws: bool = False
    """Whether it makes images; otherwise it scores them."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that a simulation is about."""

    works: Sequence[Work]
    """The stages of a model, in order; the first one draws."""
    models: int = 1
    """How many are audited."""
    images: int = 1
    """Of each model."""
    devices: int = 1
    """Each holds one process at a time."""
    lanes: int = 1
    """Models at once; each has a driver of its own and its part of the devices."""
    store: StoreRates = StoreRates()
    """What objects cost."""
    driver: Driver = Driver()
    """What keys and rows cost."""
    pool: Pool = Pool()
    """What the engine costs."""
    spread: float = 0.0
    """Standard deviation of the time of a batch, as a share of its mean; log-normal."""
    uneven: float = 0.0
    """The same for devices: a slow one is slow for the whole run."""
    losses: float = 0.0
    """Processes lost, per device and hour."""
    round: int | None = None
    """Images of a round of early stopping; all stages are done for it before the next one."""
    needed: int | None = None
    """Images after which the verdict is settled; all are made without it."""


@dataclass
class StageOutcome:
    """What became of a stage, over all models: device-seconds if nothing else is said."""

    name: str
    elapsed: float = 0.0
    """Seconds from the first question about its keys to the last."""
    busy: float = 0.0
    """Drawing or scoring what is kept."""
    loading: float = 0.0
    """Starting processes and loading models."""
    storing: float = 0.0
    """Waiting for the store."""
    tasks: float = 0.0
    """Waiting for the driver to hand out a task."""
    lost: float = 0.0
    """Spent on batches that were lost with their process."""
    tail: float = 0.0
    """With nothing left to do, until the last device was done."""
    driver: float = 0.0
    """Seconds in which the driver alone was at work."""
    store: float = 0.0
    """Seconds in which the store was at work."""
    idle: list[float] = field(default_factory=list)
    """Of every device and stage, the seconds that belong to `tail`."""

    @property
    def held(self) -> float:
        """All of it."""
        return self.busy + self.loading + self.storing + self.tasks + self.lost + self.tail


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run."""

    seconds: float
    """From its start to the last row."""
    stages: Mapping[str, StageOutcome]
    """By name, in order."""
    drawn: int
    """Images that were drawn and kept."""
    objects: int
    """Put into the store; an image counts once."""

    def share(self, devices: int, part: float) -> float:
        """What part device-seconds are of all that were paid for."""
        return part / (devices * self.seconds) if self.seconds else 0.0


def simulated(setup: Setup, seed: int = 0) -> Outcome:
    """Run it once. The same seed gives the same outcome."""
    run = _Run(setup, random.Random(seed))
    run.env.process(run.everything())
    run.env.run()
    return Outcome(run.env.now, run.outcomes, run.drawn, run.objects)


@dataclass
class _Task:
    batches: list[int]
    """How many images each of them has."""


class _Run:
    def __init__(self, setup: Setup, rng: random.Random) -> None:
        self.setup = setup
        self.rng = rng
        self.env = simpy.Environment()
        self.outcomes = {work.name: StageOutcome(work.name) for work in setup.works}
        self.drawn = 0
        self.objects = 0
        self._store = simpy.Resource(self.env)
        self._slowness = [self.around(1.0, setup.uneven) for _ in range(setup.devices)]
        self._models = list(range(setup.models))

    def everything(self) -> Process:
        yield self.env.timeout(self.setup.pool.start)
        size = self.setup.devices // self.setup.lanes
        lanes = [self._slowness[lane * size : (lane + 1) * size] for lane in range(self.setup.lanes)]
        yield self.env.all_of([self.env.process(self._lane(devices)) for devices in lanes])

    def _lane(self, devices: Sequence[float]) -> Process:
        """One driver: a model after the other."""
        while self._models:
            self._models.pop()
            for images in self._rounds(len(devices)):
                for work in self.setup.works:
                    yield from self._stage(work, images, devices)
                yield self.env.timeout(self.setup.driver.pair_rows * images / 2)

    def _rounds(self, workers: int) -> Iterator[int]:
        """Images that are made before anybody looks whether they suffice: a round for each worker."""
        if self.setup.round is None:
            yield self.setup.images
            return
        ahead, made = workers * self.setup.round, 0
        while made < min(self.setup.images, self.setup.needed or self.setup.images):
            yield min(ahead, self.setup.images - made)
            made += ahead

    def _stage(self, work: Work, images: int, devices: Sequence[float]) -> Process:
        outcome, began = self.outcomes[work.name], self.env.now
        keys = self.setup.driver.image_key if work.draws else self.setup.driver.score_key
        found = self.setup.store.look_image if work.draws else self.setup.store.look_scores
        yield self.env.timeout(keys * images + self.setup.pool.stage)
        # What is missing is asked twice: by whoever wants the records, who gives up at the first, and by the engine.
        yield from self.asked(outcome, self.setup.store.absent, images)
        outcome.driver += self.env.now - began
        yield from _Stage(self, work, outcome, images, devices).run()
        done = self.env.now
        yield from self.asked(outcome, found, images)
        outcome.driver += self.env.now - done
        outcome.elapsed += self.env.now - began

    def asked(self, outcome: StageOutcome, cost: Cost, count: int) -> Process:
        """The store does something for a client: as long as it takes alone, or longer where others are waiting."""
        share = cost.shared * count
        with self._store.request() as turn:
            yield turn
            yield self.env.timeout(share)
        outcome.store += share
        yield self.env.timeout(max(cost.alone * count - share, 0.0))

    def around(self, mean: float, spread: float) -> float:
        if not spread or not mean:
            return mean
        sigma = math.sqrt(math.log(1 + spread**2))
        return mean * self.rng.lognormvariate(-(sigma**2) / 2, sigma)


class _Stage:
    """One stage of one model: its tasks, and the processes that do them."""

    def __init__(self, run: _Run, work: Work, outcome: StageOutcome, images: int, devices: Sequence[float]) -> None:
        self._run = run
        self._env = run.env
        self._work = work
        self._outcome = outcome
        self._devices = devices
        self._left = images
        self._waiting = simpy.Store(self._env)
        self._driver = simpy.Resource(self._env)
        self._done = self._env.event()
        self._ends = list[float]()
        batches = [min(work.batch, images - start) for start in range(0, images, work.batch)]
        size = run.setup.pool.size(len(batches), len(devices))
        self._tasks = [_Task(batches[start : start + size]) for start in range(0, len(batches), size)]

    def run(self) -> Process:
        for task in self._tasks:
            self._waiting.put(task)
        yield self._env.all_of([self._env.process(self._device(slowness)) for slowness in self._devices])
        idle = [self._env.now - end for end in self._ends]
        self._outcome.idle += idle
        self._outcome.tail += sum(idle)

    def _device(self, slowness: float) -> Process:
        """A device: processes one after the other, should they be lost."""
        end, dies, given = self._env.now, -math.inf, deque[_Task]()
        while True:
            if not given:
                wanted = self._waiting.get()
                yield wanted | self._done
                if not wanted.triggered:
                    self._ends.append(end)
                    return
                task: Any = wanted.value
                given.append(task)
            while len(given) < self._run.setup.pool.ahead and self._waiting.items:
                given.append(self._waiting.items.pop(0))
            self._outcome.tail += self._env.now - end
            if dies <= self._env.now:
                yield from self._loaded()
                dies = self._env.now + self._life()
            left = yield from self._worked(given.popleft(), slowness, dies)
            for task in [_Task(left), *given] if left else ():
                self._waiting.put(task)
            if left:
                given.clear()
            end = self._env.now

    def _loaded(self) -> Process:
        took = self._run.setup.pool.process + self._work.load
        self._outcome.loading += took
        yield self._env.timeout(took)

    def _life(self) -> float:
        losses = self._run.setup.losses
        return self._run.rng.expovariate(losses / 3600) if losses else math.inf

    def _worked(self, task: _Task, slowness: float, dies: float) -> Generator[simpy.Event, Any, list[int]]:
        """Do a task; what is left of it where the process is lost."""
        start = self._env.now
        with self._driver.request() as turn:
            yield turn
            yield self._env.timeout(self._run.setup.pool.task)
        self._outcome.tasks += self._env.now - start
        yield from self._stored(self._run.setup.store.absent, sum(task.batches))
        if self._work.draws:
            return (yield from self._drawn(task, slowness, dies))
        return (yield from self._scored(task, slowness, dies))

    def _drawn(self, task: _Task, slowness: float, dies: float) -> Generator[simpy.Event, Any, list[int]]:
        writing: simpy.Process | None = None
        before = 0.0
        for place, size in enumerate(task.batches):
            took = self._took(size, slowness)
            if self._env.now + took > dies:
                yield from self._lost(dies)
                if writing is None or not writing.is_alive:
                    return task.batches[place:]
                # Its thread dies with the process, and what it was writing is drawn again.
                writing.interrupt()
                self._outcome.busy -= before
                self._outcome.lost += before
                return task.batches[place - 1 :]
            yield self._env.timeout(took)
            self._outcome.busy += took
            if writing is not None:
                yield from self._waited(writing)
            writing, before = self._env.process(self._written(size)), took
        if writing is not None:
            yield from self._waited(writing)
        return []

    def _written(self, size: int) -> Process:
        try:
            yield from self._run.asked(self._outcome, self._run.setup.store.put_image, size)
        except simpy.Interrupt:
            return
        self._kept(size)

    def _waited(self, writing: simpy.Process) -> Process:
        start = self._env.now
        yield writing
        self._outcome.storing += self._env.now - start

    def _scored(self, task: _Task, slowness: float, dies: float) -> Generator[simpy.Event, Any, list[int]]:
        for place, size in enumerate(task.batches):
            took = self._took(size, slowness)
            if self._env.now + took > dies:
                yield from self._lost(dies)
                return task.batches[place:]
            yield from self._stored(self._run.setup.store.read_image, size)
            yield self._env.timeout(took)
            self._outcome.busy += took
            yield from self._stored(self._run.setup.store.put_scores, size)
            self._kept(size)
        return []

    def _lost(self, dies: float) -> Process:
        took = max(dies - self._env.now, 0.0)
        self._outcome.lost += took
        yield self._env.timeout(took)

    def _stored(self, cost: Cost, count: int) -> Process:
        start = self._env.now
        yield from self._run.asked(self._outcome, cost, count)
        self._outcome.storing += self._env.now - start

    def _took(self, size: int, slowness: float) -> float:
        return self._run.around(self._work.seconds * size * slowness, self._run.setup.spread)

    def _kept(self, size: int) -> None:
        self._run.objects += size
        self._run.drawn += size if self._work.draws else 0
        self._left -= size
        if not self._left:
            self._done.succeed()
