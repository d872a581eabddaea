"""Image files, opened as they are: mode, palette and alpha kept, because reward recipes depend on them."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image, UnidentifiedImageError

__all__ = ["Group", "Picture", "batches", "open_pictures"]

_AHEAD = 4
"""Pictures decoded while the model is busy."""
_SAMPLES = 2**28
"""Samples (pixels times bands) after which a batch is closed, however few pictures it has."""
_TEXTS = 1024
"""Distinct texts after which a batch is closed: the states of a text can be large."""


@dataclass(frozen=True, slots=True)
class Group:
    """One image file and everything that is asked about it."""

    name: str
    """The path as the user wrote it."""
    path: Path
    """Where it is."""
    texts: tuple[str, ...]
    """Distinct texts, in the order of their first row."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What became of a file."""

    group: Group
    """What was asked."""
    digest: str
    """SHA-256 of the file, empty when it could not be read."""
    image: Image.Image | None = None
    """The decoded image; None when there is none or nobody needs it."""
    error: str | None = None
    """Why it could not be decoded."""

    @property
    def samples(self) -> int:
        """Pixels times bands held in memory."""
        return self.image.width * self.image.height * len(self.image.getbands()) if self.image else 0


def open_pictures(groups: Iterable[Group], needed: Callable[[Group, str], bool]) -> Iterator[Picture]:
    """Every group's picture in order, a few decoded ahead; `needed(group, digest)` says whether to decode at all."""
    Image.init()
    waiting: deque[Future[Picture]] = deque()
    left = iter(groups)
    with ThreadPoolExecutor(min(_AHEAD, os.cpu_count() or 1)) as pool:
        try:
            waiting.extend(pool.submit(_open, group, needed) for group in islice(left, _AHEAD))
            while waiting:
                picture = waiting.popleft().result()
                waiting.extend(pool.submit(_open, group, needed) for group in islice(left, 1))
                yield picture
        finally:
            pool.shutdown(cancel_futures=True)


def batches(pictures: Iterable[Picture], size: int) -> Iterator[Sequence[Picture]]:
    """Runs of at most `size` pictures, shorter where they are large or have many texts."""
    batch: list[Picture] = []
    texts: set[str] = set()
    for picture in pictures:
        batch.append(picture)
        texts.update(picture.group.texts)
        if len(batch) == size or len(texts) >= _TEXTS or sum(each.samples for each in batch) >= _SAMPLES:
            yield batch
            batch, texts = [], set()
    if batch:
        yield batch


def _open(group: Group, needed: Callable[[Group, str], bool]) -> Picture:
    digest = ""
    try:
        with group.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if not needed(group, digest):
                return Picture(group, digest)
            file.seek(0)
            image = Image.open(file)
            image.load()
            return Picture(group, digest, image)
    except Exception as error:  # decoders of broken files raise nearly anything
        return Picture(group, digest, error=_reason(group, error))


def _reason(group: Group, error: Exception) -> str:
    if not group.name:
        return "no image: the cell is empty"
    if isinstance(error, FileNotFoundError):
        return f"no such file: {group.name}"
    if isinstance(error, UnidentifiedImageError):
        return "not an image in a format that Pillow reads"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"
