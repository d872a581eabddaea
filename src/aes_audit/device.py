"""Where models run, decided without importing torch, and checked once torch is there."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from aes_audit.errors import InfrastructureError

__all__ = ["check_device", "default_dtype", "device_class", "pick_device"]


_GPUS = Path("/proc/driver/nvidia/gpus")


def pick_device(wanted: str) -> str:
    """`cpu`, `cuda` or `mps`; `auto` looks for the driver, which costs nothing."""
    if wanted != "auto":
        return wanted
    if Path("/proc/driver/nvidia/version").exists():
        return "cuda"
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


def device_class(device: str) -> str:
    """The kind of hardware behind a device, as baselines name it: `cpu (x86_64)`, `cuda (NVIDIA H100 80GB HBM3)`.

    Reads the driver's files, so that a run that only reads its store need not import torch.
    """
    if device != "cuda":
        return f"{device} ({platform.machine()})"
    lines = [line for file in _GPUS.glob("*/information") for line in file.read_text().splitlines()]
    models = sorted({line.partition(":")[2].strip() for line in lines if line.startswith("Model:")})
    return f"cuda ({', '.join(models) or 'unknown'})"


def default_dtype(device: str) -> str:
    """bfloat16 on an accelerator, float32 on a CPU: the precision of a model that declares none."""
    return "float32" if device == "cpu" else "bfloat16"


def check_device(device: str) -> None:
    """Raises InfrastructureError when torch cannot use the device that keys were computed for."""
    import torch

    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable[device]:
        raise InfrastructureError(f"torch {torch.__version__} cannot use device {device!r}: pass --audit-device=cpu.")
