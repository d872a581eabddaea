"""Print what the harness adds to the time that a plain diffusers loop takes for the same images.

    python benchmarks/generation.py [--model control/faithful] [--pairs 32] [--batch-size N] [--repeats 5]
                                    [--device cpu] [--threads N] [--clock wall|cpu|drawing]

"plain" is the loop that one would write by hand: the same pipeline, the same prompts and seeds, in the same batches, as
PIL images that are thrown away. "harness" is what an audit does, from an empty store: keys, locks, text embeddings,
checks, PNG files and records. "harness, seen" draws the same texts with other seeds, as repeats of an audit do: their
embeddings are known. All run in turn in one process on the same loaded pipeline; printed are medians, the ratio of the
medians to plain's, and the same for the fastest rounds, which other users of the machine disturb least. `--clock cpu`
counts processor time of all threads instead of time: give it with --threads 1 where others use the machine too. What is
gained by decoding one batch while the next is denoised is not in it: `--clock wall` shows that with a core to spare,
`--clock drawing` on any machine. It counts the processor time of the thread that draws, with --threads 1.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import diffusers
import torch

from aes_audit.controls.prompts import control_pairs
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.store import Store
from aes_audit.generators.pipeline import DiffusersGenerator, load_pipeline
from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.resolve import DiffusersModel, resolve_generator
from aes_audit.weights.loading import quiet_libraries

__all__ = ["main"]


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time, "drawing": time.thread_time}


class Round(NamedTuple):
    """One way of drawing, timed over all rounds."""

    name: str
    seconds: list[float]


def jobs(pairs: int, first_seed: int) -> list[ImageJob]:
    """Both images of each pair, one seed for the two, as a plan has them."""
    source = control_pairs()
    plan = []
    for index in range(pairs):
        pair, lap = source[index % len(source)], index // len(source)
        for image, text in (("original", pair.original), ("wide", pair.wide)):
            said = text if not lap else f"{text}, number {lap}"
            plan.append(ImageJob(f"pair-{index}", image, ImageRequest(said, first_seed + index)))
    return plan


def plain(pipeline: diffusers.DiffusionPipeline, model: DiffusersModel, plan: Sequence[ImageJob]) -> None:
    """The loop by hand."""
    size = model.batch_size
    for start in range(0, len(plan), size):
        requests = [job.request for job in plan[start : start + size]]
        noise = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
        prompts = [request.prompt for request in requests]
        pipeline(prompts, generator=noise, **model.settings.call)  # type: ignore[operator]


def _given(generator: DiffusersGenerator) -> DiffusersGenerator:
    return generator


def measured(model: DiffusersModel, pairs: int, repeats: int, clock: Callable[[], float]) -> list[Round]:
    """Every way in turn, `repeats` times, after one round that warms up caches and allocators."""
    rounds = [Round(name, []) for name in ("plain", "harness", "harness, seen")]
    pipeline = load_pipeline(model).pipeline
    for lap in range(repeats + 1):
        # Anew for every round, over the same weights: no text is known at its start.
        generator = DiffusersGenerator(pipeline, model)
        plan, again = jobs(pairs, 10**6 * lap), jobs(pairs, 10**6 * lap + 10**5)
        with tempfile.TemporaryDirectory() as folder:
            ways: list[Callable[[], object]] = [
                partial(plain, pipeline, model, plan),
                partial(generate_images, model, plan, Store(Path(folder)), LocalEngine(), partial(_given, generator)),
                partial(generate_images, model, again, Store(Path(folder)), LocalEngine(), partial(_given, generator)),
            ]
            # Whoever comes first in one round comes last in the next.
            for index in (0, 1, 2) if lap % 2 else (1, 2, 0):
                start = clock()
                ways[index]()
                if lap:
                    rounds[index].seconds.append(clock() - start)
    return rounds


def report(rounds: Sequence[Round], images: int) -> str:
    """A table in Markdown."""
    bare = rounds[0].seconds
    lines = ["| | seconds | images/s | ratio | ratio of the fastest |", "|---|---|---|---|---|"]
    for name, seconds in rounds:
        middle = statistics.median(seconds)
        ratio, fastest = middle / statistics.median(bare), min(seconds) / min(bare)
        lines.append(f"| {name} | {middle:.2f} | {images / middle:.2f} | {ratio:.3f} | {fastest:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--model", default="control/faithful")
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    said = parser.parse_args()
    if said.threads:
        torch.set_num_threads(said.threads)
    model = resolve_generator(said.model, root=Path.cwd(), device=said.device, batch_size=said.batch_size)
    with quiet_libraries():
        rounds = measured(model, said.pairs, said.repeats, CLOCKS[said.clock])
    print(f"{said.model}: {2 * said.pairs} images, batches of {model.batch_size}, {said.repeats} rounds, {said.clock}")
    print(report(rounds, 2 * said.pairs))


if __name__ == "__main__":
    main()
