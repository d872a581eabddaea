"""AUROC and its clustered interval against scikit-learn and brute force."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from aes_audit.statistics.auroc import auroc, clustered_delong
from aes_audit.statistics.intervals import clopper_pearson

seeded = settings(derandomize=True, deadline=None, max_examples=60)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SCORES = st.integers(-6, 6).map(lambda step: step / 4) | st.floats(-5, 5, width=16)


@st.composite
def labelled(draw: st.DrawFn, smallest: int = 2, largest: int = 40) -> tuple[Floats, Bools]:
    """Scores, often tied, and truths of equal length; a class may be empty."""
    rows = draw(st.lists(st.tuples(SCORES, st.booleans()), min_size=smallest, max_size=largest))
    return np.array([score for score, _ in rows]), np.array([true for _, true in rows], dtype=np.bool_)


PAIRED = np.array([2.1, 0.4, 1.7, 3, 0.9, 1.2, 1.5, 0.8, 0.2, 2.4, 1, 0.1])
PAIRED_TRUTH = np.arange(12) < 6


def brute_force_variance(scores: Floats, truth: Bools, items: npt.NDArray[np.int64]) -> float:
    """The formula of STATISTICS section 4, item by item and pair by pair."""

    def wins(positive: float, negative: float) -> float:
        return float(positive > negative) + 0.5 * float(positive == negative)

    positives, negatives = scores[truth], scores[~truth]
    area = np.mean([wins(x, y) for x in positives for y in negatives])
    names = sorted(set(items))
    s1 = dict.fromkeys(names, 0.0)
    s0 = dict.fromkeys(names, 0.0)
    for score, positive, name in zip(scores, truth, items, strict=True):
        if positive:
            s1[name] += float(np.mean([wins(score, other) for other in negatives]) - area)
        else:
            s0[name] += float(np.mean([wins(other, score) for other in positives]) - area)
    i, i1, i0 = len(names), len(set(items[truth])), len(set(items[~truth]))
    p, n = len(positives), len(negatives)
    return float(
        i1 / (i1 - 1) * sum(v**2 for v in s1.values()) / p**2
        + i0 / (i0 - 1) * sum(v**2 for v in s0.values()) / n**2
        + 2 * i / (i - 1) * sum(s1[name] * s0[name] for name in names) / (p * n)
    )


@seeded
@given(labelled())
def test_area_agrees_with_scikit_learn(table: tuple[Floats, Bools]) -> None:
    scores, truth = table
    if truth.all() or not truth.any():
        with pytest.raises(ValueError, match="both classes"):
            auroc(scores, truth)
        return
    assert auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


@seeded
@given(labelled(4, 25), st.integers(1, 12))
def test_variance_agrees_with_brute_force(table: tuple[Floats, Bools], clusters: int) -> None:
    scores, truth = table
    items = np.arange(len(scores)) * 7 % clusters
    if min(len(set(items[truth])), len(set(items[~truth]))) < 2:
        return
    assert clustered_delong(scores, truth, items).variance == pytest.approx(
        brute_force_variance(scores, truth, items), abs=1e-12
    )


def test_printed_clusters_change_the_variance_and_not_the_area() -> None:
    alone = clustered_delong(PAIRED, PAIRED_TRUTH)
    pairs = clustered_delong(PAIRED, PAIRED_TRUTH, np.tile(np.arange(6), 2))
    assert alone.area == pairs.area == pytest.approx(0.694444, abs=5e-7)
    assert alone.variance == pytest.approx(0.0274691, abs=5e-8)
    assert pairs.variance == pytest.approx(0.0141975, abs=5e-8)
    assert pairs.variance is not None
    assert np.sqrt(pairs.variance) == pytest.approx(0.119153, abs=5e-7)


def test_printed_logit_interval_stays_below_one() -> None:
    result = clustered_delong(np.array([1.9, 0.3, 2.2, 0.8, -0.4, -1.1, 0.1, 1.4]), np.arange(8) < 4)
    assert result.area == 0.875
    assert result.variance is not None
    assert np.sqrt(result.variance) == pytest.approx(0.144338, abs=5e-7)
    assert result.interval.bounds == pytest.approx((0.3451, 0.9894), abs=5e-5)
    assert result.area + 1.96 * np.sqrt(result.variance) > 1.15


@pytest.mark.parametrize(("sign", "successes"), [(1, 5), (-1, 0)])
def test_perfect_separation_gets_the_exact_interval_of_the_smaller_class(sign: int, successes: int) -> None:
    truth = np.arange(40) < 5
    result = clustered_delong(np.where(truth, sign * 1.0, 0.0) + np.arange(40) / 1000 * sign, truth)
    assert result.area == (sign > 0)
    assert result.interval.bounds == clopper_pearson(successes, 5)
    assert result.interval.method == "exact"


def test_all_scores_equal_have_an_area_but_no_interval() -> None:
    result = clustered_delong(np.zeros(20), np.arange(20) < 9)
    assert (result.area, result.interval.bounds, result.interval.reason) == (0.5, None, "no variation")


def test_one_item_of_a_class_has_no_variance() -> None:
    result = clustered_delong(np.array([1.0, 0.0, 2.0, 1.5]), np.array([True, False, False, False]))
    assert result.variance is None
    assert result.interval.reason == "fewer than two items of a class"


@seeded
@given(labelled(6, 40))
def test_a_reversed_reward_mirrors_the_interval(table: tuple[Floats, Bools]) -> None:
    scores, truth = table
    if truth.all() or not truth.any():
        return
    ours, mirrored = clustered_delong(scores, truth), clustered_delong(-scores, truth)
    assert mirrored.area == pytest.approx(1 - ours.area, abs=1e-12)
    if ours.interval.bounds is not None:
        low, high = ours.interval.bounds
        assert mirrored.interval.bounds == pytest.approx((1 - high, 1 - low), abs=1e-9)


@seeded
@given(labelled(6, 40), st.integers(0, 2**32))
def test_row_order_is_irrelevant_to_the_area(table: tuple[Floats, Bools], seed: int) -> None:
    scores, truth = table
    if truth.all() or not truth.any():
        return
    order = np.random.default_rng(seed).permutation(len(scores))
    items = np.arange(len(scores)) // 2
    ours = clustered_delong(scores, truth, items)
    shuffled = clustered_delong(scores[order], truth[order], items[order])
    assert shuffled.area == pytest.approx(ours.area, abs=1e-12)
    assert shuffled.variance == pytest.approx(ours.variance, abs=1e-12)


def test_the_clustered_interval_covers_pooled_models() -> None:
    # Ten models share 100 items with correlation .8: rows taken as independent would cover about .6.
    rng = np.random.default_rng(8)
    items, truth_area, hits, runs = np.tile(np.arange(100), 10), 0.7602, 0, 200
    for _ in range(runs):
        truth = np.tile(rng.random(100) < 0.5, 10)
        shared = np.tile(rng.normal(0, np.sqrt(0.8), 100), 10)
        scores = truth * 1.0 + shared + rng.normal(0, np.sqrt(0.2), 1000)
        bounds = clustered_delong(scores, truth, items).interval.bounds
        assert bounds is not None
        hits += bounds[0] <= truth_area <= bounds[1]
    assert hits / runs >= 0.91
