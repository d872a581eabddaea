"""Where models run, decided without importing torch, and checked once torch is there."""

from __future__ import annotations

import os
import platform
import sys

from aes_audit.accelerators import DRIVER, VISIBLE, device_model, installed_gpus, visible_devices
from aes_audit.errors import InfrastructureError

__all__ = ["check_device", "default_dtype", "device_class", "pick_device"]


def pick_device(wanted: str) -> str:
    """`cpu`, `cuda` or `mps`; `auto` looks for the driver and what it may show, which costs nothing."""
    if wanted != "auto":
        return wanted
    if (DRIVER / "version").exists():
        hidden = VISIBLE in os.environ and not visible_devices(os.environ, installed_gpus())
        return "cpu" if hidden else "cuda"
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


def device_class(device: str) -> str:
    """The kind of hardware behind a device, as baselines name it: `cpu (x86_64)`, `cuda (NVIDIA H100 80GB HBM3)`.

    Reads the driver's files, so that a run that only reads its store need not import torch.
    """
    if device != "cuda":
        return f"{device} ({platform.machine()})"
    return f"cuda ({device_model(os.environ, installed_gpus())})"


def default_dtype(device: str) -> str:
    """bfloat16 on an accelerator, float32 on a CPU: the precision of a model that declares none."""
    return "float32" if device == "cpu" else "bfloat16"


def check_device(device: str) -> None:
    """Raises InfrastructureError when torch cannot use the device that keys were computed for."""
    import torch

    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable[device]:
        raise InfrastructureError(f"torch {torch.__version__} cannot use device {device!r}: pass --audit-device=cpu.")
