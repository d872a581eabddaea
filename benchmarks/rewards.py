"""Print how fast each reward scores the shapes that users have, against one pair at a time.

    python benchmarks/rewards.py [--size tiny|medium|full] [--rewards NAME,...] [--pairs 300] [--repeats 3]
                                 [--shapes images,prompts,pairs] [--device cpu] [--threads N] [--clock wall|cpu]

Shapes: one prompt x 2N images, 2N prompts x one image, and N prompt pairs x 4 scores (two images under two prompts
each, as an audit asks). "plain" is a loop with stock modules in the way the official packages go: every pair is
prepared and run through both towers by itself, nothing is kept. `ratio` is our time over plain's. `same kernels` is our
time over that of the same loop with the modules that ours runs (aes_audit/rewards/cpu_kernels.py): what is left of the
gain when only the order of the work differs. All three are timed in turn in one run; medians are printed.
Weights are random. Peak memory is the growth of the process, or of the device where there is one, above the loaded
model. "network" is the share of the time that the forward passes themselves take; the rest is preparing images and
texts. `--clock cpu` counts processor time instead of time: give it with --threads 1 where others use the machine too.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from random_rewards import FAMILY, SIZES, Plain, Timed, build

from aes_audit.controls.prompts import control_pairs
from aes_audit.rewards.pair_scorer import PairScorer, full_precision

__all__ = ["main"]

SIDE = 512
SHAPES = ("images", "prompts", "pairs")


class Shape(NamedTuple):
    """Something that users ask."""

    name: str
    images: list[Image.Image]
    texts: list[str]
    """One per image."""
    distinct: int
    """Distinct images."""


class Measured(NamedTuple):
    """One way to score a shape."""

    seconds: float
    megabytes: float
    network: float
    """Seconds within the forward passes of the towers."""


def shapes(pairs: int) -> Iterator[Shape]:
    """The three shapes in the order of SHAPES, for `pairs` prompt pairs."""
    images = [_picture(seed) for seed in range(2 * pairs)]
    source = control_pairs()
    both = [
        (f"{source[i % len(source)].original}, number {i}", f"{source[i % len(source)].wide}, number {i}")
        for i in range(pairs)
    ]
    texts = [text for pair in both for text in pair]
    yield Shape("one prompt, many images", images, texts[:1] * len(images), len(images))
    yield Shape("many prompts, one image", images[:1] * len(texts), texts, 1)
    asked = [
        (image, text) for index, pair in enumerate(both) for image in images[2 * index : 2 * index + 2] for text in pair
    ]
    yield Shape(f"{pairs} pairs x 4 scores", [image for image, _ in asked], [text for _, text in asked], len(images))


def _picture(seed: int) -> Image.Image:
    rough = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


class Bench(NamedTuple):
    """How everything is measured."""

    device: str
    """cpu or cuda."""
    clock: Callable[[], float]
    """Seconds."""
    repeats: int
    """Runs that the medians are of."""


def measured(call: Callable[[], Any], timed: Timed, bench: Bench) -> Measured:
    """Run once."""
    device = bench.device
    gc.collect()
    _give_back()
    before = _reset_peak(device)
    with _watched(timed, bench) as network:
        _wait(device)
        start = bench.clock()
        with torch.inference_mode(), full_precision():
            call()
        _wait(device)
        seconds = bench.clock() - start
    return Measured(seconds, max(_peak(device) - before, 0) / 2**20, network())


@contextmanager
def _watched(timed: Timed, bench: Bench) -> Iterator[Callable[[], float]]:
    """Time the towers' forward passes; on a device by its own events, so that nothing has to wait for them."""
    spans: list[tuple[Any, Any]] = []

    def now() -> Any:
        if bench.device != "cuda":
            return bench.clock()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def timed_forward(forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            start = now()
            try:
                return forward(*arguments, **named)
            finally:
                # HPSv3 leaves a forward pass by an exception once it has what it needs.
                spans.append((start, now()))

        return call

    for tower in timed.towers:
        tower.forward = timed_forward(tower.forward)

    def total() -> float:
        if bench.device == "cuda":
            return float(sum(start.elapsed_time(end) for start, end in spans)) / 1000
        return float(sum(end - start for start, end in spans))

    try:
        yield total
    finally:
        for tower in timed.towers:
            del tower.forward


def compare(timed: Timed, shape: Shape, bench: Bench) -> str:
    """One line of the table: ours, plain, and plain with our modules in turn, medians."""
    ours: list[Measured] = []
    plain: list[Measured] = []
    alike: list[Measured] = []
    for _ in range(bench.repeats):
        # A new driver each time, so that it remembers no text.
        scorer = PairScorer(timed.architecture)
        ours.append(measured(lambda: scorer.score(shape.images, shape.texts), timed, bench))  # noqa: B023
        plain.append(measured(_loop(timed.plain, shape), timed, bench))
        alike.append(measured(_loop(timed.plain_kernels, shape), timed, bench))
    seconds, loop_seconds = _median(ours, "seconds"), _median(plain, "seconds")
    network = statistics.median(one.network / one.seconds for one in ours)
    scores = len(shape.texts)
    return (
        f"{shape.distinct / seconds:.2f} | {scores / seconds:.2f} | {scores / loop_seconds:.2f} | "
        f"{_ratio(ours, plain):.2f} | {_ratio(ours, alike):.2f} | {network:.0%} | "
        f"{_median(ours, 'megabytes'):.0f} | {_median(plain, 'megabytes'):.0f} |"
    )


def _loop(plain: Plain, shape: Shape) -> Callable[[], Any]:
    return lambda: [plain(image, text) for image, text in zip(shape.images, shape.texts, strict=True)]


def _ratio(ours: Sequence[Measured], others: Sequence[Measured]) -> float:
    return float(statistics.median(one.seconds / other.seconds for one, other in zip(ours, others, strict=True)))


def _median(runs: Sequence[Measured], field: str) -> float:
    return float(statistics.median(getattr(run, field) for run in runs))


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _reset_peak(device: str) -> float:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return float(torch.cuda.memory_allocated())
    with suppress(OSError):
        # Linux: forget the highest memory so far.
        Path("/proc/self/clear_refs").write_text("5")
    return _peak(device)


def _peak(device: str) -> float:
    if device == "cuda":
        return float(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status").read_text() if Path("/proc/self/status").exists() else "VmHWM: 0 kB"
    return 1024 * float(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def _give_back() -> None:
    # Memory that the allocator keeps would hide what the next run needs.
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="medium")
    parser.add_argument("--rewards", default=",".join(FAMILY), help="names, parted by commas")
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shapes", default=",".join(SHAPES), help="which of them, parted by commas")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--threads", type=int, help="of torch on a CPU")
    typed = parser.parse_args(arguments)
    if typed.threads:
        torch.set_num_threads(typed.threads)
    where = torch.cuda.get_device_name() if typed.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    clock = time.process_time if typed.clock == "cpu" else time.perf_counter
    bench = Bench(typed.device, clock, typed.repeats)
    print(f"size {typed.size}, {where}, {typed.clock} clock, torch {torch.__version__}, medians of {typed.repeats}\n")
    print(
        "| reward | shape | images/s | scores/s | plain scores/s | ratio | same kernels | network | MiB | plain MiB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    asked = list(shapes(typed.pairs))
    for reward in typed.rewards.split(","):
        timed = build(reward, typed.size, typed.device)
        PairScorer(timed.architecture).score(asked[0].images[:2], asked[1].texts[:2])
        with torch.inference_mode():
            timed.plain(asked[0].images[0], asked[1].texts[0])
        for shape in (asked[SHAPES.index(name)] for name in typed.shapes.split(",")):
            print(f"| {reward} | {shape.name} | {compare(timed, shape, bench)}", flush=True)
        del timed


if __name__ == "__main__":
    main()
