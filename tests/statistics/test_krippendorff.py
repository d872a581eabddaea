"""Krippendorff's alpha against the published example and an independent package."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes_audit.statistics.bootstrap import bootstrap, statistic_of_sums
from aes_audit.statistics.krippendorff import coincidences, ordinal_alpha

seeded = settings(derandomize=True, deadline=None, max_examples=150)

# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section D: four observers, twelve units; 0 is none.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)

COUNTS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=30)


def _alpha(counts: np.ndarray) -> float:
    return float(ordinal_alpha(coincidences(counts).sum(axis=0)))


def test_the_published_example_gives_the_published_value() -> None:
    counts = np.array([[int((unit == level).sum()) for level in range(1, 6)] for unit in PUBLISHED.T])
    assert round(_alpha(counts), 3) == 0.815


@seeded
@given(COUNTS)
def test_alpha_agrees_with_the_package_krippendorff(rows: list[tuple[int, int, int]]) -> None:
    counts = np.array(rows)
    several = counts[counts.sum(axis=1) >= 2]
    if len(several) == 0 or np.count_nonzero(several.sum(axis=0)) < 2:
        assert np.isnan(_alpha(counts))
        return
    expected = krippendorff.alpha(value_counts=several, value_domain=[0, 1, 2], level_of_measurement="ordinal")
    assert _alpha(counts) == pytest.approx(expected, abs=1e-12)


def test_agreement_is_one_chance_is_zero_and_opposition_is_below() -> None:
    assert _alpha(np.array([[3, 0, 0], [0, 3, 0], [0, 0, 3]])) == 1
    draw = np.random.default_rng(0)
    assert abs(_alpha(draw.multinomial(5, [0.3, 0.3, 0.4], 4000))) < 0.02
    assert _alpha(np.array([[1, 0, 1]] * 10)) < 0


def test_a_rating_without_another_says_nothing() -> None:
    assert _alpha(np.array([[2, 0, 0], [0, 1, 1], [0, 0, 1]])) == _alpha(np.array([[2, 0, 0], [0, 1, 1]]))


def test_its_bootstrap_draws_whole_units() -> None:
    draw = np.random.default_rng(1)
    truth = draw.integers(0, 3, 60)
    counts = np.array([np.bincount(np.clip(each + draw.integers(-1, 2, 4), 0, 2), minlength=3) for each in truth])
    interval = bootstrap(statistic_of_sums(coincidences(counts), ordinal_alpha), 60, seed=3)
    plain = np.random.default_rng(3)
    resampled = [
        krippendorff.alpha(
            value_counts=counts[plain.integers(0, 60, 60)], value_domain=[0, 1, 2], level_of_measurement="ordinal"
        )
        for _ in range(500)
    ]
    assert interval.bounds is not None
    assert interval.bounds == pytest.approx(tuple(np.percentile(resampled, [2.5, 97.5])), abs=0.03)
