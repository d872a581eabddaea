"""How fast models are: timed at the end of every stage, kept in the store by model and kind of device."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aes_audit.device import device_class
from aes_audit.evidence.keys import digest
from aes_audit.evidence.store import Store

__all__ = ["ELSEWHERE", "Rate", "Stopwatch", "better_known", "device_of", "keep_rate", "known_rate"]

_FORMAT = 1

ELSEWHERE = "elsewhere"
"""The device of a model that runs behind an endpoint, or does not say where it runs."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Everything that was timed so far; the mean is what a plan goes by."""

    items: int
    """Images drawn, or images shown to a scorer."""
    seconds: float
    """What they took, without loading the model."""
    files: int = 0
    """Image files written."""
    bytes: int = 0
    """Their length."""

    @classmethod
    def read(cls, record: object) -> Rate | None:
        """A rate as it was kept; None for anything else."""
        found = record if isinstance(record, dict) else {}
        items, seconds, files, bytes_ = (found.get(name) for name in ("items", "seconds", "files", "bytes"))
        if not (isinstance(items, int) and isinstance(files, int) and isinstance(bytes_, int)):
            return None
        return cls(items, seconds, files, bytes_) if items > 0 and isinstance(seconds, float) else None

    @property
    def record(self) -> Mapping[str, int | float]:
        """As it is kept."""
        return {"items": self.items, "seconds": self.seconds, "files": self.files, "bytes": self.bytes}

    @property
    def bytes_per_file(self) -> float | None:
        """Mean length of an image file; None where none was written."""
        return self.bytes / self.files if self.files else None

    def __add__(self, other: Rate) -> Rate:
        """Both together."""
        return Rate(
            self.items + other.items,
            self.seconds + other.seconds,
            self.files + other.files,
            self.bytes + other.bytes,
        )


def device_of(model: object) -> str:
    """The kind of hardware a pinned model runs on, or ELSEWHERE."""
    # An editor runs where the model runs that it is made of.
    device = getattr(model, "device", None) or getattr(getattr(model, "model", None), "device", None)
    return device_class(device) if isinstance(device, str) else ELSEWHERE


def known_rate(store: Store, identity: Mapping[str, Any], device: str) -> Rate | None:
    """What was timed of a model of this identity on this kind of device; None where nothing was."""
    return _devices(store.rate(_key(identity))).get(device)


def better_known(kept: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Of two records of one model, per device the rate that more images were timed for."""
    first, second = _devices(kept), _devices(other)
    best = {
        device: max((rate for rate in (first.get(device), second.get(device)) if rate), key=lambda rate: rate.items)
        for device in {**first, **second}
    }
    return _record(best)


@dataclass
class Stopwatch:
    """Times a model at work; it runs from `start` to `stop`, as often as there is something to do."""

    items: int = 0
    """Images so far."""
    files: int = 0
    """Image files written so far."""
    bytes: int = 0
    """Their length."""
    _seconds: float = field(default=0.0, init=False)
    _started: float | None = field(default=None, init=False)

    def start(self) -> None:
        """The model is loaded; does nothing when it runs already."""
        self._started = time.perf_counter() if self._started is None else self._started

    def stop(self) -> None:
        """Nothing is to be done for now."""
        if self._started is not None:
            self._seconds += time.perf_counter() - self._started
            self._started = None

    @property
    def rate(self) -> Rate:
        """What was timed until it last stopped."""
        return Rate(self.items, self._seconds, self.files, self.bytes)


def keep_rate(store: Store, identity: Mapping[str, Any], device: str, timed: Rate) -> None:
    """Add what was timed to what is known; nothing where the model had nothing to do. Raises StoreUnusable."""
    if not timed.items:
        return
    key = _key(identity)
    devices = _devices(store.rate(key))
    before = devices.get(device)
    store.put_rate(key, _record({**devices, device: before + timed if before else timed}))


def _key(identity: Mapping[str, Any]) -> str:
    return digest({"rate": _FORMAT, "model": dict(identity)})


def _devices(record: Mapping[str, Any] | None) -> dict[str, Rate]:
    found = (record or {}).get("devices")
    rates = {device: Rate.read(each) for device, each in (found if isinstance(found, dict) else {}).items()}
    return {device: rate for device, rate in rates.items() if rate is not None}


def _record(devices: Mapping[str, Rate]) -> Mapping[str, Any]:
    return {"devices": {device: dict(rate.record) for device, rate in devices.items()}}
