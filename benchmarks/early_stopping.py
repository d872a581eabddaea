"""Print how many images a rate gate needs for its verdict when it may stop early, against the fixed design.

    python benchmarks/early_stopping.py [--pairs 300] [--threshold 0.8] [--runs 20000] [--seed 1] [--batch 1]

A pair costs two images. Curtailment is enumerated, anytime stopping simulated. Takes half a minute and no
accelerator.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from aes_audit.gates.curtailment import Seen, look
from aes_audit.gates.thresholds import Gate
from aes_audit.statistics.power import verdict_chances
from aes_audit.statistics.sequential import RateStops, rate_stops

__all__ = ["main", "table"]

TRUTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
IMAGES_PER_PAIR = 2
CHUNK = 2000
"""Runs simulated at once, which bounds memory."""


def going_on(gate: Gate, pairs: int) -> npt.NDArray[np.bool_]:
    """Whether the gate needs another pair, by pairs seen and successes among them, shape (pairs + 1, pairs + 1)."""
    needed = np.zeros((pairs + 1, pairs + 1), dtype=np.bool_)
    for seen in range(pairs):
        for successes in range(seen + 1):
            hits = (True,) * successes + (False,) * (seen - successes)
            needed[seen, successes] = look(gate, Seen(pairs, hits)) is None
    return needed


def expected_pairs(needed: npt.NDArray[np.bool_], truth: float, batch: int) -> float:
    """Mean pairs until the verdict is settled at the end of a batch, by following every run's chance."""
    pairs, total = len(needed) - 1, 0.0
    chance = np.zeros(pairs + 1)
    chance[0] = 1.0
    for seen in range(pairs):
        if seen % batch == 0:
            chance = np.where(needed[seen], chance, 0.0)
        total += float(chance.sum())
        chance = (1 - truth) * chance + truth * np.concatenate([[0.0], chance[:-1]])
    return total


def simulated(truth: float, pairs: int, threshold: float, runs: int, seed: int) -> RateStops:
    """Runs with anytime stopping."""
    rng = np.random.default_rng([seed, round(1000 * truth)])
    parts = [
        rate_stops(rng.random((min(CHUNK, runs - start), pairs)) < truth, threshold, anytime=True)
        for start in range(0, runs, CHUNK)
    ]
    return RateStops(*map(np.concatenate, zip(*parts, strict=True)))


def table(pairs: int, threshold: float, runs: int, seed: int, batch: int) -> Iterator[str]:
    """The lines of the table, as Markdown."""
    gate = Gate("benchmark", "success_rate", at_least=threshold)
    needed = going_on(gate, pairs)
    fixed = IMAGES_PER_PAIR * pairs
    verdicts = "pass / inconclusive / fail"
    yield (
        f"| true rate | images, fixed | images, curtailed | saved | {verdicts} | images, anytime | saved | {verdicts} |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for truth in TRUTHS:
        exact = IMAGES_PER_PAIR * expected_pairs(needed, truth, batch)
        stops = simulated(truth, pairs, threshold, runs, seed)
        items = np.minimum(pairs, -(-stops.items // batch) * batch)
        early = IMAGES_PER_PAIR * float(items.mean())
        shares = _text(*(float(np.mean(stops.verdict == verdict)) for verdict in (1, 0, -1)))
        yield (
            f"| {truth:g} | {fixed} | {exact:.0f} | {1 - exact / fixed:.0%} | {_text(*chances(gate, pairs, truth))} "
            f"| {early:.0f} | {1 - early / fixed:.0%} | {shares} |"
        )


def chances(gate: Gate, pairs: int, truth: float) -> Sequence[float]:
    """Chance of pass, inconclusive and fail of the full run, which curtailment keeps."""
    assert gate.at_least is not None
    return verdict_chances(truth, pairs, gate.at_least, gate.confidence, gate.interval)


def _text(*shares: float) -> str:
    return " / ".join(f"{share:.3f}" for share in shares)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the options and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=300, help="pairs of the full run (default 300)")
    parser.add_argument("--threshold", type=float, default=0.8, help="the gate's at_least (default 0.8)")
    parser.add_argument("--runs", type=int, default=20_000, help="simulated runs per true rate (default 20000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the simulation (default 1)")
    parser.add_argument("--batch", type=int, default=1, help="pairs between two looks (default 1)")
    given = parser.parse_args(arguments)
    for line in table(given.pairs, given.threshold, given.runs, given.seed, given.batch):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
