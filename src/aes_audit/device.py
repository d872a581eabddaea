"""Where models run, decided without importing torch, and checked once torch is there."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from aes_audit.errors import InfrastructureError

__all__ = ["check_device", "default_dtype", "pick_device"]


def pick_device(wanted: str) -> str:
    """`cpu`, `cuda` or `mps`; `auto` looks for the driver, which costs nothing."""
    if wanted != "auto":
        return wanted
    if Path("/proc/driver/nvidia/version").exists():
        return "cuda"
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


def default_dtype(device: str) -> str:
    """bfloat16 on an accelerator, float32 on a CPU: the precision of a model that declares none."""
    return "float32" if device == "cpu" else "bfloat16"


def check_device(device: str) -> None:
    """Raises InfrastructureError when torch cannot use the device that keys were computed for."""
    import torch

    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable[device]:
        raise InfrastructureError(f"torch {torch.__version__} cannot use device {device!r}: pass --audit-device=cpu.")
