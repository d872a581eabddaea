"""How a pipeline is laid out on a device that is too small, decided from sizes alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from aes_audit.generators.memory import MemoryPlan, apply, plan_memory, weight_bytes

GIB = 2**30
MEGAPIXEL = 1024 * 1024
# Flux in 16 bits: transformer, T5, CLIP, VAE.
FLUX = {"transformer": 22 * GIB, "text_encoder_2": 9 * GIB, "text_encoder": GIB // 4, "vae": GIB // 6}


@pytest.mark.parametrize(
    ("free", "placement"),
    [(80, "whole"), (40, "whole"), (36, "model"), (32, "model"), (24, "sequential"), (4, "sequential")],
)
def test_the_device_holds_as_much_as_fits_beside_the_work(free: int, placement: str) -> None:
    assert plan_memory(FLUX, free * GIB, MEGAPIXEL).placement == placement


def test_the_whole_pipeline_stays_as_soon_as_weights_and_work_fit_to_the_byte() -> None:
    needed = sum(FLUX.values()) + 2 * GIB + 3 * 1024 * MEGAPIXEL
    assert plan_memory(FLUX, needed, MEGAPIXEL) == MemoryPlan("whole", tiling=False)
    assert plan_memory(FLUX, needed - 1, MEGAPIXEL) == MemoryPlan("model", tiling=False)


def test_only_large_images_on_a_short_device_are_decoded_in_tiles() -> None:
    large = 2048 * 2048
    assert not plan_memory(FLUX, 80 * GIB, large).tiling
    assert plan_memory(FLUX, 36 * GIB, large).tiling
    assert not plan_memory(FLUX, 36 * GIB, MEGAPIXEL).tiling


def test_a_user_is_told_what_short_memory_means() -> None:
    assert plan_memory(FLUX, 80 * GIB, MEGAPIXEL).warning is None
    assert plan_memory(FLUX, 36 * GIB, MEGAPIXEL).warning == "memory is short: the device holds one component at a time"
    assert "one layer at a time, which is slow; images are decoded in tiles" in str(
        plan_memory(FLUX, 8 * GIB, 4 * MEGAPIXEL).warning
    )


class Parts:
    """A pipeline as far as its layout goes; it writes down what it is told."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self.said: list[Any] = []
        self.vae = nn.BatchNorm1d(4)
        self.vae.enable_tiling = lambda: self.said.append("tiling")  # type: ignore[assignment]
        self.vae.enable_slicing = lambda: self.said.append("slicing")  # type: ignore[assignment]
        self.components = {"vae": self.vae, "head": nn.Linear(3, 2).half(), "tokenizer": object(), "other": None}

    def to(self, device: str) -> None:
        """Onto the device as a whole."""
        self.said.append(device)

    def enable_model_cpu_offload(self, device: str) -> None:
        """One component at a time."""
        self.said.append(("model", device))

    def enable_sequential_cpu_offload(self, device: str) -> None:
        """One layer at a time."""
        self.said.append(("sequential", device))


def test_sizes_are_those_of_parameters_and_buffers_in_their_precision() -> None:
    # Batch norm: weight, bias, mean and variance of 4 floats, and a counter of 8 bytes; linear: 8 numbers of 2 bytes.
    assert weight_bytes(Parts()) == {"vae": 4 * 4 * 4 + 8, "head": 16}


@pytest.mark.parametrize(
    ("plan", "device", "said"),
    [
        (MemoryPlan("whole", tiling=False), "cpu", ["cpu"]),
        (MemoryPlan("whole", tiling=False), "cuda", ["cuda", "slicing"]),
        (MemoryPlan("model", tiling=False), "cuda", [("model", "cuda"), "slicing"]),
        (MemoryPlan("sequential", tiling=True), "cuda", [("sequential", "cuda"), "slicing", "tiling"]),
    ],
)
def test_a_plan_is_carried_out(plan: MemoryPlan, device: str, said: list[Any]) -> None:
    parts = Parts()
    apply(parts, device, plan)
    assert parts.said == said


def test_a_cpu_is_never_asked_for_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from aes_audit.generators.memory import place

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: pytest.fail("asked"))
    assert place(Parts(), "cpu", MEGAPIXEL) == MemoryPlan("whole", tiling=False)
