"""Print how many objects a store looks up and writes per second, with few and with many objects in it.

    python benchmarks/store.py [1000 10000 100000] [--s3 | --address FOLDER|s3://...] [--images 32] [--repeats 11]
                               [--writing-first] [--writers 16] [--each 64]

One store per size is filled with what an audit keeps of an image (its file, its record, the answers of eight rewards:
ten objects), and its files are read twice. Then each way of asking, and after that each way of writing, is timed on
every store in turn, in one run: medians over the rounds, after three that warm up. `ratio` is the slowest size over the
fastest, from the medians of what each round took beside the first size in that same round, so that what else the
machine does falls on all of them; `ratio, processor` is the same in processor time of this process, without waiting for
disks and neighbours.
`--writing-first` times the two in the other order: what writing does to a machine's memory then falls on the answers.

Every way asks for images of its own choice; what a round has put is removed after it. "bare" is the same storage
without the store: a file written, synced and renamed, or boto3's calls. At last `--writers` processes write into one
store at once, half of it images of their own and half the same ones as all others, and every object is read again and
compared.

`--s3` starts moto's server in a process of its own, which shares this machine and begins with the objects of filled
folders; `--address` measures what is given, in new folders below it, which stay.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bare_storage import Bare, bare_storage
from object_server import served
from stored_objects import OBJECTS, Stored, fill, lost, put, stored

from aes_audit.evidence.store import Store

__all__ = ["main", "table"]

_ASKED = 4
"""Images looked up for every one that is written; looking is quicker."""

_WARMING = 3
"""Rounds that do not count: the first ones make folders, which a small store lacks and a large one has."""


@dataclass
class Filled:
    """A store with a known number of objects."""

    store: Store
    bare: Bare
    """The same storage without the store."""
    objects: int
    """That is how many it has between two rounds."""

    @property
    def images(self) -> int:
        """Images of numbers below this one are in it with all that belongs to them."""
        return self.objects // OBJECTS


@dataclass(frozen=True)
class Sample:
    """What is done in one round; made before the clock starts, and for each way of asking anew."""

    known: Sequence[Stored]
    """Images that the store has, drawn at random."""
    answers: Sequence[str]
    """Key of the answers of a reward about each of them, drawn at random, too: any object may be asked for."""
    fresh: Sequence[Stored]
    """Images that it lacks and gets in this round."""
    absent: Sequence[str]
    """Keys that it lacks, beside images that it has: a folder that is not there at all answers sooner."""


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
    return list(sample.answers)


def _image_keys(sample: Sample) -> list[str]:
    return [one.key for one in sample.known]


def _absent(at: Filled, sample: Sample) -> int:
    if any(at.store.images(sample.absent)):
        raise SystemExit("an object is found that was never put")
    return len(sample.absent)


def _open(at: Filled, sample: Sample) -> int:
    del sample
    Store(at.store.address)
    return 1


ASKING: dict[str, Way] = {
    "store opened": _open,
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
    "bare: object read": lambda at, sample: at.bare.read(one.names[1] for one in sample.known),
}

WRITING: dict[str, Way] = {
    "image put (2 objects)": _put_images,
    "scores put": _put_scores,
    "scores put, `put_all_scores`": _put_all_scores,
    "bare: object written": lambda at, sample: at.bare.write(one.png for one in sample.fresh),
}


@dataclass(frozen=True)
class Rounds:
    """One way, timed: per round, seconds for one call on each store."""

    wall: list[list[float]] = field(default_factory=list)
    """By the clock."""
    cpu: list[list[float]] = field(default_factory=list)
    """Of this process's processors."""


def timed(filled: Sequence[Filled], ways: Mapping[str, Way], images: int, repeats: int) -> dict[str, Rounds]:
    """Every way, on each store in turn; who comes first changes from round to round."""
    rng = random.Random(0)
    found = {way: Rounds() for way in ways}
    for lap in range(_WARMING + repeats):
        fresh = [[stored(at.images + lap * images + number) for number in range(images)] for at in filled]
        for name, way in ways.items():
            samples = [_sample(at, new, rng) for at, new in zip(filled, fresh, strict=True)]
            wall, cpu = [0.0] * len(filled), [0.0] * len(filled)
            for turn in range(len(filled)):
                place = (turn + lap) % len(filled)
                start, cpu_start = time.perf_counter(), time.process_time()
                times = way(filled[place], samples[place])
                cpu[place] = (time.process_time() - cpu_start) / times
                wall[place] = (time.perf_counter() - start) / times
            if lap >= _WARMING:
                found[name].wall.append(wall)
                found[name].cpu.append(cpu)
        if ways is WRITING:
            for at, new in zip(filled, fresh, strict=True):
                at.bare.remove(name for one in new for name in one.names)
    return found


def _sample(at: Filled, fresh: Sequence[Stored], rng: random.Random) -> Sample:
    count = _ASKED * len(fresh)
    known = [stored(number) for number in rng.choices(range(at.images), k=count)]
    answers = [rng.choice(list(one.scores)) for one in known]
    return Sample(known, answers, fresh, [one.key[:2] + rng.randbytes(31).hex() for one in known])


def table(sizes: Sequence[int], found: Mapping[str, Rounds]) -> str:
    """A table in Markdown: calls per second at each size, and the ratio of the slowest size to the fastest."""
    heads = "".join(f" {size:,} objects |" for size in sizes)
    lines = [f"| per second |{heads} ratio | ratio, processor |", "|---" * (len(sizes) + 3) + "|"]
    for way, rounds in found.items():
        rates = "".join(f" {1 / statistics.median(column):,.0f} |" for column in zip(*rounds.wall, strict=True))
        lines.append(f"| {way} |{rates} {_ratio(rounds.wall):.2f} | {_ratio(rounds.cpu):.2f} |")
    return "\n".join(lines)


def _ratio(rounds: Sequence[Sequence[float]]) -> float:
    beside = [statistics.median(took[place] / took[0] for took in rounds) for place in range(len(rounds[0]))]
    return max(beside) / min(beside)


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
def _stores(address: str | None, s3: bool, sizes: Sequence[int]) -> Iterator[list[str]]:
    """Addresses of filled stores, and of an empty one at the end."""
    names = [*map(str, sizes), "writers"]
    if address and not s3:
        places = [f"{address.rstrip('/')}/{uuid.uuid4().hex[:8]}/{name}" for name in names]
        _fill_all(places, sizes)
        yield places
        return
    with tempfile.TemporaryDirectory() as folder:
        places = [f"{folder}/{name}" for name in names]
        _fill_all(places, sizes)
        if not s3:
            yield places
            return
        with served({f"store-{name}": Path(place) for name, place in zip(names, places, strict=True)}) as buckets:
            yield buckets


def _fill_all(places: Sequence[str], sizes: Sequence[int]) -> None:
    for place, size in zip(places[:-1], sizes, strict=True):
        fill(Store(place), size // OBJECTS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000], metavar="OBJECTS")
    parser.add_argument("--address", help="a folder or a place in object storage; default: a temporary folder")
    parser.add_argument("--s3", action="store_true", help="a server of its own")
    parser.add_argument("--images", type=int, default=32, help="written per round; four times as many are asked for")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--writing-first", action="store_true")
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--each", type=int, default=64, help="images of its own per writer")
    parser.add_argument("--writer", type=int, help=argparse.SUPPRESS)
    typed = parser.parse_args(arguments)
    if typed.writer is not None:
        write_share(typed.address, typed.writer, typed.each)
        return
    with _stores(typed.address, typed.s3, typed.sizes) as (*places, empty):
        kind = empty.rpartition("://")[0] or "folder"
        print(
            f"{kind}, {os.cpu_count()} cores, {typed.images} images a round, medians of {typed.repeats}\n", flush=True
        )
        filled = [Filled(Store(at), bare_storage(at), size) for at, size in zip(places, typed.sizes, strict=True)]
        for ways in (WRITING, ASKING) if typed.writing_first else (ASKING, WRITING):
            if ways is ASKING:
                for at in filled:
                    at.bare.look_through()
            print(table(typed.sizes, timed(filled, ways, typed.images, typed.repeats)) + "\n", flush=True)
        if typed.writers:
            print(many_writers(empty, typed.writers, typed.each))


if __name__ == "__main__":
    main()
