"""The driver of every built-in reward: encodes each image and each text once, in batches that fit into memory."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic

import torch

from aes_audit.rewards.memory_batch import MemoryBatch
from aes_audit.rewards.protocol import Answer, Architecture, ImageState, TextReading, TextState

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PairScorer", "full_precision"]

_ORIENTATION = 0x0112
_TEXT_BATCH = 64
_KEPT_TEXTS = 512
"""Text states kept between calls; the audit asks for the same prompts about image after image."""


class PairScorer(Generic[ImageState, TextState]):
    """A loaded reward, made of an `Architecture`.

    Scores depend neither on the order of the pairs nor on what else is asked in the same call. Batches start with the
    architecture's sizes; one that does not fit into memory is halved, and the smaller size is remembered.
    """

    def __init__(self, architecture: Architecture[ImageState, TextState]) -> None:
        """Drive `architecture`."""
        self.architecture = architecture
        self._image_batch = MemoryBatch("images", architecture.image_batch)
        self._text_batch = MemoryBatch("texts", min(_TEXT_BATCH, architecture.pair_batch))
        self._pair_batch = MemoryBatch("pairs", architecture.pair_batch)
        self._texts: OrderedDict[str, TextState] = OrderedDict()
        self._warned = False

    @property
    def batch_sizes(self) -> Mapping[str, int]:
        """What has turned out to fit into memory so far: `images`, `texts` and `pairs` per forward pass."""
        return {batch.what: batch.size for batch in (self._image_batch, self._text_batch, self._pair_batch)}

    def score(self, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
        """The score of (images[i], texts[i]) for every i; NaN where there is none.

        Raises ValueError when the two sequences differ in length, InfrastructureError where memory is too small.
        """
        return [math.nan if answer.value is None else answer.value for answer in self.answers(images, texts)]

    def answers(self, images: Sequence[Image], texts: Sequence[str]) -> list[Answer]:
        """One answer per (images[i], texts[i]): a score with what is known besides, or why there is none."""
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} images and {len(texts)} texts: give one text per image.")
        pictures = {id(image): image for image in images}
        faults = {key: _fault(image) for key, image in pictures.items()}
        readings = {text: self._read(text) for text in dict.fromkeys(texts)}
        asked = [(id(image), text) for image, text in zip(images, texts, strict=True)]
        wanted = [pair for pair in dict.fromkeys(asked) if not faults[pair[0]] and not readings[pair[1]].refusal]
        self._warn_of_orientation(pictures[key] for key in dict.fromkeys(key for key, _ in wanted))
        with torch.inference_mode(), full_precision():
            rows = dict(self._rows(wanted, pictures))
        notes = {key: self.architecture.image_note(pictures[key]) for key in {key for key, _ in wanted}}
        return [
            self._answer(rows[key, text], readings[text], notes[key])
            if (key, text) in rows
            else Answer(None, faults[key] or readings[text].refusal)
            for key, text in asked
        ]

    def _read(self, text: str) -> TextReading:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return TextReading(0, False, "the text holds a lone surrogate, which is no character")
        return self.architecture.read_text(text)

    def _rows(
        self, wanted: Sequence[tuple[int, str]], pictures: Mapping[int, Image]
    ) -> Iterator[tuple[tuple[int, str], tuple[float, ...]]]:
        texts = self._text_states(list(dict.fromkeys(text for _, text in wanted)))
        of_image: dict[int, list[str]] = {}
        for key, text in wanted:
            of_image.setdefault(key, []).append(text)
        # Image states are large where a reward attends to patches: a batch of them is used up before the next is made.
        todo = iter(of_image)
        while keys := list(islice(todo, self._image_batch.size)):
            states = self._image_batch.run([pictures[key] for key in keys], self.architecture.encode_images)
            by_key = dict(zip(keys, states, strict=True))
            pairs = [(key, text) for key in keys for text in of_image[key]]
            rows = self._pair_batch.run([(by_key[key], texts[text]) for key, text in pairs], self._combine)
            yield from zip(pairs, rows, strict=True)

    def _combine(self, pairs: Sequence[tuple[ImageState, TextState]]) -> Sequence[tuple[float, ...]]:
        return self.architecture.combine([image for image, _ in pairs], [text for _, text in pairs])

    def _text_states(self, texts: Sequence[str]) -> Mapping[str, TextState]:
        known = {text: self._texts[text] for text in texts if text in self._texts}
        # Texts of a pass are padded to its longest, so those of like length go together.
        fresh = sorted((text for text in texts if text not in known), key=len)
        known.update(zip(fresh, self._text_batch.run(fresh, self.architecture.encode_texts), strict=True))
        for text in texts:
            self._texts[text] = known[text]
            self._texts.move_to_end(text)
        while len(self._texts) > _KEPT_TEXTS:
            self._texts.popitem(last=False)
        return known

    def _answer(self, row: tuple[float, ...], reading: TextReading, note: str | None) -> Answer:
        value, *others = (float(number) for number in row)
        if not math.isfinite(value):
            return Answer(None, f"the reward gave {value}")
        extra: dict[str, Any] = dict(zip(self.architecture.outputs[1:], others, strict=True))
        extra |= {"text_tokens": reading.tokens, "truncated": reading.truncated}
        return Answer(value, None, extra | ({"recipe_note": note} if note else {}))

    def _warn_of_orientation(self, images: Iterator[Image]) -> None:
        if self._warned:
            return
        turned = next((found for image in images if (found := _orientation(image)) != 1), 1)
        if turned != 1:
            self._warned = True
            warnings.warn(
                f"an image has the EXIF orientation {turned}: it is scored as stored, unturned, as the official codes "
                "do; apply PIL.ImageOps.exif_transpose first where that is not what is meant.",
                stacklevel=4,
            )


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 means float32: TF32, which cuDNN uses unasked, is off within the block."""
    switches = _tf32_switches()
    kept = [getattr(owner, name) for owner, name, _ in switches]
    for owner, name, off in switches:
        setattr(owner, name, off)
    try:
        yield
    finally:
        for (owner, name, _), value in zip(switches, kept, strict=True):
            setattr(owner, name, value)


def _tf32_switches() -> list[tuple[Any, str, Any]]:
    """Owner, attribute and the value that turns TF32 off, for matrix products and convolutions."""
    products: Any = torch.backends.cuda.matmul
    convolutions: Any = getattr(torch.backends.cudnn, "conv", None)
    # Since torch 2.9 there are new switches, and reading the old ones fails where somebody has set the new.
    if convolutions is not None and hasattr(convolutions, "fp32_precision"):
        return [(products, "fp32_precision", "ieee"), (convolutions, "fp32_precision", "ieee")]
    return [(products, "allow_tf32", False), (torch.backends.cudnn, "allow_tf32", False)]


def _fault(image: Image) -> str | None:
    """Why an image cannot be scored at all; None for nearly every image."""
    if 0 in image.size:
        return f"the image has no pixels: its size is {image.size[0]} x {image.size[1]}"
    try:
        image.load()
    # Pillow's plugins let through whatever a broken file makes them stumble over.
    except (OSError, SyntaxError, ValueError, LookupError, OverflowError) as error:
        return f"the image cannot be decoded: {' '.join(str(error).split())}"
    return None


def _orientation(image: Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, LookupError, TypeError):
        # A garbled tag turns nothing.
        return 1
