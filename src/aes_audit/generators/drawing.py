"""Drawing with a loaded pipeline: every image from its own seed, whatever else is in its batch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from aes_audit.errors import InfrastructureError
from aes_audit.generators.image_checks import picture
from aes_audit.generators.memory import halves
from aes_audit.generators.prompt_notes import prompt_notes
from aes_audit.generators.protocol import ImageRequest, MissingImage
from aes_audit.generators.text_encoding import text_encoding
from aes_audit.weights.loading import first_line, quiet_libraries

if TYPE_CHECKING:
    from PIL.Image import Image

    from aes_audit.generators.resolve import DiffusersModel

__all__ = ["DiffusersGenerator"]


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

    def generate(self, requests: Sequence[ImageRequest]) -> list[Image | MissingImage]:
        """One RGB image per request, in order; frames that hold no picture are MissingImage.

        All requests go through the pipeline as one batch, prompts of another length of embedding (SDXL beyond 77
        tokens) as a batch of their own. A batch that does not fit into memory is drawn in halves, with a warning.
        Raises InfrastructureError when the pipeline fails.
        """
        answers: dict[int, Image | MissingImage] = {}
        with quiet_libraries():
            for length, rows in self._by_length(requests).items():
                drawn = self._draw([requests[row] for row in rows], length)
                answers |= zip(rows, drawn, strict=True)
        return [answers[row] for row in range(len(requests))]

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

    def _draw(self, requests: Sequence[ImageRequest], length: int) -> list[Image | MissingImage]:
        if self._fits is not None and len(requests) > self._fits:
            return self._draw_halves(requests, length)
        try:
            return self._pictures(requests, length)
        except torch.OutOfMemoryError as error:
            if len(requests) == 1:
                raise InfrastructureError(
                    f"{self.model.name}: not even one image fits into the memory of {self.model.device}: "
                    "free it, or ask for smaller images or another dtype."
                ) from error
        except (RuntimeError, ValueError, TypeError) as error:
            failed = f"{self.model.name}: generating {len(requests)} images failed"
            raise InfrastructureError(f"{failed}: {first_line(error)}") from error
        # Outside of the handler: the error holds the tensors of the batch that failed.
        self._fits, _ = halves(len(requests))
        warnings.warn(
            f"{self.model.name}: {len(requests)} images did not fit into memory and are drawn in batches of at most "
            f"{self._fits}; pixels may differ by rounding, --audit-batch-size={self._fits} makes that the plan",
            stacklevel=2,
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return self._draw_halves(requests, length)

    def _draw_halves(self, requests: Sequence[ImageRequest], length: int) -> list[Image | MissingImage]:
        first, _ = halves(len(requests))
        return self._draw(requests[:first], length) + self._draw(requests[first:], length)

    def _pictures(self, requests: Sequence[ImageRequest], length: int) -> list[Image | MissingImage]:
        # Noise is drawn on the CPU, one generator per request: the image does not depend on batch or device count.
        noise = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
        with torch.inference_mode():
            texts = self._text_arguments([request.prompt for request in requests], length)
            output = self._run(requests, {**texts, "generator": noise, "output_type": "np", **self._call})
        unsafe = getattr(output, "nsfw_content_detected", None) or [False] * len(requests)
        return [picture(frame, unsafe=bool(hidden)) for frame, hidden in zip(output.images, unsafe, strict=True)]

    def _run(self, requests: Sequence[ImageRequest], arguments: Mapping[str, Any]) -> Any:
        """The one call of the pipeline."""
        return self.pipeline(**arguments)

    def _text_arguments(self, prompts: list[str], length: int) -> dict[str, Any]:
        if self._texts is not None:
            return self._texts.arguments(prompts, length)
        negative = {} if self._negative is None else {"negative_prompt": [self._negative] * len(prompts)}
        return {"prompt": prompts, **negative}
