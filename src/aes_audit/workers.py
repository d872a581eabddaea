"""Workers of pytest-xdist: how many `-n auto` means, and what each of them may use of the machine. Imports no xdist."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from aes_audit.accelerators import VISIBLE, installed_gpus, visible_devices
from aes_audit.device import pick_device
from aes_audit.errors import UsageError
from aes_audit.options import AuditConfig, names_audits, read_config

__all__ = ["Workers", "auto_workers", "refuse_several_drivers"]

THREADS = "OMP_NUM_THREADS"


def auto_workers(pytest_config: pytest.Config) -> int | None:
    """What `-n auto` means where audits run: one worker per device; None leaves it to xdist.

    A CPU is one device: workers that shared it would have fewer threads each, on which the last digits of what is
    computed there depend. 0, which is no worker, where an engine spreads every model by itself.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    try:
        config = read_config(pytest_config)
    except UsageError:
        # The run ends with this sentence as soon as it is configured.
        return None
    if config.evidence or not (config.names_subjects or names_audits(pytest_config)):
        return None
    if not _is_local(config):
        return 0
    return max(1, len(_devices(pick_device(config.device))))


def refuse_several_drivers(config: AuditConfig) -> None:
    """Raise UsageError where several workers would each drive an engine that spreads every model by itself."""
    if not _is_local(config):
        raise UsageError(
            f"--engine={config.engine} spreads every model over its own processes, and each worker would start them "
            "again: drop -n."
        )


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of a run, and what the machine has for them."""

    count: int
    """How many there are on this machine."""
    device: str
    """Where models run: cpu, cuda or mps."""
    devices: tuple[str, ...]
    """What CUDA_VISIBLE_DEVICES is for each device; none for those of another kind, and where nobody knows them."""
    threads: int | None
    """Threads of each worker's kernels; None where the user has set OMP_NUM_THREADS."""

    @classmethod
    def of(cls, count: int, device: str, subjects: int) -> Workers:
        """Share the machine among the workers that will have one of so many subjects."""
        busy = max(1, min(count, subjects))
        threads = None if THREADS in os.environ else max(1, _processors() // busy)
        return cls(count, device, _devices(device), threads)

    def environment(self, place: int) -> Mapping[str, str]:
        """What is set for the worker at this place, from 0: its own device, or one that it shares."""
        device = {VISIBLE: self.devices[place % len(self.devices)]} if self.devices else {}
        return device if self.threads is None else {**device, THREADS: str(self.threads)}

    def equip(self, specs: Sequence[Any]) -> None:
        """Write it into specifications of execnet.

        A worker has it before it imports anything, and so has the one that takes its place when it dies.
        """
        for place, spec in enumerate(specs):
            spec.env = {**self.environment(place), **spec.env}

    @property
    def header(self) -> str:
        """Who gets what, in a line."""
        number = len(self.devices)
        if not number:
            threads = "" if self.threads is None else f", threads of each: {self.threads}"
            return f"  workers: {self.count} on {self.device}{threads}"
        devices = f"{number} {'device' if number == 1 else 'devices'}"
        if self.count > number:
            return f"  workers: {self.count} on {devices}, which they share"
        return f"  workers: {'' if self.count == number else f'{self.count} of '}{devices}, one worker each"


def _is_local(config: AuditConfig) -> bool:
    return config.engine.name == "local"


def _devices(device: str) -> tuple[str, ...]:
    return visible_devices(os.environ, installed_gpus()) if device == "cuda" else ()


def _processors() -> int:
    """Those that this process may use, where the system can say it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
