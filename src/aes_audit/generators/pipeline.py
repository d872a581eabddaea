"""Diffusers pipelines: loading from safetensors, adapters fused, images from per-item seeds."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import numpy as np
import torch
from PIL import Image

from aes_audit.device import check_device
from aes_audit.errors import InfrastructureError
from aes_audit.generators.protocol import ImageRequest, MissingImage
from aes_audit.generators.resolve import LORA_MARKER, PIPELINE_MARKER, DiffusersModel
from aes_audit.weights.loading import first_line, loading, refuse_empty_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DiffusersGenerator", "load_pipeline"]


@dataclass(frozen=True, slots=True)
class DiffusersGenerator:
    """A loaded pipeline that draws every request from its own seed."""

    pipeline: Any
    """The diffusers pipeline, on its device."""
    model: DiffusersModel
    """What was loaded, with the settings of every call."""

    def generate(self, requests: Sequence[ImageRequest]) -> list[Image.Image | MissingImage]:
        """One RGB image per request, in order; frames that hold no picture are MissingImage.

        All requests go through the pipeline as one batch. Raises InfrastructureError when it fails.
        """
        # Noise is drawn on the CPU, one generator per request: the image does not depend on batch or device count.
        noise = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
        prompts = [request.prompt for request in requests]
        try:
            with torch.inference_mode():
                frames = self.pipeline(prompts, generator=noise, output_type="np", **self.model.settings.call).images
        except (RuntimeError, ValueError, TypeError) as error:
            failed = f"{self.model.name}: generating {len(prompts)} images failed"
            raise InfrastructureError(f"{failed}: {first_line(error)}") from error
        return [_picture(frame) for frame in frames]


def load_pipeline(model: DiffusersModel) -> DiffusersGenerator:
    """Load a pinned model onto its device; raises InfrastructureError naming the model and the cause."""
    check_device(model.device)
    with loading(model.name):
        pipeline = _from_folder(model.weights.folder(), getattr(torch, model.dtype))
        for name, component in pipeline.components.items():
            if name.startswith("tokenizer") and component is not None:
                refuse_empty_tokenizer(f"{model.name}, {name}", component)
        for lora in model.loras:
            _fuse(pipeline, lora.folder())
        pipeline.to(model.device)
    pipeline.set_progress_bar_config(disable=True)
    return DiffusersGenerator(pipeline, model)


def _from_folder(folder: Path, dtype: torch.dtype) -> Any:
    absent = dict.fromkeys(_absent_components(folder))
    return diffusers.DiffusionPipeline.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True, **absent
    )


def _absent_components(folder: Path) -> list[str]:
    """Components that the pipeline class expects and the folder leaves out, as SD3 folders without T5 do."""
    index = json.loads((folder / PIPELINE_MARKER).read_text(encoding="utf-8"))
    pipeline_class = getattr(diffusers, index["_class_name"], None)
    if pipeline_class is None:
        raise InfrastructureError(f"{folder}: diffusers {diffusers.__version__} has no {index['_class_name']}.")
    expected = set(inspect.signature(pipeline_class.__init__).parameters) - {"self", "args", "kwargs"}
    optional = set(pipeline_class._optional_components) | {"text_encoder_3", "tokenizer_3"}
    return sorted(name for name in expected & optional if index.get(name, [None])[0] is None)


def _fuse(pipeline: Any, folder: Path) -> None:
    # Fused weights cost nothing at every step, and one adapter after the other cannot mix up scales.
    pipeline.load_lora_weights(folder, weight_name=LORA_MARKER, use_safetensors=True, local_files_only=True)
    if not any(pipeline.get_list_adapters().values()):
        # diffusers only warns; the model without its adapter would be audited under the adapter's name.
        raise InfrastructureError(f"{folder}: no weight of {LORA_MARKER} belongs to a {type(pipeline).__name__}.")
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()


def _picture(frame: NDArray[np.float32]) -> Image.Image | MissingImage:
    """`frame`: height x width x 3 in [0, 1]."""
    if not np.isfinite(frame).all():
        return MissingImage("the pipeline returned NaN or infinite pixels")
    pixels = np.rint(frame * 255).clip(0, 255).astype(np.uint8)
    if pixels.min() == pixels.max():
        return MissingImage(f"the pipeline returned a constant frame (every value is {int(pixels.flat[0])})")
    return Image.fromarray(pixels)
