"""Fixed batches of a plan, and progress bars that never get in the way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from evidence.toy_stage import kept_by, toy
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.evidence.batches import WHOLE, Part, fixed_batches, planned
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.store import Store


@given(plan=st.lists(st.integers()), size=st.integers(1, 7))
def test_batches_are_the_plan_in_order_and_all_but_the_last_are_full(plan: list[int], size: int) -> None:
    batches = list(fixed_batches(plan, size))
    assert [entry for batch in batches for entry in batch] == plan
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(batches)


@given(plan=st.lists(st.integers()), size=st.integers(1, 7), count=st.integers(1, 9), place=st.integers(0, 20))
def test_parts_are_whole_batches_of_the_plan_and_together_all_of_it(
    plan: list[int], size: int, count: int, place: int
) -> None:
    numbered = list(enumerate(plan))
    parts = [list(Part(number, count, place).of(numbered, size)) for number in range(1, count + 1)]
    assert sorted(entry for part in parts for entry in part) == numbered
    batches = [tuple(batch) for batch in fixed_batches(numbered, size)]
    for part in parts:
        assert set(map(tuple, fixed_batches(part, size))) <= set(batches)
        assert abs(len(list(fixed_batches(part, size))) - len(batches) / count) < 1
    assert WHOLE.of(plan, size) == plan


def test_many_short_plans_are_spread_over_all_parts() -> None:
    lengths = [sum(len(Part(number, 64, place).of(range(19), 1)) for place in range(10)) for number in range(1, 65)]
    assert set(lengths) == {2, 3}


@given(keys=st.lists(st.none() | st.sampled_from("abcdef")), size=st.integers(1, 7))
def test_every_key_of_a_plan_is_wanted_once_of_the_first_batch_that_has_it(keys: list[str | None], size: int) -> None:
    plan = [(key, place) for place, key in enumerate(keys)]
    batches = list(planned(plan, size))
    assert [entry for batch in batches for entry in batch.entries] == [entry for entry in plan if entry[0] is not None]
    assert [len(batch.entries) for batch in batches] == [
        sum(key is not None for key, _ in entries) for entries in fixed_batches(plan, size)
    ]
    for key in filter(None, set(keys)):
        assert [key in batch.wanted for batch in batches].index(True) == keys.index(key) // size
        assert sum(key in batch.wanted for batch in batches) == 1


def test_what_comes_again_is_made_in_its_first_batch_whichever_is_made_last(tmp_path: Path) -> None:
    stage = toy(["a", "b", "c", "d", "a", "e", "b", "a"])
    in_order, backwards = Store(tmp_path / "in order"), Store(tmp_path / "backwards")
    LocalEngine().run(stage, in_order)
    for batch in reversed(stage.left(backwards)):
        # As a process elsewhere does that is given one task.
        with stage.operator.start(backwards) as hands:
            for each in stage.operator.left(backwards, [batch]):
                hands.take(each)
    assert kept_by(stage, in_order) == kept_by(stage, backwards)
    assert kept_by(stage, in_order).keys() == set("abcde")


def test_of_two_bars_the_outer_one_is_drawn_unless_the_inner_one_is_meant_to_be_beneath_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lifted: list[str] = []

    @contextlib.contextmanager
    def uncaptured() -> Iterator[None]:
        lifted.append("lifted")
        yield

    progress = Progress(lambda: True, uncaptured)
    with progress.bar("pairs", done=0, total=9, unit="pair"):
        with progress.bar("hidden", done=0, total=1, unit="image") as tick:
            tick(1)
        with progress.beneath(), progress.bar("wave", done=0, total=2, unit="image") as tick:
            tick(2)
            with progress.bar("deeper", done=0, total=1, unit="image") as inner:
                inner(1)
        with progress.bar("hidden again", done=0, total=1, unit="image") as tick:
            tick(1)
    drawn = capsys.readouterr().err
    assert [title in drawn for title in ("pairs", "wave", "hidden", "deeper")] == [True, True, False, False]
    assert lifted == ["lifted"]


def test_by_default_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress().bar("images", done=0, total=3, unit="image") as tick:
        tick(3)
    assert capsys.readouterr() == ("", "")


def test_a_bar_starts_at_what_is_done_and_lifts_the_capture_while_it_is_open(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[str] = []

    @contextlib.contextmanager
    def uncaptured() -> Iterator[None]:
        seen.append("lifted")
        yield
        seen.append("back")

    with Progress(lambda: True, uncaptured).bar("images", done=2, total=5, unit="image") as tick:
        tick(3)
        assert seen == ["lifted"]
    assert seen == ["lifted", "back"]
    drawn = capsys.readouterr().err
    assert "images" in drawn
    assert "2/5" in drawn
