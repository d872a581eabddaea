"""The benchmark of the store measures what it says, and notices a store that loses something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bare_storage import bare_storage
from object_server import served
from store import WAYS, Filled, many_writers, table, timed
from stored_objects import OBJECTS, fill, lost, stored

from aes_audit.evidence.store import Store


def files(folder: Path) -> int:
    return sum(path.is_file() for room in ("blobs", "images", "scores") for path in (folder / room).rglob("*"))


def test_every_way_is_timed_on_every_store_and_the_table_has_a_line_for_each(tmp_path: Path) -> None:
    filled = [Filled(Store(at), bare_storage(str(at)), objects=20) for at in (tmp_path / "a", tmp_path / "b")]
    seconds = timed(filled, images=2, repeats=2)
    assert [(len(rounds), *map(len, rounds)) for rounds in seconds.values()] == [(2, 2, 2)] * len(WAYS)
    assert all(took > 0 for rounds in seconds.values() for both in rounds for took in both)
    lines = table([20, 20], seconds).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {way}" for way in WAYS]
    # Two images at first and two in each of three rounds.
    assert [files(at) for at in (tmp_path / "a", tmp_path / "b")] == [8 * OBJECTS] * 2


def test_the_ratio_is_that_of_the_slowest_size_within_a_round() -> None:
    # The machine was ten times slower in the second round, the larger store always twice as slow.
    line = table([1, 2], {"way": [[0.1, 0.2], [1.0, 2.0], [0.1, 0.2]]}).splitlines()[-1]
    assert line == "| way | 10 | 5 | 2.00 |"


def test_an_image_has_ten_objects_and_everything_that_is_lost_or_changed_is_counted(tmp_path: Path) -> None:
    store, images = Store(tmp_path), [stored(number) for number in range(3)]
    assert lost(store, images) == 3 * OBJECTS
    fill(store, 3)
    assert lost(store, images) == 0
    assert files(tmp_path) == 3 * OBJECTS
    first, second = list(images[0].scores)[:2]
    (tmp_path / "scores" / first[:2] / f"{first}.json").unlink()
    store.put_scores(second, {"values": [0.0, 0.0]})
    assert lost(store, images) == 2


@pytest.fixture(params=["folder", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path)
        return
    with served(["sixteen"]):
        yield "s3://sixteen/evidence"


@pytest.mark.heavy
def test_sixteen_writers_of_the_same_and_of_different_objects_lose_nothing(address: str) -> None:
    told = many_writers(address, writers=16, images=8)
    assert told.startswith("16 processes at once, 0 failed: 2,560 puts of 1,360 objects")
    assert told.endswith("Lost or changed: 0.")
