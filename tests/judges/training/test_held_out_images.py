"""Two parts of a table: no picture is in both, and everything that is left out is counted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.errors import UsageError
from aes_audit.judges.training.annotations import RatedImage
from aes_audit.judges.training.split import split_images


def image(picture: int, rating: int = 1) -> RatedImage:
    """A rated image by the number of its picture."""
    digest = hashlib.sha256(str(picture).encode()).hexdigest()
    return RatedImage(digest, Path(f"{picture}.png"), {"clarity": rating})


@given(
    st.lists(st.integers(0, 30), min_size=2, max_size=60),
    st.one_of(st.integers(1, 60), st.floats(0.05, 0.95)),
    st.integers(0, 3),
)
def test_parts_are_disjoint_and_everything_is_accounted_for(
    pictures: list[int], held_out: int | float, seed: int
) -> None:
    try:
        found = split_images([image(number) for number in pictures], held_out, seed)
    except UsageError:
        return
    learnt, kept = ({part.sha256 for part in side} for side in (found.training, found.held_out))
    assert not learnt & kept
    assert learnt | kept == {image(number).sha256 for number in pictures}
    assert (len(learnt), len(kept)) == (len(found.training), len(found.held_out))
    assert len(learnt) + len(kept) + found.repeated + found.leaking == len(pictures)


def test_a_number_holds_out_the_last_rows_as_the_paper_does() -> None:
    rows = [image(number) for number in range(40)]
    found = split_images(rows, 7, seed=0)
    assert (found.training, found.held_out) == (tuple(rows[:33]), tuple(rows[33:]))


def test_a_held_out_picture_that_is_rated_earlier_too_is_not_learnt_from() -> None:
    rows = [image(1), image(2), image(2), image(3), image(3), image(1, rating=0)]
    found = split_images(rows, 2, seed=0)
    assert [part.classes["clarity"] for part in found.held_out] == [1, 0]
    assert found.training == (rows[1],)
    assert (found.repeated, found.leaking) == (1, 2)


def test_with_a_share_a_picture_stays_in_its_part_when_the_table_grows() -> None:
    rows = [image(number) for number in range(400)]
    small, large = split_images(rows[:200], 0.25, seed=0), split_images(rows, 0.25, seed=0)
    assert {part.sha256 for part in small.held_out} <= {part.sha256 for part in large.held_out}
    assert 70 <= len(large.held_out) <= 130
    assert split_images(rows, 0.25, seed=1).held_out != large.held_out
    assert large.leaking == 0


def test_digests_are_of_pictures_and_classes() -> None:
    rows = [image(number) for number in range(4)]
    found, same = split_images(rows, 1, 0).digests, split_images(list(rows), 1, 0).digests
    other = split_images([image(0, rating=2), *rows[1:]], 1, 0).digests
    assert found == same
    assert found["training"] != other["training"]
    assert found["held_out"] == other["held_out"]


@pytest.mark.parametrize(
    ("held_out", "said"), [(3, "none is left to learn from"), (9, "none is left to learn from"), (1e-9, "held out")]
)
def test_an_empty_part_is_refused(held_out: int | float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        split_images([image(number) for number in range(3)], held_out, seed=0)
