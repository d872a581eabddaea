"""The bootstrap ladder against scipy's own bootstrap, rung by rung."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from aes_audit.statistics import bootstrap as module
from aes_audit.statistics.agreement import mae, quadratic_kappa, row_sums
from aes_audit.statistics.bootstrap import bootstrap, statistic_of_sums
from aes_audit.statistics.classification import balanced_accuracy, confusion, f1
from aes_audit.statistics.intervals import bca_mean
from aes_audit.statistics.paired import bca_effect
from aes_audit.statistics.signed_rank import resampled_effects, sign_groups

# Its stubs know no z.
scipy_wilcoxon: Any = stats.wilcoxon
Floats = npt.NDArray[np.float64]


def scipy_bounds(values: Floats, statistic: Callable[..., Floats], resamples: int, seed: int) -> tuple[float, float]:
    """The interval of scipy for a statistic of rows, drawing positions so that rows stay whole."""
    result = stats.bootstrap(
        (np.arange(len(values)),),
        lambda positions, axis=-1: statistic(values[positions]),
        method="BCa",
        n_resamples=resamples,
        vectorized=True,
        axis=-1,
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return float(low), float(high)


@pytest.mark.parametrize("draw", ["normal", "exponential", "standard_cauchy"])
@pytest.mark.parametrize("n", [20, 100, 137])
def test_means_agree_with_scipy(draw: str, n: int) -> None:
    values = getattr(np.random.default_rng(n), draw)(size=n)
    theirs = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=999, rng=np.random.default_rng(5))
    ours = bca_mean(values, seed=5, resamples=999)
    assert ours.method == "bca"
    assert ours.bounds == pytest.approx(tuple(theirs.confidence_interval), abs=1e-12)


@pytest.mark.parametrize("score", [balanced_accuracy, f1])
def test_scores_of_a_classifier_agree_with_scipy(score: Callable[[Floats], Floats]) -> None:
    rng = np.random.default_rng(2)
    truth = rng.random(80) < 0.7
    cells = confusion(rng.random(80) < np.where(truth, 0.8, 0.4), truth)
    ours = bootstrap(statistic_of_sums(cells, score), 80, seed=9, resamples=999)
    assert ours.method == "bca"
    assert ours.bounds == pytest.approx(scipy_bounds(cells, lambda rows: score(rows.sum(axis=-2)), 999, 9), abs=1e-12)


@pytest.mark.parametrize("score", [mae, quadratic_kappa])
def test_agreement_of_a_judge_agrees_with_scipy(score: Callable[[Floats], Floats]) -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 60)
    sums = row_sums(np.clip(truth + rng.normal(0, 0.6, 60), 0, 2), truth)
    ours = bootstrap(statistic_of_sums(sums, score), 60, seed=4, resamples=999)
    assert ours.bounds == pytest.approx(scipy_bounds(sums, lambda rows: score(rows.sum(axis=-2)), 999, 4), abs=1e-12)


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_the_effect_of_a_paired_test_agrees_with_scipy(decimals: int) -> None:
    differences = np.round(np.random.default_rng(decimals).normal(0.3, 1, 40), decimals)

    def effect(rows: Floats, axis: int = -1) -> Floats:
        z = scipy_wilcoxon(rows, correction=False, alternative="greater", method="asymptotic", axis=axis).zstatistic
        return np.asarray(-z / np.sqrt(rows.shape[-1]), dtype=np.float64)

    positions = np.random.default_rng(1).integers(0, 40, (299, 40))
    assert bca_effect(differences, seed=1).method == "bca"
    ours = resampled_effects(sign_groups(differences), positions)
    assert ours == pytest.approx(effect(differences[positions]), abs=1e-12)


@pytest.mark.parametrize("cells", [64, 1000, 1 << 20])
def test_memory_is_bounded_without_changing_the_result(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=50)
    expected = bca_mean(values, seed=1, resamples=500)
    monkeypatch.setattr(module, "CHUNK_CELLS", cells)
    assert bca_mean(values, seed=1, resamples=500) == expected


def test_fewer_than_twenty_items_have_no_interval() -> None:
    interval = bca_mean(np.arange(19.0), seed=1)
    assert (interval.bounds, interval.reason) == (None, "n < 20")


def test_a_statistic_that_never_varies_has_no_interval() -> None:
    sums = np.tile([0.1, 1.0], (30, 1))
    interval = bootstrap(statistic_of_sums(sums, lambda total: total[..., 0] / total[..., 1]), 30, seed=1)
    assert (interval.bounds, interval.reason) == (None, "no variation")


def test_percentiles_stand_in_where_bca_is_undefined_and_say_so() -> None:
    # One negative among 40: about a third of the resamples hold none, and balanced accuracy has no value there.
    truth = np.arange(40) > 0
    cells = confusion(np.arange(40) % 3 > 0, truth)
    interval = bootstrap(statistic_of_sums(cells, balanced_accuracy), 40, seed=1)
    assert interval.method == "percentile"
    assert interval.reason is not None
    assert 0.3 < interval.undefined / module.RESAMPLES < 0.43


def test_an_estimate_outside_its_own_resamples_gets_percentiles() -> None:
    values = np.random.default_rng(0).normal(size=30)

    def lowest(positions: npt.NDArray[np.int64]) -> Floats:
        # Never below the sample's minimum: the bias correction is infinite.
        return np.asarray(values[positions].min(axis=-1) + (positions.shape[0] > 1), dtype=np.float64)

    assert bootstrap(lowest, 30, seed=1).method == "percentile"


def test_mirrored_items_mirror_the_interval() -> None:
    values = np.random.default_rng(3).exponential(size=120)
    for interval in (bca_mean, bca_effect):
        ours, mirrored = interval(values - 0.8, seed=2).bounds, interval(0.8 - values, seed=2).bounds
        assert ours is not None
        assert mirrored == pytest.approx((-ours[1], -ours[0]), abs=1e-12)


@pytest.mark.parametrize(("draw", "floor"), [("normal", 0.92), ("exponential", 0.92)])
def test_bca_covers_the_mean_of_300_items(draw: str, floor: float) -> None:
    truth, runs, hits = {"normal": 0.0, "exponential": 1.0}[draw], 300, 0
    rng = np.random.default_rng(11)
    for run in range(runs):
        bounds = bca_mean(getattr(rng, draw)(size=300), seed=run, resamples=399).bounds
        assert bounds is not None
        hits += bounds[0] <= truth <= bounds[1]
    assert hits / runs >= floor
