"""The benchmark of the store measures what it says, and notices a store that loses something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from bare_storage import bare_storage
from object_server import served
from store import ASKING, WRITING, Filled, Rounds, Way, many_writers, table, timed
from stored_objects import OBJECTS, fill, lost, stored

from aes_audit.evidence.store import Store


def files(folder: Path) -> int:
    return sum(path.is_file() for room in ("blobs", "images", "scores") for path in (folder / room).rglob("*"))


@pytest.mark.parametrize("ways", [ASKING, WRITING], ids=["asking", "writing"])
def test_every_way_is_timed_on_every_store_and_the_table_has_a_line_for_each(
    tmp_path: Path, ways: Mapping[str, Way]
) -> None:
    places = [tmp_path / "a", tmp_path / "b"]
    for place in places:
        fill(Store(place), 2)
    filled = [Filled(Store(place), bare_storage(str(place)), objects=20) for place in places]
    found = timed(filled, ways, images=2, repeats=2)
    assert [[len(both) for both in rounds.wall] for rounds in found.values()] == [[2, 2]] * len(ways)
    assert all(took > 0 for rounds in found.values() for both in rounds.wall + rounds.cpu for took in both)
    lines = table([20, 20], found).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {way}" for way in ways]
    # What the rounds put is gone.
    assert [files(place) for place in places] == [2 * OBJECTS] * 2


def test_the_ratio_is_that_of_the_slowest_size_within_a_round() -> None:
    # The machine was ten times slower in the second round, the larger store always twice as slow.
    wall = [[0.1, 0.2], [1.0, 2.0], [0.1, 0.2]]
    line = table([1, 2], {"way": Rounds(wall, [[0.1, 0.1]])}).splitlines()[-1]
    assert line == "| way | 10 | 5 | 2.00 | 1.00 |"


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
    with served({"sixteen": tmp_path}) as addresses:
        yield addresses[0]


@pytest.mark.heavy
def test_sixteen_writers_of_the_same_and_of_different_objects_lose_nothing(address: str) -> None:
    told = many_writers(address, writers=16, images=8)
    assert told.startswith("16 processes at once, 0 failed: 2,560 puts of 1,360 objects")
    assert told.endswith("Lost or changed: 0.")
