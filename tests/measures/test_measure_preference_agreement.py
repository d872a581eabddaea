"""Two judges of the same pairs: kappa as scikit-learn has it, ties, missing answers, and tables made elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, cohen_kappa_score

from aes_audit.errors import MissingScores, UsageError
from aes_audit.evidence.table import Evidence
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.registry import measure
from aes_audit.statistics.intervals import clopper_pearson

Build = Callable[..., Evidence]
VALUES = (0.0, 0.5, 1.0)
Answers = Sequence[float] | np.ndarray[Any, np.dtype[np.float64]]


def agreement(build: Build, one: Answers, other: Answers, **more: Any) -> Measurement:
    """How far judges `x` and `y` agree."""
    cells = {("m", "pairs", "pair", "wide", f"preference/{name}"): found for name, found in (("x", one), ("y", other))}
    call: dict[str, Any] = {"scorer": "preference/x", "truth": "preference/y", **more}
    return measure("preference_agreement", build(cells), model="m", **call)


def test_kappa_and_untied_accuracy_are_those_of_scikit_learn(build: Build) -> None:
    rng = np.random.default_rng(0)
    one = rng.choice(VALUES, size=300, p=[0.3, 0.2, 0.5])
    other = np.where(rng.random(300) < 0.6, one, rng.choice(VALUES, size=300))
    found = agreement(build, one, other)
    classes = [(2 * part).astype(int) for part in (one, other)]
    assert found.estimate == pytest.approx(cohen_kappa_score(*classes, weights="quadratic"), abs=1e-12)
    untied = (one != 0.5) & (other != 0.5)
    assert found.details["untied"] == untied.sum()
    assert found.details["untied_accuracy"] == accuracy_score(one[untied] == 1, other[untied] == 1)
    same = int((one == other)[untied].sum())
    assert found.details["untied_accuracy_interval"] == list(clopper_pearson(same, int(untied.sum())))
    assert found.details["ties"] == [int((one == 0.5).sum()), int((other == 0.5).sum())]
    expected = [[int(((one == row) & (other == column)).sum()) for column in VALUES] for row in VALUES]
    assert found.details["table"] == expected
    assert found.details["judges"] == ["preference/x", "preference/y"]
    low, high = found.interval or (1.0, -1.0)
    assert low < (found.estimate or 0.0) < high


@settings(max_examples=25, deadline=None)
@given(pairs=st.lists(st.tuples(st.sampled_from(VALUES), st.sampled_from(VALUES)), min_size=1, max_size=12))
def test_kappa_is_scikit_learns_for_any_answers_and_either_judge_may_come_first(
    build: Build, pairs: list[tuple[float, float]]
) -> None:
    one, other = (list(part) for part in zip(*pairs, strict=True))
    found, turned = agreement(build, one, other), agreement(build, other, one)
    assert turned.estimate == found.estimate
    classes = [[int(2 * value) for value in part] for part in (one, other)]
    if len(set(classes[0] + classes[1])) == 1:
        assert found.estimate is None
        assert found.reason == "both judges say one thing throughout"
    else:
        expected = cohen_kappa_score(*classes, weights="quadratic", labels=[0, 1, 2])
        assert found.estimate == pytest.approx(expected, abs=1e-12)


def test_the_interval_covers_what_the_sample_was_drawn_from(build: Build) -> None:
    # A population in which two judges agree on 7 of 10: its kappa from the whole table, and samples of 200 of it.
    cells = [(1.0, 1.0)] * 45 + [(0.0, 0.0)] * 20 + [(0.5, 0.5)] * 5 + [(1.0, 0.0)] * 15 + [(0.5, 1.0)] * 15
    truth = cohen_kappa_score(*([int(2 * pair[side]) for pair in cells] for side in (0, 1)), weights="quadratic")
    rng, covered = np.random.default_rng(1), 0
    for _ in range(40):
        drawn = np.array(cells)[rng.integers(0, len(cells), 200)]
        interval = agreement(build, drawn[:, 0], drawn[:, 1]).interval
        covered += interval is not None and interval[0] <= truth <= interval[1]
    assert covered >= 34


def test_judges_that_always_agree_have_kappa_one_and_no_variation(build: Build) -> None:
    found = agreement(build, [0.0, 1.0] * 15, [0.0, 1.0] * 15)
    assert (found.estimate, found.interval, found.reason) == (1.0, None, "no variation")


def test_chance_is_zero_and_contradiction_is_below(build: Build) -> None:
    assert agreement(build, [0.0, 0.0, 1.0, 1.0] * 10, [0.0, 1.0, 0.0, 1.0] * 10).estimate == pytest.approx(0)
    assert agreement(build, [0.0, 1.0] * 20, [1.0, 0.0] * 20).estimate == pytest.approx(-1)


def test_items_without_both_answers_are_left_out_and_counted(build: Build) -> None:
    one = [1.0, 0.0, 0.5, np.nan, 1.0]
    other = [1.0, 0.0, 1.0, 1.0, np.nan]
    found = agreement(build, one, other)
    assert (found.n, found.missing) == (3, 2)
    assert found.estimate == pytest.approx(cohen_kappa_score([2, 0, 1], [2, 0, 2], weights="quadratic"))


def test_a_judge_is_not_compared_with_itself_nor_with_one_that_the_table_lacks(build: Build) -> None:
    with pytest.raises(UsageError, match="always agrees with itself"):
        agreement(build, [1.0], [1.0], truth="preference/x")
    with pytest.raises(MissingScores, match="preference/z"):
        agreement(build, [1.0], [1.0], truth="preference/z")
