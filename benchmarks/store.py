"""Print how many objects a store writes and looks up per second, with few and with many objects in it.

    python benchmarks/store.py [1000 10000 100000] [--s3 | --address FOLDER|s3://...] [--images 16] [--repeats 7]
                               [--writers 16] [--each 64]

One store per size is filled with what an audit keeps of an image (its file, its record, the answers of eight rewards:
ten objects). Then each way of writing and asking is timed on every store in turn, in one run: medians over the rounds,
after one that warms up. `ratio` is the slowest size over the fastest, from the medians of what each round took beside
the first size in that same round, so that what else the machine does falls on all of them. "bare" is the same storage
without the store: a file written, synced and renamed, or boto3's calls. At last `--writers` processes write into one
store at once, half of it images of their own and half the same ones as all others, and every object is read again and
compared.

`--s3` starts moto's server in a process of its own, which shares this machine; `--address` measures what is given, in
new folders below it, which stay.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bare_storage import Bare, bare_storage
from object_server import served
from stored_objects import OBJECTS, Stored, fill, lost, put, stored

from aes_audit.evidence.store import Store

__all__ = ["main", "table"]

_ASKED = 8
"""Images looked up for every one that is written; looking is quicker."""


@dataclass
class Filled:
    """A store with a known number of objects."""

    store: Store
    bare: Bare
    """The same storage without the store."""
    objects: int
    """When it was filled."""
    filled: int = field(init=False)
    """Images of numbers below this one are in it with all that belongs to them."""
    begun: int = field(init=False)
    """No image of this number or a higher one is in it."""

    def __post_init__(self) -> None:
        self.filled = self.begun = max(self.objects // OBJECTS, 1)
        fill(self.store, self.filled)

    def fresh(self, count: int) -> list[Stored]:
        """Images that it does not have yet and is about to get."""
        self.begun += count
        return [stored(number) for number in range(self.begun - count, self.begun)]


@dataclass(frozen=True)
class Sample:
    """What one round is about; made before the clock starts."""

    known: Sequence[Stored]
    """Images that the store has, drawn at random; an answer of the first reward is asked for of each."""
    fresh: Sequence[Stored]
    """Images that it lacks and gets in this round."""
    absent: Sequence[str]
    """Keys that it lacks."""


Way = Callable[[Filled, Sample], int]
"""Does something and says how often."""


def _put_images(at: Filled, sample: Sample) -> int:
    for one in sample.fresh:
        at.store.put_image(one.key, one.png, one.record)
    return len(sample.fresh)


def _put_scores(at: Filled, sample: Sample) -> int:
    half = [item for one in sample.fresh[::2] for item in one.scores.items()]
    for key, record in half:
        at.store.put_scores(key, record)
    return len(half)


def _put_all_scores(at: Filled, sample: Sample) -> int:
    half = {key: record for one in sample.fresh[1::2] for key, record in one.scores.items()}
    at.store.put_all_scores(half)
    return len(half)


def _found(answers: Sequence[object]) -> int:
    if any(answer is None for answer in answers):
        raise SystemExit("an object that was put is not found again")
    return len(answers)


def _score_keys(sample: Sample) -> list[str]:
    return [next(iter(one.scores)) for one in sample.known]


def _image_keys(sample: Sample) -> list[str]:
    return [one.key for one in sample.known]


def _absent(at: Filled, sample: Sample) -> int:
    if any(at.store.images(sample.absent)):
        raise SystemExit("an object is found that was never put")
    return len(sample.absent)


WAYS: dict[str, Way] = {
    "image put (2 objects)": _put_images,
    "scores put": _put_scores,
    "scores put, `put_all_scores`": _put_all_scores,
    "image looked up": lambda at, sample: _found([at.store.image(key) for key in _image_keys(sample)]),
    "image looked up, `images`": lambda at, sample: _found(list(at.store.images(_image_keys(sample)))),
    "image not there, `images`": _absent,
    "scores looked up": lambda at, sample: _found([at.store.scores(key) for key in _score_keys(sample)]),
    "scores looked up, `all_scores`": lambda at, sample: _found(list(at.store.all_scores(_score_keys(sample)))),
    "scores there or not, `has_scores`": lambda at, sample: sum(map(at.store.has_scores, _score_keys(sample))),
    "image read and verified": lambda at, sample: sum(
        bool(at.store.read_image(found)) for key in _image_keys(sample) if (found := at.store.image(key))
    ),
    "image read and verified, `read_images`": lambda at, sample: len(
        list(at.store.read_images([found for found in at.store.images(_image_keys(sample)) if found]))
    ),
    "bare: object written": lambda at, sample: at.bare.write(one.png for one in sample.fresh),
    "bare: object read": lambda at, sample: at.bare.read(len(sample.known)),
}


def timed(filled: Sequence[Filled], images: int, repeats: int) -> dict[str, list[list[float]]]:
    """Way -> per round, seconds for one call on each store; who comes first changes from round to round."""
    rng = random.Random(0)
    seconds: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for lap in range(repeats + 1):
        samples = [_sample(at, images, rng) for at in filled]
        for name, way in WAYS.items():
            took = [0.0] * len(filled)
            for turn in range(len(filled)):
                place = (turn + lap) % len(filled)
                start = time.perf_counter()
                times = way(filled[place], samples[place])
                took[place] = (time.perf_counter() - start) / times
            if lap:
                seconds[name].append(took)
    return seconds


def _sample(at: Filled, images: int, rng: random.Random) -> Sample:
    numbers = rng.choices(range(at.filled), k=_ASKED * images)
    absent = [rng.randbytes(32).hex() for _ in range(_ASKED * images)]
    return Sample([stored(number) for number in numbers], at.fresh(images), absent)


def table(sizes: Sequence[int], seconds: dict[str, list[list[float]]]) -> str:
    """A table in Markdown: calls per second at each size, and the ratio of the slowest size to the fastest."""
    heads = "".join(f" {size:,} objects |" for size in sizes)
    lines = [f"| per second |{heads} ratio |", "|---" * (len(sizes) + 2) + "|"]
    for way, rounds in seconds.items():
        rates = "".join(f" {1 / statistics.median(column):,.0f} |" for column in zip(*rounds, strict=True))
        beside = [statistics.median(took[place] / took[0] for took in rounds) for place in range(len(sizes))]
        lines.append(f"| {way} |{rates} {max(beside) / min(beside):.2f} |")
    return "\n".join(lines)


def write_share(address: str, number: int, images: int) -> None:
    """One of several writers: puts images of its own and as many that all of them put, then asks for all of these.

    Begins each of the two when it is given a line, and gives one when it is done.
    """
    store = Store(address)
    mine = [stored(one) for first in (number * images, 0) for one in range(first, first + images)]
    _take_turn(lambda: put(store, mine))
    _take_turn(lambda: _ask_all(store, mine))


def _take_turn(act: Callable[[], object]) -> None:
    for said in ("ready", "done"):
        print(said, flush=True)
        if said == "ready":
            sys.stdin.readline()
            act()


def _ask_all(store: Store, images: Sequence[Stored]) -> None:
    _found(list(store.read_images([found for found in store.images([one.key for one in images]) if found])))
    _found(list(store.all_scores([key for one in images for key in one.scores])))


def many_writers(address: str, writers: int, images: int) -> str:
    """Let processes write into one store at once, read all of it again, and say what was lost."""
    command = [sys.executable, __file__, "--address", address, "--each", str(images), "--writer"]
    running = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(1, writers + 1)
    ]
    writing, asking = _turn(running), _turn(running)
    failed = sum(process.wait() != 0 for process in running)
    there = [stored(number) for number in range((writers + 1) * images)]
    missing = lost(Store(address), there)
    each = 2 * writers * images
    return (
        f"{writers} processes at once, {failed} failed: {each * OBJECTS:,} puts of {len(there) * OBJECTS:,} objects "
        f"at {each * OBJECTS / writing:,.0f} per second; images found, read and verified, and answers looked up: "
        f"{each * OBJECTS / asking:,.0f} objects per second. Lost or changed: {missing}."
    )


def _turn(running: Sequence[subprocess.Popen[str]]) -> float:
    """Seconds from the moment when all are ready until all are done."""
    pipes = [(process.stdin, process.stdout) for process in running if process.stdin and process.stdout]
    for _, told in pipes:
        told.readline()
    start = time.perf_counter()
    for go, _ in pipes:
        go.write("\n")
        go.flush()
    for _, told in pipes:
        told.readline()
    return time.perf_counter() - start


@contextmanager
def _places(address: str | None, s3: bool, names: Sequence[str]) -> Iterator[list[str]]:
    """An address for the store of each name. Each has a bucket of its own where the server is ours."""
    if s3:
        buckets = [f"store-{name}" for name in names]
        with served(buckets):
            yield [f"s3://{bucket}/evidence" for bucket in buckets]
    elif address:
        run = uuid.uuid4().hex[:8]
        yield [f"{address.rstrip('/')}/{run}/{name}" for name in names]
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield [f"{folder}/{name}" for name in names]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000], metavar="OBJECTS")
    parser.add_argument("--address", help="a folder or a place in object storage; default: a temporary folder")
    parser.add_argument("--s3", action="store_true", help="a server of its own")
    parser.add_argument("--images", type=int, default=16, help="written per round; eight times as many are looked up")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--each", type=int, default=64, help="images of its own per writer")
    parser.add_argument("--writer", type=int, help=argparse.SUPPRESS)
    typed = parser.parse_args(arguments)
    if typed.writer is not None:
        write_share(typed.address, typed.writer, typed.each)
        return
    with _places(typed.address, typed.s3, [*map(str, typed.sizes), "writers"]) as (*places, shared):
        kind = shared.rpartition("://")[0] or "folder"
        print(
            f"{kind}, {os.cpu_count()} cores, {typed.images} images a round, medians of {typed.repeats}\n", flush=True
        )
        filled = [Filled(Store(at), bare_storage(at), size) for at, size in zip(places, typed.sizes, strict=True)]
        print(table(typed.sizes, timed(filled, typed.images, typed.repeats)), flush=True)
        grown = (typed.repeats + 1) * typed.images * OBJECTS
        print(f"\nEach store grew by {grown:,} objects meanwhile.\n", flush=True)
        if typed.writers:
            print(many_writers(shared, typed.writers, typed.each))


if __name__ == "__main__":
    main()
