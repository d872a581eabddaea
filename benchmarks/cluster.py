"""Print how long a cluster takes for an audit of many models, what it waits for and what that costs: a simulation.

    python benchmarks/cluster.py [--store folder|s3] [--draw SECONDS --score SECONDS --load SECONDS] [--price USD]
                                 [--models 10] [--pairs 10000] [--rewards 8] [--devices 64] [--vary NAME=A,B,...]

The simulation (simulated_cluster.py) does what the engine for Ray does, with rates out of cluster_rates.toml: those
were measured, and the commands stand beside them. `--draw`, `--score` and `--load` replace what was measured of the
models by seconds of another device per image, per image and reward, and for loading a model: then the result is a guess
as good as they are. So it is with `--latency` and `--requests`, which replace the store. `--vary` prints a line for
each value of one of the options. Printed are medians of `--seeds` runs.

Of all device time that is paid for: "works" on images and scores that are kept; "loads" processes and models; "store"
and "tasks" wait for the store and for the driver to hand out work; "lost" went with processes that died; "tail" has
nothing left to do in a stage, "over" has no model left to audit; "driver" are the times when only the driver works,
between the stages. "store busy" is the part of the time in which the store answers somebody. Idle at the end of a
stage: seconds of one device, over all devices, stages and seeds.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from cluster_rates import MEASURED, Rates, assumed_store, read_rates
from cluster_setup import Outcome, Setup, Work
from simulated_cluster import simulated

__all__ = ["PARTS", "limits", "main", "setup_of", "shares"]

PARTS = ("works", "loads", "store", "tasks", "lost", "tail", "over", "driver")


def setup_of(said: argparse.Namespace, rates: Rates) -> Setup:
    """What is to be simulated."""
    drawn, *scored = rates.works
    works = [drawn, *(replace(scored[n % len(scored)], name=_numbered(scored, n)) for n in range(said.rewards))]
    if said.draw is not None:
        works[0] = replace(works[0], seconds=said.draw)
    if said.score is not None:
        works[1:] = [replace(work, name=f"reward {n}", seconds=said.score) for n, work in enumerate(works[1:], 1)]
    if said.load is not None:
        works = [replace(work, load=said.load) for work in works]
    if said.batch is not None:
        works[0] = replace(works[0], batch=said.batch)
    store = rates.stores[said.store]
    if said.latency is not None:
        store = assumed_store(said.latency, said.requests)
    return Setup(
        works,
        said.models,
        2 * said.pairs,
        said.devices,
        said.lanes,
        store,
        rates.driver,
        replace(rates.pool, batches=said.batches, shares=said.shares),
        rates.spread if said.spread is None else said.spread,
        said.uneven,
        said.losses,
        None if said.needed is None else 32,
        None if said.needed is None else 2 * said.needed,
    )


def _numbered(works: Sequence[Work], place: int) -> str:
    lap, place = divmod(place, len(works))
    return works[place].name + (f" {lap + 1}" if lap else "")


def shares(outcome: Outcome, devices: int) -> dict[str, float]:
    """The parts of the device time, which together are all of it."""
    stages = outcome.stages.values()
    paid = devices * outcome.seconds
    found = {
        "works": sum(stage.busy for stage in stages),
        "loads": sum(stage.loading for stage in stages),
        "store": sum(stage.storing for stage in stages),
        "tasks": sum(stage.tasks for stage in stages),
        "lost": sum(stage.lost for stage in stages),
        "tail": sum(stage.tail for stage in stages),
        "over": outcome.over,
    }
    return {**{name: part / paid for name, part in found.items()}, "driver": 1 - sum(found.values()) / paid}


@dataclass(frozen=True)
class Limits:
    """Up to how many devices a stage has no other limit than its devices."""

    store: float
    """With more of them, the store would have to give more than it gives many clients together."""
    driver: float
    """With more of them, the devices wait longer for the driver's own work than they take."""
    tasks: float
    """With more of them, the driver does not hand out tasks as quickly as they are done."""


def limits(setup: Setup, work: Work) -> Limits:
    """Without a simulation: from the rates alone."""
    store = setup.store
    asked = store.absent.shared + (
        store.put_image.shared if work.draws else store.read_image.shared + store.put_scores.shared
    )
    key, found = (
        (setup.driver.image_key, store.look_image) if work.draws else (setup.driver.score_key, store.look_scores)
    )
    alone = key + max(store.absent.alone, store.absent.shared) + max(found.alone, found.shared)
    size = setup.pool.size(math.ceil(setup.images / work.batch), setup.devices // setup.lanes)
    handed = setup.pool.task / (size * work.batch)
    return Limits(*(work.seconds / each if each else math.inf for each in (asked, alone, handed)))


def _stages(setup: Setup, outcomes: Sequence[Outcome]) -> Iterator[str]:
    heads = ["stage", "seconds per image", "devices until the store is full", "until the driver takes as long"]
    yield f"| {' | '.join(heads)} | until handing out is full | hours |"
    yield "|---" * (len(heads) + 2) + "|"
    for work in setup.works:
        bound = limits(setup, work)
        hours = statistics.median(outcome.stages[work.name].elapsed for outcome in outcomes) / 3600
        most = " | ".join(f"{each:,.0f}" for each in (bound.store, bound.driver, bound.tasks))
        yield f"| {work.name} | {work.seconds:.3f} | {most} | {hours:.2f} |"


def _line(name: str, setup: Setup, outcomes: Sequence[Outcome], price: float | None) -> str:
    hours = [outcome.seconds / 3600 for outcome in outcomes]
    parts = [shares(outcome, setup.devices) for outcome in outcomes]
    middle = [f"{statistics.median(part[each] for part in parts):.1%}" for each in PARTS]
    busy = statistics.median(
        sum(stage.store for stage in outcome.stages.values()) / outcome.seconds for outcome in outcomes
    )
    idle = np.percentile(
        [each for outcome in outcomes for stage in outcome.stages.values() for each in stage.idle], [50, 90, 99]
    )
    paid = statistics.median(hours) * setup.devices
    money = "" if price is None else f" {paid * price:,.0f} |"
    return (
        f"| {name} | {statistics.median(hours):.2f} ({min(hours):.2f} to {max(hours):.2f}) | "
        f"{' | '.join(middle)} | {busy:.0%} | {' / '.join(f'{each:,.1f}' for each in idle)} | {paid:,.0f} |{money}"
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--rates", type=Path, default=MEASURED, help="a file like cluster_rates.toml")
    found.add_argument("--store", default="folder", help="which of its stores")
    found.add_argument("--draw", type=float, metavar="SECONDS", help="per image")
    found.add_argument("--score", type=float, metavar="SECONDS", help="per image and reward")
    found.add_argument("--load", type=float, metavar="SECONDS", help="per process and model")
    found.add_argument("--batch", type=int, help="images that are drawn at once")
    found.add_argument("--latency", type=float, metavar="SECONDS", help="of a request, instead of --store")
    found.add_argument(
        "--requests", type=float, default=3500, metavar="PER_SECOND", help="with --latency: of all clients"
    )
    found.add_argument("--models", type=int, default=10)
    found.add_argument("--pairs", type=int, default=10_000)
    found.add_argument("--rewards", type=int, default=8)
    found.add_argument("--devices", type=int, default=64)
    found.add_argument("--lanes", type=int, default=1, help="models at once, each on its part of the devices")
    found.add_argument("--batches", type=int, help="in a task; default: as the engine for Ray chooses")
    found.add_argument("--shares", type=int, default=4, help="tasks per process from which it chooses")
    found.add_argument("--spread", type=float, help="of the time of a batch, as a part of its mean")
    found.add_argument("--uneven", type=float, default=0.05, help="the same for devices")
    found.add_argument("--losses", type=float, default=0.0, help="of processes, per device and hour")
    found.add_argument("--needed", type=int, metavar="PAIRS", help="after which early stopping settles the verdict")
    found.add_argument("--seeds", type=int, default=20)
    found.add_argument("--price", type=float, metavar="USD", help="of a device, per hour")
    found.add_argument("--vary", metavar="NAME=A,B,...", help="one of the options above, and its values")
    return found


def _varied(said: argparse.Namespace, options: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Namespace]]:
    if said.vary is None:
        yield "", said
        return
    name, _, values = said.vary.partition("=")
    for value in values.split(","):
        yield f"{name}={value}", options.parse_args([f"--{name}", value], argparse.Namespace(**vars(said)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate and print tables in Markdown."""
    options = parser()
    said = options.parse_args(arguments)
    runs = []
    for name, each in _varied(said, options):
        setup = setup_of(each, read_rates(each.rates))
        runs.append((name, setup, [simulated(setup, seed) for seed in range(each.seeds)], each.price))
    if said.vary is None:
        print("\n".join(_stages(runs[0][1], runs[0][2])), end="\n\n")
    heads = ["", "hours", *PARTS, "store busy", "idle at the end, s: 50 / 90 / 99%", "device-hours"]
    heads += ["USD"] if said.price is not None else []
    print(f"| {' | '.join(heads)} |\n" + "|---" * len(heads) + "|")
    for name, setup, outcomes, price in runs:
        print(_line(name, setup, outcomes, price), flush=True)


if __name__ == "__main__":
    main()
