"""What a simulated cluster is made of, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Cost", "Driver", "Outcome", "Pool", "Setup", "StageOutcome", "StoreRates", "Work"]


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
    over: float
    """Device-seconds of lanes that had no model left, and of devices that no lane has."""
    drawn: int
    """Images that were drawn and kept."""
    objects: int
    """Put into the store; an image counts once."""
