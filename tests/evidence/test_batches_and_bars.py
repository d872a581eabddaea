"""Fixed batches of a plan, and progress bars that never get in the way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.evidence.batches import fixed_batches
from aes_audit.evidence.progress import Progress


@given(plan=st.lists(st.integers()), size=st.integers(1, 7))
def test_batches_are_the_plan_in_order_and_all_but_the_last_are_full(plan: list[int], size: int) -> None:
    batches = list(fixed_batches(plan, size))
    assert [entry for batch in batches for entry in batch] == plan
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(batches)


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
