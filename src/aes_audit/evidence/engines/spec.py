"""What `--engine` may say, taken apart: NAME [ "[" OPTION "=" VALUE { "," OPTION "=" VALUE } "]" ]. Imports no Ray."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

__all__ = ["ENGINES", "EngineSpec", "RaySettings", "parse_engine"]

_SPEC = re.compile(r"(?P<name>[^\[\]]*)(?:\[(?P<options>.*)\])?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine and what was said about it."""

    name: str
    """One of ENGINES."""
    options: Mapping[str, str | int | float] = field(default_factory=dict)
    """What stands in brackets, read; fields of RaySettings for `ray`."""

    def __str__(self) -> str:
        said = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}[{said}]" if said else self.name


@dataclass(frozen=True, slots=True)
class RaySettings:
    """The options of `ray`."""

    address: str | None = None
    """Of an existing cluster: HOST:PORT of its head, or `auto` for the one that this machine belongs to. None takes
    RAY_ADDRESS, and where that is not set starts a cluster on this machine."""
    actors: int | None = None
    """Processes that work at once; None takes as many as the cluster has room for."""
    gpus: float | None = None
    """GPUs of a process that draws; None means one where the model runs on CUDA, else none."""
    reward_gpus: float | None = None
    """GPUs of a process that scores; None means as many as one that draws."""
    cpus: float | None = None
    """CPUs of each process, and threads of its kernels unless OMP_NUM_THREADS says otherwise. None means one beside a
    GPU; without a GPU all of a node and the driver's number of threads, on which the last digits depend."""


def parse_engine(text: str) -> EngineSpec:
    """Take a value of `--engine` apart; raises argparse.ArgumentTypeError with what would have worked."""
    match = _SPEC.fullmatch(text)
    if match is None or match["name"] not in ENGINES:
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: choose {', '.join(ENGINES)}, with options in brackets, as 'ray[actors=2]'"
        )
    known, options = ENGINES[match["name"]], dict[str, str | int | float]()
    for part in (match["options"] or "").split(",") if match["options"] is not None else ():
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in known or not value or name in options:
            choices = ", ".join(f"{each}=" for each in known) or "none"
            raise argparse.ArgumentTypeError(
                f"invalid value {text!r}: {part.strip()!r} is no option of {match['name']}, or said twice; "
                f"options are {choices}"
            )
        try:
            options[name] = known[name](value)
        except ValueError as wrong:
            raise argparse.ArgumentTypeError(f"invalid value {text!r}: {name}={value} {wrong}") from None
    return EngineSpec(match["name"], options)


def _address(text: str) -> str:
    if "://" in text:
        # Behind a Ray client the driver would run elsewhere, and the bars and the store with it.
        raise ValueError("is a client's address: give HOST:PORT of the cluster's head, from a machine of the cluster")
    if text != "auto" and not re.fullmatch(r".+:[0-9]+", text):
        raise ValueError("is no address: give HOST:PORT of the cluster's head, or auto")
    return text


def _processes(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("is no number of processes: give 1 or more")
    return int(text)


def _gpus(text: str) -> float:
    count = _number(text)
    if count > 1 and count != int(count):
        raise ValueError("is no share of GPUs: give 0 to 1, or a whole number")
    return count


def _cpus(text: str) -> float:
    count = _number(text)
    if not count:
        raise ValueError("is no number of CPUs: give more than 0")
    return count


def _number(text: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?|\.[0-9]+", text):
        raise ValueError("is no number: write it as 2 or 0.25")
    return float(text)


_RAY: Mapping[str, Callable[[str], str | int | float]] = {
    "address": _address,
    "actors": _processes,
    "gpus": _gpus,
    "reward_gpus": _gpus,
    "cpus": _cpus,
}
assert list(_RAY) == [each.name for each in fields(RaySettings)]

ENGINES: Mapping[str, Mapping[str, Callable[[str], str | int | float]]] = {"local": {}, "ray": _RAY}
"""Engine -> its options and who reads them."""
