"""A generator at work: it draws a batch while the one before is decoded, checked, encoded and stored."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from aes_audit.errors import BudgetSpent, InfrastructureError
from aes_audit.evidence.engines.protocol import Batch
from aes_audit.evidence.rates import Rate, Stopwatch, device_of
from aes_audit.evidence.storage.haste import hurry
from aes_audit.evidence.store import Store
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

__all__ = ["ImageOperator"]


@dataclass(frozen=True, slots=True)
class ImageOperator:
    """An Operator: makes the images of one generator."""

    generator: ResolvedGenerator
    """Pinned; it is loaded where it is started."""
    load: Callable[[], Generator]
    """The generator's own, or one that keeps what was loaded."""

    draws = True

    @property
    def name(self) -> str:
        """The generator's."""
        return self.generator.name

    @property
    def identity(self) -> Mapping[str, Any]:
        """The generator's."""
        return self.generator.identity

    @property
    def device(self) -> str:
        """The kind of hardware it runs on."""
        return device_of(self.generator)

    @property
    def independent(self) -> bool:
        """Whether an image is the same in any batch; a generator from elsewhere may not know the question."""
        return getattr(self.generator, "independent", False)

    @property
    def portable(self) -> bool:
        """Whether nobody is paid for it: what is paid for is counted in one place."""
        return not hasattr(self.generator, "price")

    def left(self, store: Store, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of which an image is missing."""
        asked = list(batches)
        found = store.images(key for batch in asked for key, _ in batch.entries)
        for batch in asked:
            missing = frozenset(key for key, _ in batch.entries if next(found) is None)
            if wanted := missing & batch.wanted:
                yield Batch(batch.entries, wanted)

    def start(self, store: Store) -> _ImageHands:
        """Begin; the generator is loaded with the first batch."""
        return _ImageHands(self, store)


class _Drawn(NamedTuple):
    """An image on its way to the store."""

    key: str
    request: ImageRequest
    notes: Mapping[str, Any] | None


class _ImageHands:
    """Finishes (decodes), checks, encodes and stores one batch in a thread of its own while the next one is drawn.

    One batch at most is waiting, so that a killed run loses two at most and memory stays flat. An error surfaces with
    the next batch or at the end; what was handed over is stored also when the run is interrupted.
    """

    def __init__(self, operator: ImageOperator, store: Store) -> None:
        """Load nothing yet."""
        self._operator = operator
        self._store = store
        self._loaded: Generator | None = None
        self._size = image_checks.expected_size(operator.identity)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aes_audit-images")
        self._written: Future[None] | None = None
        self._watch = Stopwatch()

    def __enter__(self) -> _ImageHands:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:
            hurry()
        self._thread.shutdown(wait=True)
        if kind is None:
            self.finish()

    @property
    def timed(self) -> Rate:
        """What was drawn and stored so far."""
        return self._watch.rate

    def take(self, batch: Batch) -> None:
        """Draw a batch, and hand it over once the one before is stored. Raises what went wrong with that one."""
        if self._loaded is None:
            self._loaded = self._operator.load()
        self._watch.start()
        self._watch.items += len(batch.entries)
        requests = [request for _, request in batch.entries]
        begin = getattr(self._loaded, "begin", None) or partial(_generated, self._loaded)
        answers = begin(requests)
        notes = getattr(self._loaded, "prompt_notes", None)
        drawn = [_Drawn(key, asked, notes(asked.prompt) if notes else None) for key, asked in batch.entries]
        self._wait()
        self._written = self._thread.submit(self._keep_all, drawn, answers, batch.wanted)
        if self._operator.independent:
            # It may have cost money: nothing more is asked before this is safe.
            self._wait()

    def finish(self) -> None:
        """Until everything that was handed over is stored. Raises what went wrong."""
        try:
            self._wait()
        finally:
            self._watch.stop()

    def _wait(self) -> None:
        if self._written is not None:
            written, self._written = self._written, None
            written.result()

    def _keep_all(
        self, images: Sequence[_Drawn], answer_all: Callable[[], Sequence[Answer]], wanted: frozenset[str]
    ) -> None:
        answers = answer_all()
        if len(answers) != len(images):
            raise InfrastructureError(
                f"{self._operator.name} answered {len(images)} requests with {len(answers)} images."
            )
        asked = [(one, answer) for one, answer in zip(images, answers, strict=True) if one.key in wanted]
        left = [answer for _, answer in asked if isinstance(answer, NotAttempted)]
        for one, answer in asked:
            if not isinstance(answer, NotAttempted):
                self._keep(one, answer)
        if failed := next((answer for answer in left if answer.failed), None):
            raise InfrastructureError(failed.reason)
        if left:
            raise BudgetSpent(left[0].reason)

    def _keep(self, drawn: _Drawn, answer: Image | MissingImage) -> None:
        record: dict[str, Any] = {
            "generator": dict(self._operator.identity),
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


def _generated(loaded: Generator, requests: Sequence[ImageRequest]) -> Callable[[], Sequence[Answer]]:
    answers = loaded.generate(requests)
    return lambda: answers
