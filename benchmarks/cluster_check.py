"""Print what the simulation of a cluster predicts for runs that this machine can make, and what they really take.

    python benchmarks/cluster_check.py [--pairs 49] [--repeats 3] [--model control/faithful] [--ray]

A first run in one process, into an empty store, says how fast the models are: its rates are read from the store, as
`--audit-plan` does. A second one, with everything there, says what interpreter, plan and table take, and another
process how long each model loads. From that the simulation predicts one process alone, and two processes with a part of
the plan each, as `aes-audit collect --shard` has it; with `--ray` also the engine for Ray with two processes and the
overheads of cluster_rates.toml. Then all of them are run in turn, from empty stores, with the instruments of the
profile `control` and one thread each. Other users of the machine slow down what is predicted from as well as what is
measured, each at its own time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster_rates import read_rates
from cluster_setup import Setup, Work
from memory import instruments, prompts
from simulated_cluster import simulated

from aes_audit.evidence.batches import Part
from aes_audit.evidence.collecting import collect_pairs, image_jobs, pairs_per_round
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.generating import ImageStage
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.rates import device_of, known_rate
from aes_audit.evidence.scorers import Scorer, judge_scorer, reward_scorer
from aes_audit.evidence.store import Store
from aes_audit.generators.protocol import ResolvedGenerator
from aes_audit.generators.registry import resolve_model
from aes_audit.weights.loading import quiet_libraries

__all__ = ["main"]

RAY = "Ray, two processes"
WAYS = {"one process": ("1/1",), "two processes, a shard each": ("1/2", "2/2")}


def generator_of(name: str) -> ResolvedGenerator:
    """Pinned."""
    return resolve_model(name, root=Path.cwd(), device="cpu")


def scorers() -> list[Scorer]:
    """Those of the profile `control`, in the order of their stages."""
    found = instruments()
    return [*map(reward_scorer, found.rewards), *([judge_scorer(found.judge)] if found.judge else [])]


def collected(said: argparse.Namespace) -> None:
    """One process: its part of the plan, by its engine."""
    number, count = map(int, said.part.split("/"))
    engine: Engine = LocalEngine(Progress())
    if said.ray:
        from aes_audit.evidence.engines.ray_engine import RayEngine
        from aes_audit.evidence.engines.spec import RaySettings

        engine = RayEngine(settings=RaySettings(actors=2, cpus=0.5))
    with quiet_libraries():
        collect_pairs(
            generator_of(said.model),
            prompts(said.pairs),
            instruments(),
            Store(said.store),
            engine,
            part=Part(number, count),
        )
    engine.close()


def loads(model: str, batches: int) -> Mapping[str, Any]:
    """Seconds to load each model in a fresh process, libraries included, and how much batches of images differ."""
    found: dict[str, Any] = {}
    generator = generator_of(model)
    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        stage = ImageStage.of(generator, image_jobs(prompts(batches * generator.batch_size // 2)))
        took = []
        with stage.operator.start(store) as hands:
            for batch in stage.left(store):
                before = time.perf_counter()
                hands.take(batch)
                took.append(time.perf_counter() - before)
        middle = statistics.median(took[1:])
        found["load"] = [took[0] - middle]
        # The last ones wait for a writer that the first ones do not have.
        found["spread"] = statistics.stdev(took[2:]) / statistics.mean(took[2:])
        for scorer in scorers():
            before = time.perf_counter()
            scorer.load()
            found["load"].append(time.perf_counter() - before)
    return found


def works(said: argparse.Namespace, store: Store, load: Sequence[float]) -> list[Work]:
    """The stages, with the rates that the store knows."""
    generator = generator_of(said.model)
    named = [(generator.name, generator.identity, device_of(generator), generator.batch_size)]
    named += [(scorer.name, scorer.identity, scorer.device, scorer.batch) for scorer in scorers()]
    found: list[Work] = []
    for (name, identity, device, batch), seconds in zip(named, load, strict=True):
        rate = known_rate(store, identity, device)
        assert rate is not None, name
        found.append(Work(name, rate.seconds / rate.items, seconds, batch, draws=not found))
    return found


def predicted(setup: Setup, said: argparse.Namespace, ways: Sequence[str]) -> float:
    """Seconds until the slowest of the processes is done."""
    plan, step = prompts(said.pairs).pairs, pairs_per_round(generator_of(said.model))
    parts = [Part(*map(int, way.split("/"))).of(plan, step) for way in ways]
    return max(simulated(replace(setup, images=2 * len(part))).seconds for part in parts)


def alone(said: argparse.Namespace, *arguments: str) -> subprocess.Popen[str]:
    """This script in a process of its own."""
    command = [sys.executable, __file__, f"--model={said.model}", f"--pairs={said.pairs}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def measured(said: argparse.Namespace, parts: Sequence[str], store: Path, *more: str) -> float:
    """Seconds until processes with a part of the plan each are done."""
    start = time.perf_counter()
    running = [alone(said, f"--part={part}", f"--store={store}", *more) for part in parts]
    if any(process.wait() for process in running):
        raise SystemExit("a run failed")
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, predict and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="control/faithful")
    parser.add_argument("--pairs", type=int, default=49)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    parser.add_argument("--loads", action="store_true", help=argparse.SUPPRESS)
    said = parser.parse_args(arguments)
    if said.loads:
        print(json.dumps(loads(said.model, batches=8)))
    elif said.part:
        collected(said)
    else:
        print(check(said))


def check(said: argparse.Namespace) -> str:
    """The table."""
    rates = read_rates()
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first"
        told = json.loads(alone(said, "--loads").communicate()[0])
        measured(said, ["1/1"], first)
        start = measured(said, ["1/1"], first)
        here = replace(rates.pool, start=start, stage=0.0, process=0.0, task=0.0, batches=10**6, ahead=1)
        setup = Setup(works(said, Store(first), told["load"]), store=rates.stores["folder"], pool=here)
        ray = replace(rates.pool, start=start + rates.pool.start)
        guesses = {way: predicted(setup, said, parts) for way, parts in WAYS.items()}
        if said.ray:
            guesses[RAY] = predicted(replace(setup, devices=2, pool=ray), said, ["1/1"])
        took: dict[str, list[float]] = {way: [] for way in guesses}
        for lap in range(said.repeats):
            for way, seconds in took.items():
                more = ["--ray"] if way == RAY else []
                seconds.append(measured(said, WAYS.get(way, ("1/1",)), Path(folder) / f"{lap}-{way}", *more))
    drawing, *asking = told["load"]
    loaded = f"the generator loads in {drawing:.1f} s, the instruments in {sum(asking):.1f} s"
    lines = [f"{said.model}, {said.pairs} pairs; interpreter and plan {start:.1f} s, {loaded}"]
    lines += ["", "| | predicted, s | measured, s | predicted / measured |", "|---|---|---|---|"]
    for way, seconds in took.items():
        middle, span = statistics.median(seconds), f"{min(seconds):.1f} to {max(seconds):.1f}"
        lines.append(f"| {way} | {guesses[way]:.1f} | {middle:.1f} ({span}) | {guesses[way] / middle:.2f} |")
    rate = [f"{work.name} {work.seconds:.4f} s" for work in setup.works]
    return "\n".join([*lines, "", f"Per image: {', '.join(rate)}. Batches of images differ by {told['spread']:.0%}."])


if __name__ == "__main__":
    main()
