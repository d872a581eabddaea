"""Intervals against statsmodels and scipy, and the numbers that STATISTICS prints."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from aes_audit.statistics.intervals import (
    bca_mean,
    bonett_price,
    clopper_pearson,
    mean_interval,
    proportion,
    student_t,
    wilson,
)

seeded = settings(derandomize=True, deadline=None, max_examples=60)

CONFIDENCES = st.sampled_from([0.8, 0.9, 0.95, 0.96, 0.99])
VALUES = st.lists(st.floats(-5, 5, width=16), min_size=2, max_size=60).map(np.array)
COUNTS = st.integers(1, 400).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@seeded
@given(COUNTS, CONFIDENCES)
def test_exact_and_wilson_intervals_agree_with_statsmodels(counts: tuple[int, int], confidence: float) -> None:
    for ours, method in ((clopper_pearson, "beta"), (wilson, "wilson")):
        theirs = proportion_confint(*counts, alpha=1 - confidence, method=method)
        assert ours(*counts, confidence) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(
    ("successes", "trials", "exact", "score"),
    [
        (3, 3, (0.2924, 1), (0.4385, 1)),
        (0, 10, (0, 0.3085), (0, 0.2775)),
        (44, 100, (0.3408, 0.5428), (0.3467, 0.5377)),
        (168, 300, (0.5018, 0.6170), (0.5034, 0.6151)),
        (240, 300, (0.7502, 0.8438), (0.7511, 0.8413)),
        (300, 300, (0.9878, 1), (0.9874, 1)),
    ],
)
def test_printed_proportions(
    successes: int, trials: int, exact: tuple[float, float], score: tuple[float, float]
) -> None:
    assert clopper_pearson(successes, trials) == pytest.approx(exact, abs=5e-5)
    assert wilson(successes, trials) == pytest.approx(score, abs=5e-5)


@seeded
@given(COUNTS, st.sampled_from(["exact", "wilson"]))
def test_one_more_success_never_lowers_a_bound(counts: tuple[int, int], kind: str) -> None:
    successes, trials = counts
    if successes < trials:
        before = proportion(successes, trials, kind=kind).bounds
        after = proportion(successes + 1, trials, kind=kind).bounds
        assert before is not None
        assert after is not None
        assert before[0] <= after[0]
        assert before[1] <= after[1]


@seeded
@given(COUNTS)
def test_failures_mirror_successes(counts: tuple[int, int]) -> None:
    successes, trials = counts
    for interval in (clopper_pearson, wilson):
        low, high = interval(successes, trials)
        assert interval(trials - successes, trials) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_no_trials_say_nothing() -> None:
    assert clopper_pearson(0, 0) == wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("counts", [(4, 3), (-1, 3)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="impossible"):
        clopper_pearson(*counts)


def test_an_unknown_interval_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'wald'"):
        proportion(1, 2, kind="wald")


@pytest.mark.parametrize(
    ("pairs", "estimate", "bounds"),
    [
        ((41, 35), -0.0200, (-0.0771, 0.0374)),
        ((20, 10), -0.0333, (-0.0696, 0.0034)),
        ((0, 0), 0.0, (-0.0092, 0.0092)),
    ],
)
def test_printed_bonett_price(pairs: tuple[int, int], estimate: float, bounds: tuple[float, float]) -> None:
    assert (pairs[1] - pairs[0]) / 300 == pytest.approx(estimate, abs=5e-5)
    assert bonett_price(*pairs, 300) == pytest.approx(bounds, abs=5e-5)


@seeded
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200), CONFIDENCES)
def test_bonett_price_is_a_wald_interval_of_smoothed_counts(b: int, c: int, agree: int, confidence: float) -> None:
    if b + c + agree == 0:
        return
    # Oracle: the mean and population variance of -1, +1 and 0 scores after adding one pair of each sign.
    scores = np.repeat([-1.0, 1.0, 0.0], [b + 1, c + 1, agree])
    half = stats.norm.ppf((1 + confidence) / 2) * np.std(scores) / math.sqrt(len(scores))
    expected = np.clip([scores.mean() - half, scores.mean() + half], -1, 1)
    assert bonett_price(b, c, b + c + agree, confidence) == pytest.approx(expected, abs=1e-12)


@seeded
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 200))
def test_swapped_models_mirror_bonett_price(b: int, c: int, agree: int) -> None:
    low, high = bonett_price(b, c, b + c + agree)
    assert bonett_price(c, b, b + c + agree) == pytest.approx((-high, -low), abs=1e-12)


def test_more_discordant_pairs_than_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="impossible"):
        bonett_price(3, 3, 5)


@seeded
@given(VALUES, CONFIDENCES)
def test_student_t_agrees_with_scipy(values: npt.NDArray[np.float64], confidence: float) -> None:
    if np.ptp(values) > 0:
        theirs = stats.ttest_1samp(values, 0).confidence_interval(confidence)
        assert student_t(values, confidence) == pytest.approx(tuple(theirs), abs=1e-12)


def test_one_value_has_no_t_interval() -> None:
    with pytest.raises(ValueError, match="two values"):
        student_t(np.array([1.0]))


@pytest.mark.parametrize(("n", "method"), [(1, None), (19, None), (20, "student_t"), (99, "student_t"), (100, "bca")])
def test_the_ladder_of_a_mean_follows_n(n: int, method: str | None) -> None:
    interval = mean_interval(np.random.default_rng(n).normal(size=n), seed=1)
    assert interval.method == method
    assert interval.reason == ("n < 20" if method is None else None)
    assert (interval.bounds is None) == (method is None)


@pytest.mark.parametrize("n", [20, 50, 300])
def test_equal_values_have_no_interval(n: int) -> None:
    interval = mean_interval(np.full(n, 0.1), seed=1)
    assert interval.bounds is None
    assert interval.reason == "no variation"


def test_the_interval_of_a_mean_does_not_depend_on_the_process() -> None:
    values = np.random.default_rng(7).exponential(size=150)
    assert bca_mean(values, seed=3) == bca_mean(values.copy(), seed=3)
    assert bca_mean(values, seed=3).bounds != bca_mean(values, seed=4).bounds
