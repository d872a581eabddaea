"""Successes, ties and missing items of a preference judge."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from aes_audit.errors import MissingScores, UsageError
from aes_audit.evidence.table import Evidence
from aes_audit.measures.registry import measure
from aes_audit.statistics.intervals import clopper_pearson, wilson

Build = Callable[..., Evidence]


def preferences(build: Build, *values: tuple[float, int], scorer: str = "preference/vlm") -> Evidence:
    return build(
        {
            ("m", "pairs", "pair", "wide", scorer): np.repeat(
                [value for value, _ in values], [count for _, count in values]
            )
        }
    )


def test_ties_of_the_judge_are_not_successes(build: Build) -> None:
    found = measure("success_rate", preferences(build, (1, 168), (0.5, 12), (0, 120)), model="m")
    assert (found.n, found.missing, found.estimate) == (300, 0, 0.56)
    assert found.interval == clopper_pearson(168, 300)
    assert found.details["ties"] == 12
    assert found.details["successes"] == 168


def test_missing_items_are_not_successes_and_are_reported_apart(build: Build) -> None:
    found = measure("success_rate", preferences(build, (1, 223), (0, 71), (np.nan, 6)), model="m")
    assert (found.n, found.missing, found.estimate) == (294, 6, 223 / 300)
    assert found.interval == pytest.approx((0.6900, 0.7918), abs=5e-5)
    # Counted as successes they leave .80 possible: no regression was shown.
    assert found.details["best_interval"][1] == pytest.approx(0.8103, abs=5e-5)


def test_a_planned_item_without_a_row_is_missing(build: Build) -> None:
    table = preferences(build, (1, 20))
    found = measure("success_rate", table, model="m", expected=[f"{number:04}" for number in range(25)])
    assert (found.n, found.missing, found.estimate) == (20, 5, 0.8)


def test_items_outside_the_plan_are_left_out(build: Build) -> None:
    table = preferences(build, (1, 20), (0, 10))
    found = measure("success_rate", table, model="m", expected=[f"{number:04}" for number in range(10, 30)])
    assert (found.n, found.missing, found.estimate) == (20, 0, 0.5)


def test_no_score_at_all_is_not_a_rate_of_zero(build: Build) -> None:
    found = measure("success_rate", preferences(build, (np.nan, 30)), model="m")
    assert (found.n, found.missing, found.estimate, found.interval) == (0, 30, None, None)
    assert found.reason == "0 of 30 items have every score"


def test_wilson_can_be_asked_for(build: Build) -> None:
    found = measure("success_rate", preferences(build, (1, 9), (0, 3)), model="m", interval="wilson", confidence=0.9)
    assert found.interval == wilson(9, 12, 0.9)
    assert found.details["interval_method"] == "wilson"


def test_one_more_success_never_worsens_the_rate(build: Build) -> None:
    bounds = []
    for successes in range(31):
        found = measure("success_rate", preferences(build, (1, successes), (0, 30 - successes)), model="m")
        assert found.interval is not None
        bounds.append((found.estimate, *found.interval))
    assert bounds == sorted(bounds)
    assert all(now[1] <= after[1] and now[2] <= after[2] for now, after in pairwise(bounds))


def test_the_judge_must_be_named_where_the_table_holds_two(build: Build) -> None:
    cells = {("m", "pairs", "pair", "wide", f"preference/{judge}"): [1.0, 0.0] for judge in ("a", "b")}
    with pytest.raises(UsageError, match="preference/a, preference/b"):
        measure("success_rate", build(cells), model="m")
    assert measure("success_rate", build(cells), model="m", scorer="preference/b").scorer == "preference/b"


def test_a_table_without_a_preference_judge_is_skipped(build: Build) -> None:
    with pytest.raises(MissingScores, match="success_rate"):
        measure("success_rate", build({("m", "pairs", "wide", "original", "hpsv3"): [1.0]}), model="m")
