"""What the simulation of a cluster goes by: measured numbers in a file, each with the command that measured it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster_setup import Cost, Driver, Pool, StoreRates, Work

__all__ = ["MEASURED", "Rates", "assumed_store", "read_rates"]

AT_ONCE = 32
"""Requests of a client that object storage has under way (evidence/storage/objects.py)."""

MEASURED = Path(__file__).with_name("cluster_rates.toml")


@dataclass(frozen=True, slots=True)
class Rates:
    """Everything that is measured and not chosen."""

    stores: Mapping[str, StoreRates]
    """By name."""
    driver: Driver
    """Seconds."""
    pool: Pool
    """Seconds."""
    works: Sequence[Work]
    """A generator and the rewards."""
    spread: float
    """Of batches."""


def read_rates(path: Path = MEASURED) -> Rates:
    """The numbers of a file as the simulation takes them."""
    said: Mapping[str, Any] = tomllib.loads(path.read_text())
    stores = {name: _store(each) for name, each in said["store"].items()}
    micro = {name: value * 1e-6 for name, value in said["driver"].items() if name != "command"}
    pool = {name: value for name, value in said["ray"].items() if name != "command"}
    generator = said["generator"]
    works = [Work("images", generator["seconds"], generator["load"], generator["batch"], draws=True)]
    works += [
        Work(name, 1 / rate, said["rewards"]["load"]) for name, rate in said["rewards"]["images_per_second"].items()
    ]
    return Rates(stores, Driver(**micro), Pool(**pool, batches=None, ahead=2), works, generator["spread"])


def assumed_store(latency: float, requests: float) -> StoreRates:
    """Object storage that takes `latency` seconds for a request and so many requests in a second from all together."""

    def cost(asked: int, at_once: int) -> Cost:
        return Cost(asked * latency / at_once, asked / requests)

    # An image is put as file and record, and looked up as record and length; all else is one request.
    several, one = cost(2, AT_ONCE), cost(1, AT_ONCE)
    return StoreRates(cost(2, 1), one, one, several, one, one)


def _store(said: Mapping[str, Any]) -> StoreRates:
    """Per kind of object, how many there are in a second: for one client, and for many together."""
    costs = {name: Cost(1 / alone, 1 / together) for name, (alone, together) in said["per_second"].items()}
    return StoreRates(**costs)
