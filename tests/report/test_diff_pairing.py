"""Item by item: the numbers of a paired comparison, held against scipy's and against arithmetic of its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from aes_audit.report.diff.pairing import Paired, pair_areas, pair_items

SEED = 7


def _scores(items: int, shift: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(items)
    before = draw.normal(size=items)
    return before, before + draw.normal(shift, 1.0, size=items)


def _paired(metric: str, before: np.ndarray, after: np.ndarray, **more: object) -> Paired:
    items = [f"{number:03}" for number in range(len(before))]
    return pair_items(metric, items, before, after, seed=SEED, confidence=0.95, **more)  # type: ignore[arg-type]


def test_scores_of_few_items_have_a_t_interval_and_an_exact_signed_rank_test() -> None:
    before, after = _scores(40)
    found = _paired("quality_shift", before, after)
    bounds = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert found.interval.bounds == pytest.approx((bounds.low, bounds.high))
    exact = stats.wilcoxon(after - before, zero_method="pratt", method="exact")
    assert found.test == "Wilcoxon"
    assert found.p_value == pytest.approx(exact.pvalue)
    assert found.mean == pytest.approx(np.mean(after) - np.mean(before))


def test_scores_of_many_items_have_a_bca_interval_and_a_normal_signed_rank_test() -> None:
    before, after = _scores(120)
    after[:15] = before[:15]
    found = _paired("wide_quality", before, after)
    drawn = stats.bootstrap(
        (after - before,), np.mean, n_resamples=9999, method="BCa", rng=np.random.default_rng(SEED), batch=500
    )
    assert found.interval.bounds == pytest.approx(tuple(drawn.confidence_interval), rel=1e-6)
    normal = stats.wilcoxon((after - before).round(9), zero_method="pratt", correction=False, method="approx")
    assert found.p_value == pytest.approx(normal.pvalue)
    assert (found.raised, found.lowered) == (int((after > before).sum()), int((after < before).sum()))


def test_exchanged_runs_mirror_a_bootstrapped_interval() -> None:
    before, after = _scores(120)
    forth, back = _paired("wide_quality", before, after), _paired("wide_quality", after, before)
    assert forth.interval.method == "bca"
    assert forth.interval.bounds is not None
    low, high = forth.interval.bounds
    assert back.interval.bounds == pytest.approx((-high, -low))
    assert back.p_value == pytest.approx(forth.p_value)
    assert back.mean == pytest.approx(-forth.mean)


def test_rates_are_counted() -> None:
    before = np.array([1.0] * 30 + [0.0] * 10)
    after = np.array([1.0] * 18 + [0.0] * 12 + [1.0] * 3 + [0.0] * 7)
    found = _paired("success_rate", before, after)
    assert found.test == "McNemar"
    assert found.p_value == pytest.approx(stats.binomtest(12, 15, 0.5).pvalue)
    # Bonett and Price (2012): one regressed and one improved pair are added.
    p, q, n = 13 / 42, 4 / 42, 42
    half = stats.norm.ppf(0.975) * math.sqrt((p + q - (q - p) ** 2) / n)
    assert found.interval.bounds == pytest.approx((q - p - half, q - p + half))
    assert found.mean == pytest.approx(-9 / 40)
    assert (found.raised, found.lowered) == (3, 12)


def test_shares_of_an_item_that_are_no_whole_steps_are_scores() -> None:
    before, after = np.zeros(30), np.array([0.5] * 6 + [0.0] * 24)
    found = _paired("image_faults", before, after)
    assert found.test == "Wilcoxon"
    assert found.interval.method == "student_t"


def test_works_of_one_artist_count_once() -> None:
    before, after = (np.repeat(values, 5) for values in _scores(30))
    artists = {f"{number:03}": f"artist {number // 5}" for number in range(150)}
    apart, together = _paired("art_z", before, after), _paired("art_z", before, after, clusters=artists)
    alone = _paired("art_z", before[::5], after[::5])
    assert together.mean == apart.mean == pytest.approx(alone.mean)
    assert together.p_value == pytest.approx(alone.p_value)
    assert together.p_value > apart.p_value
    assert together.interval.bounds is not None
    assert apart.interval.bounds is not None
    widths = [high - low for low, high in (together.interval.bounds, apart.interval.bounds)]
    assert widths[0] == pytest.approx(widths[1] * math.sqrt(5), rel=0.1)


def test_works_of_few_artists_have_no_interval() -> None:
    before, after = _scores(40)
    found = _paired("art_z", before, after, clusters={f"{number:03}": str(number % 4) for number in range(40)})
    assert found.interval.bounds is None
    assert found.interval.reason == "4 clusters only: 20 are needed"


def test_areas_of_the_same_rows_are_compared_as_delong_did() -> None:
    before, after = _scores(80, shift=0.0)
    truth = (np.arange(80) % 3 > 0).astype(float)
    after = after + 0.8 * truth
    items = [f"{number:03}" for number in range(80)]
    found = pair_areas(items, before, after, truth, confidence=0.95, clusters={})
    areas, above, below = [], [], []
    for scores in (before, after):
        wins = (scores[truth == 1][:, None] > scores[truth == 0][None]).astype(float)
        areas.append(wins.mean())
        above.append(wins.mean(axis=1))
        below.append(wins.mean(axis=0))
    # DeLong, DeLong and Clarke-Pearson (1988): L S L' with L = (-1, 1).
    covariance = np.cov(above) / len(above[0]) + np.cov(below) / len(below[0])
    error = math.sqrt(np.array([-1, 1]) @ covariance @ np.array([-1, 1]))
    assert found.mean == pytest.approx(areas[1] - areas[0])
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(found.mean) / error))
    assert found.interval.bounds == pytest.approx(stats.norm.interval(0.95, found.mean, error))
    assert found.change[truth == 1].mean() == pytest.approx(found.change[truth == 0].mean())


def test_pairs_of_one_item_by_several_generators_are_dependent() -> None:
    before, after = (np.repeat(values, 3) for values in _scores(60, shift=0.0))
    truth = np.repeat((np.arange(60) % 2).astype(float), 3)
    items = [f"{number:03}" for number in range(180)]
    clusters = {item: f"item {number // 3}" for number, item in enumerate(items)}
    together = pair_areas(items, before, after, truth, confidence=0.95, clusters=clusters)
    once = pair_areas(items[::3], before[::3], after[::3], truth[::3], confidence=0.95, clusters={})
    assert (together.n, once.n) == (60, 60)
    assert together.p_value == pytest.approx(once.p_value)


def test_without_an_item_there_is_nothing_to_say() -> None:
    with pytest.raises(ValueError, match="without an item"):
        _paired("success_rate", np.zeros(0), np.zeros(0))
