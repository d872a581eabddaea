"""Where the parts of a pipeline stay when an accelerator is too small for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

__all__ = ["MemoryPlan", "free_cached", "halves", "place", "plan_memory", "weight_bytes"]

_WORKSPACE = 2 * 2**30
_PER_PIXEL = 3 * 2**10
_LARGE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a pipeline is laid out."""

    placement: Literal["whole", "model", "sequential"]
    """All of it on the device, one component at a time, or one layer at a time (slow)."""
    tiling: bool
    """Whether the VAE decodes large images in overlapping tiles, which may show in the pixels."""

    @property
    def warning(self) -> str | None:
        """What a user should know, None for a pipeline that fits."""
        if self.placement == "whole":
            return None
        what = {"model": "one component at a time", "sequential": "one layer at a time, which is slow"}[self.placement]
        tiles = "; images are decoded in tiles" if self.tiling else ""
        return f"memory is short: the device holds {what}{tiles}"


def plan_memory(components: Mapping[str, int], free: int, pixels: int) -> MemoryPlan:
    """The layout for components of these sizes (bytes) on a device with `free` bytes, for images of `pixels`.

    Beside the weights 2 GiB are kept for activations and 3 KiB per pixel for decoding one image, which is about what a
    1024 x 1024 image takes from the VAEs of SDXL, SD3 and Flux in 16 bits.
    """
    working = _WORKSPACE + _PER_PIXEL * pixels
    if sum(components.values()) + working <= free:
        return MemoryPlan("whole", tiling=False)
    largest = max(components.values(), default=0)
    return MemoryPlan("model" if largest + working <= free else "sequential", tiling=pixels > _LARGE)


def weight_bytes(pipeline: Any) -> dict[str, int]:
    """Component -> bytes of its parameters and buffers, as loaded: merged adapters and overrides included."""
    return {
        name: sum(tensor.nbytes for tensor in (*part.parameters(), *part.buffers()))
        for name, part in pipeline.components.items()
        if isinstance(part, torch.nn.Module)
    }


def place(pipeline: Any, device: str, pixels: int) -> MemoryPlan:
    """Put the pipeline on `device`, in parts where it does not fit; returns the layout."""
    plan = MemoryPlan("whole", tiling=False)
    if device == "cuda":
        plan = plan_memory(weight_bytes(pipeline), torch.cuda.mem_get_info()[0], pixels)
    apply(pipeline, device, plan)
    return plan


def apply(pipeline: Any, device: str, plan: MemoryPlan) -> None:
    """Lay the pipeline out as planned."""
    if plan.placement == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif plan.placement == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)
    vae: Any = getattr(pipeline, "vae", None)
    # Decoding is the peak of memory; one image after the other takes hardly longer on an accelerator.
    if device != "cpu" and hasattr(vae, "enable_slicing"):
        vae.enable_slicing()
    if plan.tiling and hasattr(vae, "enable_tiling"):
        vae.enable_tiling()


def free_cached() -> None:
    """Give back what an accelerator keeps for later: it may lie in pieces that are too small."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def halves(count: int) -> tuple[int, int]:
    """A batch of `count` images taken apart after it did not fit into memory."""
    return (count + 1) // 2, count // 2
