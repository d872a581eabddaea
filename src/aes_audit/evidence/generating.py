"""First stage: the images that the store does not hold yet are generated, in fixed batches."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aes_audit.evidence.batches import fixed_batches
from aes_audit.evidence.keys import digest, image_key
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.generators.protocol import Generator, ImageRequest, MissingImage, ResolvedGenerator

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ImageJob", "generate_images"]


@dataclass(frozen=True, slots=True)
class ImageJob:
    """One image of the plan."""

    item: str
    """The prompt pair it belongs to."""
    image: str
    """`original` or `wide`."""
    request: ImageRequest
    """What to draw."""


def generate_images(
    generator: ResolvedGenerator,
    jobs: Sequence[ImageJob],
    store: Store,
    progress: Progress,
    load: Callable[[], Generator] | None = None,
) -> list[ImageRecord]:
    """One record per job, in order; only missing images are made, and no model is loaded when none is.

    A batch is a fixed run of the plan. Where one of its images is missing the whole batch is generated
    again, so that an interrupted run ends with the very pixels of an undisturbed one: matrix kernels may
    round differently for another batch size. `load` replaces the generator's own, for callers that keep what was
    loaded. Raises InfrastructureError or StoreUnusable.
    """
    keys = [image_key(generator.identity, job.request.prompt, job.request.seed) for job in jobs]
    if complete := _all_present(store, keys):
        return complete
    with store.lock(digest(generator.identity)):
        return _generate_missing(generator, list(zip(keys, jobs, strict=True)), store, progress, load or generator.load)


def _all_present(store: Store, keys: Sequence[str]) -> list[ImageRecord] | None:
    records = [store.image(key) for key in keys]
    present = [record for record in records if record is not None]
    return present if len(present) == len(records) else None


def _generate_missing(
    generator: ResolvedGenerator,
    plan: Sequence[tuple[str, ImageJob]],
    store: Store,
    progress: Progress,
    load: Callable[[], Generator],
) -> list[ImageRecord]:
    loaded: Generator | None = None
    done = sum(store.image(key) is not None for key, _ in plan)
    records: list[ImageRecord] = []
    with progress.bar(f"{generator.name}: images", done=done, total=len(plan), unit="image") as tick:
        for batch in fixed_batches(plan, generator.batch_size):
            missing = [key for key, _ in batch if store.image(key) is None]
            if missing:
                loaded = loaded or load()
                answers = loaded.generate([job.request for _, job in batch])
                for (key, job), answer in zip(batch, answers, strict=True):
                    if key in missing:
                        _keep(store, key, generator, job, answer)
                tick(len(missing))
            records += [_present(store, key) for key, _ in batch]
    return records


def _keep(store: Store, key: str, generator: ResolvedGenerator, job: ImageJob, answer: Image | MissingImage) -> None:
    request = job.request
    record: dict[str, Any] = {"generator": dict(generator.identity), "prompt": request.prompt, "seed": request.seed}
    if isinstance(answer, MissingImage):
        store.put_missing_image(key, answer.reason, record)
        return
    png = io.BytesIO()
    answer.save(png, format="PNG")
    store.put_image(key, png.getvalue(), record)


def _present(store: Store, key: str) -> ImageRecord:
    record = store.image(key)
    if record is None:
        raise AssertionError(f"image {key} was stored a moment ago and is gone")
    return record
