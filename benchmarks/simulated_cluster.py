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
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import simpy
from cluster_setup import Cost, Outcome, Setup, StageOutcome, Work

__all__ = ["simulated"]

Process = Generator[simpy.Event, Any, None]


def simulated(setup: Setup, seed: int = 0) -> Outcome:
    """Run it once. The same seed gives the same outcome."""
    run = _Run(setup, random.Random(seed))
    run.env.process(run.everything())
    run.env.run()
    return Outcome(run.env.now, run.outcomes, setup.devices * run.env.now - run.taken, run.drawn, run.objects)


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
        self.taken = 0.0
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
        self.taken += len(devices) * self.env.now

    def _rounds(self, workers: int) -> Iterator[int]:
        """Images that are made before anybody looks whether they suffice: a round per worker, then twice as many."""
        if self.setup.round is None:
            yield self.setup.images
            return
        ahead, made = workers * self.setup.round, 0
        while made < min(self.setup.images, self.setup.needed or self.setup.images):
            yield min(ahead, self.setup.images - made)
            made, ahead = made + ahead, 2 * ahead

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
