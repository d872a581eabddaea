"""Which rated images are learnt from and which are kept for the end: no picture is in both parts. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from aes_audit.errors import UsageError
from aes_audit.judges.training.annotations import RatedImage

__all__ = ["Split", "split_images"]


@dataclass(frozen=True)
class Split:
    """Two parts of a table, each picture once."""

    training: tuple[RatedImage, ...]
    """Learnt from."""
    held_out: tuple[RatedImage, ...]
    """For the evaluation alone."""
    repeated: int
    """Rows left out because an earlier row of their part has the same picture."""
    leaking: int
    """Rows left out of the training because the held-out part has the same picture."""

    @cached_property
    def digests(self) -> dict[str, str]:
        """`sha256:` over pictures and classes of either part, in order: a copy elsewhere is the same data."""
        return {name: _digest(part) for name, part in (("training", self.training), ("held_out", self.held_out))}


def split_images(images: Sequence[RatedImage], held_out: int | float, seed: int) -> Split:
    """Hold out the last so many rows (a whole number), or a share between 0 and 1 of the pictures.

    With a share, a picture's own digest and the seed decide, so that it stays in its part whatever else the table
    holds. Of rows with one picture the first of a part counts. Raises UsageError where a part would be empty.
    """
    if isinstance(held_out, int):
        first, last = list(images[: max(0, len(images) - held_out)]), list(images[max(0, len(images) - held_out) :])
    else:
        last = [image for image in images if _place(image, seed) < held_out]
        first = [image for image in images if _place(image, seed) >= held_out]
    kept = _once(last)
    seen = {image.sha256 for image in kept}
    clean = [image for image in first if image.sha256 not in seen]
    training = _once(clean)
    if not training or not kept:
        part = "left to learn from" if kept else "held out"
        raise UsageError(f"--held-out {held_out:g} of {len(images)} rated images: none is {part}; choose another.")
    repeated = len(last) - len(kept) + len(clean) - len(training)
    return Split(tuple(training), tuple(kept), repeated, len(first) - len(clean))


def _place(image: RatedImage, seed: int) -> float:
    """Where a picture stands between 0 and 1."""
    return int(hashlib.sha256(f"{seed} {image.sha256}".encode()).hexdigest()[:12], 16) / 16**12


def _once(images: Iterable[RatedImage]) -> list[RatedImage]:
    found: dict[str, RatedImage] = {}
    for image in images:
        found.setdefault(image.sha256, image)
    return list(found.values())


def _digest(images: Sequence[RatedImage]) -> str:
    total = hashlib.sha256()
    for image in images:
        total.update(json.dumps([image.sha256, image.classes], sort_keys=True).encode() + b"\n")
    return f"sha256:{total.hexdigest()}"
