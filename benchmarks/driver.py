"""Print the memory and the seconds of the process that holds the plan of one model: nothing is drawn or scored.

    python benchmarks/driver.py [1000 10000] [--store FOLDER] [--clock wall|cpu]

Every pair has two images, each asked about by eight rewards under two texts: 32 scores. A store is filled with all of
it by hand. "plan" makes the stages and looks for what is missing in an empty store, as a run does at its start;
"collect" finds everything in the full one and makes the table, as a run does at its end; each in a process of its own.
Both ask the store, a folder on this disk. Then both in pieces: keys and batches, questions to the store, rows. Printed
is also the resident memory of each process, before the first pair and at its peak.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from memory import prompts
from stored_objects import REWARDS, image_record, png, quickly, score_record

from aes_audit.evidence.collecting import Instruments, collect_pairs, image_jobs
from aes_audit.evidence.engines.looking import LookingEngine
from aes_audit.evidence.generating import ImageStage
from aes_audit.evidence.images import told_apart
from aes_audit.evidence.keys import digest
from aes_audit.evidence.scorers import Question, reward_scorer
from aes_audit.evidence.scoring import ScoreStage
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.generators.protocol import ResolvedGenerator
from aes_audit.generators.registry import resolve_model
from aes_audit.prompts.pairs import PromptSet
from aes_audit.rewards.protocol import Reward
from aes_audit.rewards.registry import resolve_reward

__all__ = ["main"]

PARTS = ("image_keys", "images_absent", "images_there", "score_keys", "scores_absent", "scores_there", "collect")

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

T = TypeVar("T")


@dataclass(frozen=True)
class NumberedReward:
    """A reward that is pinned, and never loaded."""

    number: int
    device: str = "cpu"

    @property
    def name(self) -> str:
        """Its own."""
        return f"reward-{self.number}"

    @property
    def revision(self) -> str:
        """Its own."""
        return f"sha256:{digest({'reward': self.number})}"

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of a shipped one, with another revision."""
        identity = resolve_reward("control/clip", device="cpu").identity
        return {**identity, "weights": {"repo": None, "revision": self.revision}}

    def load(self) -> Reward:
        """Everything is in the store."""
        raise AssertionError(f"{self.name} was to be loaded")


@dataclass
class Driver:
    """The process that holds the plan."""

    pairs: PromptSet
    generator: ResolvedGenerator = field(
        default_factory=lambda: resolve_model("control/faithful", root=Path.cwd(), device="cpu")
    )
    clock: Callable[[], float] = time.perf_counter
    """Seconds."""
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    """By part."""

    def __post_init__(self) -> None:
        self.jobs = image_jobs(self.pairs)
        self.rewards = tuple(map(NumberedReward, range(REWARDS)))
        self.scorers = tuple(map(reward_scorer, self.rewards))

    def timed(self, part: str, act: Callable[[], T]) -> T:
        """Do it, and add what it took."""
        start = self.clock()
        found = act()
        self.seconds[part] += self.clock() - start
        return found

    def image_stage(self) -> ImageStage:
        """Its keys are made."""
        return self.timed("image_keys", lambda: ImageStage.of(self.generator, self.jobs))

    def score_stages(self, records: Sequence[ImageRecord]) -> Sequence[Callable[[], ScoreStage]]:
        """One after the other, as they are run: their keys are made when they are called."""
        texts = {pair.id: (pair.original, pair.wide) for pair in self.pairs.pairs}

        def stage(scorer: Any) -> ScoreStage:
            told = told_apart(self.jobs, records)
            asked = [Question(record, texts[job.item]) for job, record in zip(self.jobs, told, strict=True)]
            return ScoreStage.of(scorer, asked)

        return [lambda one=one: self.timed("score_keys", lambda: stage(one)) for one in self.scorers]  # type: ignore[misc]


def fill(store: Store, pairs: PromptSet) -> None:
    """Put everything that there is to know about the pairs."""
    driver = Driver(pairs)
    stage = driver.image_stage()
    with quickly():
        for number, (key, request) in enumerate(stage.entries):
            record = image_record(driver.generator.identity, request.prompt, request.seed)
            store.put_image(key, png(number), record)
        records = stage.records(store)
        assert records is not None
        for score_stage in (make() for make in driver.score_stages(records)):
            identity = score_stage.operator.identity
            found = {
                key: score_record(identity, asked.record.sha256, asked.queries, number)
                for number, (key, asked) in enumerate(score_stage.entries)
                if key and asked.record.sha256
            }
            store.put_all_scores(found)


def planned(driver: Driver, full: Store, empty: Store) -> None:
    """What a run does at its start, for every stage; records of images come from the full store."""
    stage = driver.image_stage()
    left: Sequence[object] = driver.timed("images_absent", lambda: stage.left(empty))
    records = driver.timed("images_there", lambda: stage.records(full))
    assert left
    assert records is not None
    del left
    for make in driver.score_stages(records):
        score_stage = make()
        left = driver.timed("scores_absent", lambda: score_stage.left(empty))  # noqa: B023
        driver.timed("scores_there", lambda: score_stage.answers(full))  # noqa: B023
        assert left
        del left


def collected(driver: Driver, full: Store) -> None:
    """What a run does at its end: everything is there, and becomes a table."""
    instruments = Instruments(driver.rewards, None, ())
    table = driver.timed(
        "collect", lambda: collect_pairs(driver.generator, driver.pairs, instruments, full, LookingEngine())
    )
    assert len(table) == len(driver.jobs) * REWARDS * 2


def peak() -> float:
    """MiB that this process has held at most; getrusage would count what its parent held before it."""
    status = Path("/proc/self/status").read_text()
    return float(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 2**10


def told(pairs: int, store: Path, what: str, clock: Callable[[], float]) -> Mapping[str, Any]:
    """What one process needed."""
    before, driver, full = peak(), Driver(prompts(pairs), clock=clock), Store(store)
    if what == "plan":
        with tempfile.TemporaryDirectory() as folder:
            planned(driver, full, Store(Path(folder)))
    else:
        collected(driver, full)
    return {"before": before, "peak": peak(), **driver.seconds}


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=int, nargs="*", default=[1000, 10_000])
    parser.add_argument("--store", type=Path, help="where the stores are filled, and stay; default: a temporary folder")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall", help="cpu where others use the machine too")
    parser.add_argument("--alone", choices=("plan", "collect"), help=argparse.SUPPRESS)
    said = parser.parse_args(arguments)
    if said.alone:
        print(json.dumps(told(said.pairs[0], said.store, said.alone, CLOCKS[said.clock])))
        return
    print("| pairs | process | seconds | before, MiB | peak, MiB | kB per pair |\n" + "|---" * 6 + "|", flush=True)
    pieces: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for pairs in said.pairs:
            store = (said.store or Path(folder)) / str(pairs)
            if not store.exists():
                fill(Store(store), prompts(pairs))
            seconds = dict.fromkeys(PARTS, 0.0)
            for what in ("plan", "collect"):
                command = [
                    sys.executable,
                    __file__,
                    "--alone",
                    what,
                    str(pairs),
                    f"--store={store}",
                    f"--clock={said.clock}",
                ]
                found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
                took = sum(found[part] for part in PARTS)
                seconds = {part: seconds[part] + found[part] for part in PARTS}
                each = (found["peak"] - found["before"]) * 1024 / pairs
                line = f"| {pairs:,} | {what} | {took:.1f} | {found['before']:.0f} | {found['peak']:.0f} | {each:.1f} |"
                print(line, flush=True)
            pieces.append(in_pieces(pairs, seconds))
    print("\n" + "\n".join(["| pairs | what | of each | microseconds |", "|---" * 4 + "|", *pieces]))


def in_pieces(pairs: int, seconds: Mapping[str, float]) -> str:
    """What one image, answer or pair takes."""
    images, answers = 2 * pairs, 2 * pairs * REWARDS
    looked = sum(seconds[part] for part in ("image_keys", "images_there", "score_keys", "scores_there"))
    told = [
        ("key and request", "image", seconds["image_keys"] / images),
        ("not in the store", "image", seconds["images_absent"] / images),
        ("in the store", "image", seconds["images_there"] / images),
        ("key and question", "image and reward", seconds["score_keys"] / answers),
        ("not in the store", "image and reward", seconds["scores_absent"] / answers),
        ("in the store", "image and reward", seconds["scores_there"] / answers),
        ("rows and table", "pair", max(seconds["collect"] - looked, 0.0) / pairs),
    ]
    return "\n".join(f"| {pairs:,} | {what} | {each} | {1e6 * took:.0f} |" for what, each, took in told)


if __name__ == "__main__":
    main()
