"""The accelerators that a process may use, by the driver's files and CUDA_VISIBLE_DEVICES. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

__all__ = ["DRIVER", "VISIBLE", "Gpu", "device_model", "installed_gpus", "visible_devices"]

DRIVER = Path("/proc/driver/nvidia")
"""Where NVIDIA's driver shows what it has found; a container is shown the devices that were given to it."""

VISIBLE = "CUDA_VISIBLE_DEVICES"

_NUMBER = re.compile(r"[+-]?\d+")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor as its driver describes it."""

    model: str
    """What it is sold as: `NVIDIA H100 80GB HBM3`."""
    uuid: str
    """`GPU-` and its digits; with question marks until the driver has first spoken to it."""


def installed_gpus(driver: Path = DRIVER) -> tuple[Gpu, ...]:
    """Every processor that the driver offers, in the order of the bus; none where there is no such driver."""
    described = [_fields(file.read_text()) for file in sorted(driver.glob("gpus/*/information"))]
    offered = [found for found in described if found.get("GPU Excluded") != "Yes"]
    return tuple(Gpu(found.get("Model", "unknown"), found.get("GPU UUID", "")) for found in offered)


def _fields(text: str) -> dict[str, str]:
    lines = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def visible_devices(environment: Mapping[str, str], gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """What CUDA_VISIBLE_DEVICES is to be for each single device that this environment leaves visible.

    The rules are CUDA's (programming guide, "CUDA Environment Variables"): numbers, or UUIDs and beginnings of them;
    what follows an entry that names no device is invisible, and a device named twice leaves none.
    Where the variable is not set, devices are named by UUID: what a number means depends on CUDA_DEVICE_ORDER.
    """
    listed = environment.get(VISIBLE)
    if listed is None:
        return tuple(gpu.uuid if _are_named(gpus) else str(number) for number, gpu in enumerate(gpus))
    entries = listed.split(",")
    if listed.startswith("GPU-"):
        parts = _distinct(takewhile(lambda entry: entry.startswith("GPU-"), entries))
        return _distinct(takewhile(bool, (_full(entry, gpus) for entry in parts)))
    if listed.startswith("MIG-"):
        return _distinct(takewhile(lambda entry: entry.startswith("MIG-"), entries))
    # Without the driver's files nobody knows how many there are. A number that is too large is still a number: one that
    # is named twice counts behind it, too.
    known = {str(number) for number in range(len(gpus))}
    named = _distinct(map(str, takewhile(lambda number: number >= 0, map(_number, entries))))
    return tuple(takewhile(lambda number: not known or number in known, named))


def device_model(environment: Mapping[str, str], gpus: Sequence[Gpu]) -> str:
    """The model of the device that this environment makes CUDA's first; all models where it might be any of several.

    By number it is certain only with CUDA_DEVICE_ORDER=PCI_BUS_ID: by default, CUDA counts from the fastest.
    """
    models = sorted({gpu.model for gpu in gpus})
    listed = environment.get(VISIBLE, "")
    first = next(iter(visible_devices(environment, gpus)), "")
    ordered = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if listed.startswith("GPU-") or ordered:
        models = [gpu.model for n, gpu in enumerate(gpus) if first in (gpu.uuid, str(n))] or models
    slice_ = " MIG" if listed.startswith("MIG-") else ""
    return f"{', '.join(models) or 'unknown'}{slice_}"


def _are_named(gpus: Sequence[Gpu]) -> bool:
    return all(gpu.uuid.startswith("GPU-") and "?" not in gpu.uuid for gpu in gpus)


def _full(entry: str, gpus: Sequence[Gpu]) -> str:
    """The UUID that an entry begins; empty where it begins none, or several."""
    if not gpus or not _are_named(gpus):
        return entry
    found = [gpu.uuid for gpu in gpus if gpu.uuid.startswith(entry)]
    return found[0] if len(found) == 1 else ""


def _number(entry: str) -> int:
    """The number that an entry begins with, as C reads it; -1 where it begins with none."""
    found = _NUMBER.match(entry.strip())
    return int(found[0]) if found else -1


def _distinct(devices: Iterable[str]) -> tuple[str, ...]:
    found = tuple(devices)
    return found if len(set(found)) == len(found) else ()
