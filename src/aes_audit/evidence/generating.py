"""First stage: the images that the store does not hold yet are generated, checked and kept, in fixed batches."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from aes_audit.errors import BudgetSpent, InfrastructureError
from aes_audit.evidence.batches import fixed_batches
from aes_audit.evidence.keys import digest, image_key
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.rates import Stopwatch, device_of
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.generators import image_checks
from aes_audit.generators.protocol import (
    Answer,
    Generator,
    ImageRequest,
    MissingImage,
    NotAttempted,
    ResolvedGenerator,
)

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ImageJob", "generate_images", "key_of"]

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


class _Drawn(NamedTuple):
    """An image on its way to the store."""

    key: str
    request: ImageRequest
    notes: Mapping[str, Any] | None


class _Batch(NamedTuple):
    """One call of the generator."""

    images: Sequence[_Drawn]
    """What was asked for."""
    answers: Callable[[], Sequence[Answer]]
    """One per image, in order, once the generator has finished them."""


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
    round differently for another batch size. A generator whose images are independent of each other is asked for the
    missing ones alone, and what it answered is kept before it is asked again. `load` replaces the generator's own, for
    callers that keep what was loaded. Raises InfrastructureError, StoreUnusable, or BudgetSpent once everything that
    was answered is kept.
    """
    plan = [(key_of(generator, job.request), job.request) for job in jobs]
    if (complete := _all_present(store, plan)) is not None:
        return complete
    for _ in range(ATTEMPTS):
        with store.lock(digest(generator.identity)):
            _generate_missing(generator, plan, store, progress, load or generator.load)
        if (complete := _all_present(store, plan)) is not None:
            return complete
        # Another process found an image changed and dropped it meanwhile.
    raise InfrastructureError(f"{generator.name}: images vanish from {store.root}; give another --audit-store.")


def key_of(generator: ResolvedGenerator, request: ImageRequest) -> str:
    """The key of the image that a generator makes of a request."""
    return image_key(generator.identity, request.prompt, request.seed, request.source)


def _all_present(store: Store, plan: Sequence[tuple[str, ImageRequest]]) -> list[ImageRecord] | None:
    found = []
    for key, _ in plan:
        record = store.image(key)
        if record is None:
            return None
        found.append(replace(record, record={name: record.record[name] for name in _SHOWN if name in record.record}))
    return found


def _generate_missing(
    generator: ResolvedGenerator,
    plan: Sequence[tuple[str, ImageRequest]],
    store: Store,
    progress: Progress,
    load: Callable[[], Generator],
) -> None:
    missing = {key for key, _ in plan if store.image(key) is None}
    # A generator from elsewhere may not know the question; its images then count as depending on their batch.
    independent = getattr(generator, "independent", False)
    done = sum(key not in missing for key, _ in plan)
    loaded: Generator | None = None
    watch = Stopwatch(store, generator.identity, device_of(generator))
    with (
        progress.bar(f"{generator.name}: images", done=done, total=len(plan), unit="image") as tick,
        _Writer(generator, store, missing, watch) as writer,
    ):
        for batch in _batches(plan, missing, generator.batch_size, independent):
            loaded = loaded or load()
            watch.start()
            watch.items += len(batch)
            writer.keep(_begun(loaded, batch))
            if independent:
                # It may have cost money: nothing more is asked before this is safe.
                writer.wait()
            tick(sum(key in missing for key, _ in batch))
    watch.stop()


def _batches(
    plan: Sequence[tuple[str, ImageRequest]], missing: set[str], size: int, independent: bool
) -> Iterator[Sequence[tuple[str, ImageRequest]]]:
    if independent:
        # One request per key: two items may ask for the same text with the same seed.
        yield from fixed_batches(list(dict.fromkeys(entry for entry in plan if entry[0] in missing)), size)
        return
    yield from (batch for batch in fixed_batches(plan, size) if any(key in missing for key, _ in batch))


def _begun(loaded: Generator, batch: Sequence[tuple[str, ImageRequest]]) -> _Batch:
    requests = [request for _, request in batch]
    begin = getattr(loaded, "begin", None) or partial(_generated, loaded)
    answers = begin(requests)
    notes = getattr(loaded, "prompt_notes", None)
    return _Batch([_Drawn(key, said, notes(said.prompt) if notes else None) for key, said in batch], answers)


def _generated(loaded: Generator, requests: Sequence[ImageRequest]) -> Callable[[], Sequence[Answer]]:
    answers = loaded.generate(requests)
    return lambda: answers


class _Writer:
    """Finishes (decodes), checks, encodes and stores one batch in a thread of its own while the next one is drawn.

    One batch at most is waiting, so that a killed run loses two at most and memory stays flat. An error surfaces with
    the next batch or at the end; what was handed over is stored also when the run is interrupted.
    """

    def __init__(self, generator: ResolvedGenerator, store: Store, missing: Collection[str], watch: Stopwatch) -> None:
        """Keep where the images go, what they were asked to be, the keys of those that are wanted, and who counts."""
        self._generator = generator
        self._store = store
        self._missing = missing
        self._watch = watch
        self._size = image_checks.expected_size(generator.identity)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aes_audit-images")
        self._written: Future[None] | None = None

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            self.wait()

    def keep(self, batch: _Batch) -> None:
        """Hand over a batch, once the one before is stored. Raises what went wrong with that one."""
        self.wait()
        self._written = self._thread.submit(self._keep_all, batch)

    def wait(self) -> None:
        """Until everything that was handed over is stored. Raises what went wrong."""
        if self._written is not None:
            written, self._written = self._written, None
            written.result()

    def _keep_all(self, batch: _Batch) -> None:
        answers = batch.answers()
        if len(answers) != len(batch.images):
            asked = f"{self._generator.name} answered {len(batch.images)} requests"
            raise InfrastructureError(f"{asked} with {len(answers)} images.")
        wanted = [(one, answer) for one, answer in zip(batch.images, answers, strict=True) if one.key in self._missing]
        left = [answer for _, answer in wanted if isinstance(answer, NotAttempted)]
        for one, answer in wanted:
            if not isinstance(answer, NotAttempted):
                self._keep(one, answer)
        if failed := next((answer for answer in left if answer.failed), None):
            raise InfrastructureError(failed.reason)
        if left:
            raise BudgetSpent(left[0].reason)

    def _keep(self, drawn: _Drawn, answer: Image | MissingImage) -> None:
        record: dict[str, Any] = {
            "generator": dict(self._generator.identity),
            "prompt": drawn.request.prompt,
            "seed": drawn.request.seed,
            **({"source": drawn.request.source} if drawn.request.source else {}),
        }
        if drawn.notes is not None:
            record["prompt_notes"] = dict(drawn.notes)
        missing = answer if isinstance(answer, MissingImage) else image_checks.check(answer, self._size)
        if missing is not None:
            self._store.put_missing_image(drawn.key, missing.reason, {**record, "kind": missing.kind})
            return
        assert not isinstance(answer, MissingImage)
        if flags := image_checks.flags(answer):
            record["flags"] = list(flags)
        png = io.BytesIO()
        answer.convert("RGB").save(png, format="PNG")
        self._store.put_image(drawn.key, png.getvalue(), record)
        self._watch.files += 1
        self._watch.bytes += png.tell()
