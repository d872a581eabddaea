"""First stage: the images that the store does not hold yet are generated, checked and kept, in fixed batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.batches import fixed_batches, planned
from aes_audit.evidence.drawing import ImageOperator
from aes_audit.evidence.engines.protocol import Batch, Engine
from aes_audit.evidence.keys import image_key
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.generators.protocol import Generator, ImageRequest, ResolvedGenerator

__all__ = ["ImageJob", "ImageStage", "generate_images", "key_of"]

ATTEMPTS = 3
"""How often images are made again that vanish from the store right after."""

_SHOWN = ("kind", "flags", "prompt_notes")
"""What of a record goes into the evidence; the rest stays on disk, where any number of images may lie."""


@dataclass(frozen=True, slots=True)
class ImageJob:
    """One image of the plan."""

    item: str
    """The prompt pair it belongs to."""
    image: str
    """`original` or `wide`."""
    request: ImageRequest
    """What to draw."""


@dataclass(frozen=True, slots=True)
class ImageStage:
    """A Stage: one generator and everything that it is to draw.

    A batch is a fixed run of the plan. Where one of its images is missing the whole batch is generated
    again, so that an interrupted run ends with the very pixels of an undisturbed one: matrix kernels may
    round differently for another batch size. A generator whose images are independent of each other is asked for the
    missing ones alone.
    """

    operator: ImageOperator
    """Who draws."""
    entries: Sequence[tuple[str, ImageRequest]]
    """Key and request of every image, in the order of the plan."""

    unit = "image"

    @classmethod
    def of(
        cls, generator: ResolvedGenerator, jobs: Sequence[ImageJob], load: Callable[[], Generator] | None = None
    ) -> ImageStage:
        """`load` replaces the generator's own, for callers that keep what was loaded."""
        identity = generator.identity
        entries = [(_key(identity, job.request), job.request) for job in jobs]
        return cls(ImageOperator(generator, load or generator.load), entries)

    @property
    def title(self) -> str:
        """For the progress bar."""
        return f"{self.operator.name}: images"

    @property
    def total(self) -> int:
        """Number of images."""
        return len(self.entries)

    def left(self, store: Store) -> Sequence[Batch]:
        """The batches of which an image is missing; of an independent generator, batches of missing ones."""
        size = self.operator.generator.batch_size
        found = list(self.operator.left(store, planned(self.entries, size)))
        if not self.operator.independent:
            return found
        # One request per key: two items may ask for the same text with the same seed.
        missing = {key: request for batch in found for key, request in batch.entries if key in batch.wanted}
        cut = fixed_batches(list(missing.items()), size)
        return [Batch(tuple(entries), frozenset(key for key, _ in entries)) for entries in cut]

    def records(self, store: Store) -> list[ImageRecord] | None:
        """What the store knows about every image, in order; None where one is missing."""
        found = []
        for record in store.images(key for key, _ in self.entries):
            if record is None:
                return None
            shown = {name: record.record[name] for name in _SHOWN if name in record.record}
            found.append(replace(record, record=shown))
        return found


def generate_images(
    generator: ResolvedGenerator,
    jobs: Sequence[ImageJob],
    store: Store,
    engine: Engine,
    load: Callable[[], Generator] | None = None,
) -> list[ImageRecord]:
    """One record per job, in order; only missing images are made, and no model is loaded when none is.

    `load` is as for ImageStage. Raises InfrastructureError, StoreUnusable, or BudgetSpent once everything that was
    answered is kept.
    """
    stage = ImageStage.of(generator, jobs, load)
    if (complete := stage.records(store)) is not None:
        return complete
    for _ in range(ATTEMPTS):
        engine.run(stage, store)
        if (complete := stage.records(store)) is not None:
            return complete
        # Another process found an image changed and dropped it meanwhile.
    raise InfrastructureError(f"{generator.name}: images vanish from {store.address}; give another --audit-store.")


def key_of(generator: ResolvedGenerator, request: ImageRequest) -> str:
    """The key of the image that a generator makes of a request."""
    return _key(generator.identity, request)


def _key(identity: Mapping[str, Any], request: ImageRequest) -> str:
    return image_key(identity, request.prompt, request.seed, request.source)
