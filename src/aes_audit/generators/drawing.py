"""Drawing with a loaded pipeline: every image from its own seed, whatever else is in its batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from aes_audit.errors import InfrastructureError
from aes_audit.generators.decoding import Frames, LatentDecoder, latent_decoder
from aes_audit.generators.image_checks import picture
from aes_audit.generators.memory import free_cached, halves
from aes_audit.generators.prompt_notes import prompt_notes
from aes_audit.generators.protocol import ImageRequest, MissingImage
from aes_audit.generators.text_encoding import text_encoding
from aes_audit.weights.loading import first_line, quiet_libraries

if TYPE_CHECKING:
    from PIL.Image import Image

    from aes_audit.generators.resolve import DiffusersModel

__all__ = ["DiffusersGenerator"]

_Pictures: TypeAlias = "Callable[[], list[Image | MissingImage]]"
"""Makes the pictures of one call of the pipeline."""


class DiffusersGenerator:
    """A loaded pipeline that draws every request from its own seed."""

    def __init__(self, pipeline: Any, model: DiffusersModel) -> None:
        """`pipeline` is the diffusers pipeline on its device, `model` what was loaded and how it is called."""
        self.pipeline = pipeline
        self.model = model
        settings = model.settings
        self._call = {name: value for name, value in settings.call.items() if name != "negative_prompt"}
        self._negative = settings.negative or settings.call.get("negative_prompt")
        self._texts = text_encoding(pipeline, self._call, self._negative, settings.batch_size)
        self._fits: int | None = None
        self._decoder = latent_decoder(pipeline, self._call)

    def generate(self, requests: Sequence[ImageRequest]) -> list[Image | MissingImage]:
        """One RGB image per request, in order; frames that hold no picture are MissingImage.

        All requests go through the pipeline as one batch, prompts of another length of embedding (SDXL beyond 77
        tokens) as a batch of their own. A batch that does not fit into memory is drawn in halves, with a warning.
        Raises InfrastructureError when the pipeline fails.
        """
        return self.begin(requests)()

    def begin(self, requests: Sequence[ImageRequest]) -> Callable[[], list[Image | MissingImage]]:
        """Denoise the requests; what is returned decodes them, in any thread, and is `generate`'s answer.

        Meanwhile the next requests may be begun. A pipeline that decodes inside of its call has done so on return.
        Both raise InfrastructureError when the pipeline fails.
        """
        parts: dict[tuple[int, ...], list[_Pictures]] = {}
        with quiet_libraries():
            for length, rows in self._by_length(requests).items():
                parts[tuple(rows)] = self._draw([requests[row] for row in rows], length)
        return partial(_in_order, parts)

    def prompt_notes(self, prompt: str) -> Mapping[str, Any]:
        """What the tokenizers make of a prompt: `encoders` with tokens, limit, truncated, chunked; `complete`."""
        chunked = self._texts is not None and self._texts.in_pieces
        return prompt_notes(self.pipeline, self._call, prompt, chunked=chunked)

    def _by_length(self, requests: Sequence[ImageRequest]) -> dict[int, list[int]]:
        # A short prompt filled up to the length of its neighbours would be another image in other company.
        rows: dict[int, list[int]] = {}
        for row, request in enumerate(requests):
            rows.setdefault(self._texts.length(request.prompt) if self._texts else 1, []).append(row)
        return rows

    def _draw(self, requests: Sequence[ImageRequest], length: int) -> list[_Pictures]:
        if self._fits is not None and len(requests) > self._fits:
            return self._draw_halves(requests, length)
        apart = self._apart
        beside = apart if apart and apart.busy else None
        try:
            with self._failures(len(requests), too_large=len(requests) == 1 and not beside):
                return [self._pictures(requests, length)]
        except torch.OutOfMemoryError:
            pass
        # Outside of the handler: the error holds the tensors of the batch that failed.
        if beside:
            # Again, and this time not beside the decoding of another batch.
            beside.short = True
            return self._draw(requests, length)
        self._fits, _ = halves(len(requests))
        warnings.warn(
            f"{self.model.name}: {len(requests)} images did not fit into memory and are drawn in batches of at most "
            f"{self._fits}; pixels may differ by rounding, --audit-batch-size={self._fits} makes that the plan",
            stacklevel=2,
        )
        free_cached()
        return self._draw_halves(requests, length)

    @property
    def _apart(self) -> LatentDecoder | None:
        """What decodes apart from the pipeline's call, as long as there is memory for it."""
        return self._decoder if self._decoder and not self._decoder.short else None

    def _draw_halves(self, requests: Sequence[ImageRequest], length: int) -> list[_Pictures]:
        first, _ = halves(len(requests))
        return self._draw(requests[:first], length) + self._draw(requests[first:], length)

    def _pictures(self, requests: Sequence[ImageRequest], length: int) -> _Pictures:
        # Noise is drawn on the CPU, one generator per request: the image does not depend on batch or device count.
        noise = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
        apart = self._apart
        turn = self._decoder.call(apart=bool(apart)) if self._decoder else nullcontext()
        with torch.inference_mode(), turn:
            texts = self._text_arguments([request.prompt for request in requests], length)
            arguments = {**texts, "generator": noise, "output_type": "latent" if apart else "np", **self._call}
            output = self._run(requests, arguments)
        if apart:
            return partial(self._decoded, apart.begin(output.images), len(requests))
        unsafe = getattr(output, "nsfw_content_detected", None) or [False] * len(requests)
        drawn = [picture(frame, unsafe=bool(hidden)) for frame, hidden in zip(output.images, unsafe, strict=True)]
        return lambda: drawn

    def _decoded(self, decode: Callable[[], Frames], count: int) -> list[Image | MissingImage]:
        with self._failures(count, too_large=True):
            return [picture(frame) for frame in decode()]

    @contextmanager
    def _failures(self, count: int, *, too_large: bool) -> Iterator[None]:
        """Turn what the pipeline raises into InfrastructureError, want of memory only if it is `too_large`."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            if not too_large:
                raise
            raise InfrastructureError(
                f"{self.model.name}: not even one image fits into the memory of {self.model.device}: "
                "free it, or ask for smaller images or another dtype."
            ) from error
        except (RuntimeError, ValueError, TypeError) as error:
            failed = f"{self.model.name}: generating {count} images failed"
            raise InfrastructureError(f"{failed}: {first_line(error)}") from error

    def _run(self, requests: Sequence[ImageRequest], arguments: Mapping[str, Any]) -> Any:
        """The one call of the pipeline."""
        return self.pipeline(**arguments)

    def _text_arguments(self, prompts: list[str], length: int) -> dict[str, Any]:
        if self._texts is not None:
            return self._texts.arguments(prompts, length)
        negative = {} if self._negative is None else {"negative_prompt": [self._negative] * len(prompts)}
        return {"prompt": prompts, **negative}


def _in_order(parts: Mapping[tuple[int, ...], Sequence[_Pictures]]) -> list[Image | MissingImage]:
    """What becomes of every request; keys are positions of requests, values what answers them one after the other."""
    answers: dict[int, Image | MissingImage] = {}
    for rows, drawn in parts.items():
        answers |= zip(rows, (image for pictures in drawn for image in pictures()), strict=True)
    return [answers[row] for row in sorted(answers)]
