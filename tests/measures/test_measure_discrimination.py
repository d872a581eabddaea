"""A reward as a classifier, against scikit-learn and the clustered formulas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics

from aes_audit.evidence.table import Evidence
from aes_audit.measures.registry import measure
from aes_audit.statistics.auroc import clustered_delong
from aes_audit.statistics.intervals import clopper_pearson

Build = Callable[..., Evidence]
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]

REWARD_METRICS = ("reward_auroc", "reward_accuracy", "reward_balanced_accuracy", "reward_f1")


def comparisons(build: Build, **models: Arrays) -> Evidence:
    """Cells of r(I_o, p_a), r(I_a, p_a) and the preference of each model."""
    cells: dict[tuple[str, str, str, str, str], np.ndarray] = {}
    for model, (original, wide, truth) in models.items():
        cells[model, "pairs", "original", "wide", "clip"] = original
        cells[model, "pairs", "wide", "wide", "clip"] = wide
        cells[model, "pairs", "pair", "wide", "preference/vlm"] = truth
    return build(cells)


def drawn(items: int, seed: int = 0) -> Arrays:
    """Scores on a grid, so that margins tie, and a truth with ties that the reward partly sees."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 0.5, 1], size=items, p=[0.3, 0.1, 0.6])
    return np.round(rng.normal(size=items), 1), np.round(rng.normal(truth, 1), 1), truth


def test_every_metric_agrees_with_scikit_learn_on_untied_pairs(build: Build) -> None:
    original, wide, truth = drawn(150)
    table = comparisons(build, m=(original, wide, truth))
    untied = truth != 0.5
    y, margin = truth[untied] == 1, (wide - original)[untied]
    expected = {
        "reward_auroc": metrics.roc_auc_score(y, margin),
        "reward_accuracy": metrics.accuracy_score(y, margin > 0),
        "reward_balanced_accuracy": metrics.balanced_accuracy_score(y, margin > 0),
        "reward_f1": metrics.f1_score(y, margin > 0),
    }
    for name, value in expected.items():
        found = measure(name, table, model="m", scorer="clip")
        assert found.estimate == pytest.approx(value, abs=1e-12)
        assert (found.n, found.missing) == (150, 0)
        assert found.interval is not None
        assert found.interval[0] < value < found.interval[1]
        assert (found.details["P"], found.details["N"]) == (y.sum(), (~y).sum())
        assert found.details["truth_ties"] == (~untied).sum()
        assert found.details["mcc"] == pytest.approx(metrics.matthews_corrcoef(y, margin > 0), abs=1e-12)
        assert found.details["truth"] == "preference/vlm"


def test_the_always_wide_baseline_stands_beside_every_metric(build: Build) -> None:
    truth = np.repeat([1.0, 0.0], [90, 10])
    table = comparisons(build, m=(np.zeros(100), np.linspace(-1, 1, 100), truth))
    found = [measure(name, table, model="m").details["always_wide"] for name in REWARD_METRICS]
    assert found == pytest.approx([0.5, 0.9, 0.5, 2 * 90 / 190])


@pytest.mark.parametrize(("negatives", "thin"), [(24, True), (25, False)])
def test_a_thin_class_is_marked(build: Build, negatives: int, thin: bool) -> None:
    truth = np.repeat([1.0, 0.0], [60, negatives])
    rng = np.random.default_rng(0)
    table = comparisons(build, m=(rng.normal(size=len(truth)), rng.normal(size=len(truth)), truth))
    assert measure("reward_auroc", table, model="m").details["thin_class"] is thin


@pytest.mark.parametrize("truth", [1.0, 0.0])
def test_one_class_alone_has_no_auroc_and_says_which_is_lacking(build: Build, truth: float) -> None:
    rng = np.random.default_rng(0)
    table = comparisons(build, m=(rng.normal(size=40), rng.normal(size=40), np.full(40, truth)))
    found = measure("reward_auroc", table, model="m")
    assert (found.n, found.estimate, found.interval) == (40, None, None)
    assert found.reason == f"in no item the truth is '{'original' if truth else 'wide'}'"
    assert measure("reward_accuracy", table, model="m").estimate is not None


def test_nothing_but_ties_has_no_accuracy(build: Build) -> None:
    table = comparisons(build, m=(np.zeros(30), np.ones(30), np.full(30, 0.5)))
    for name in REWARD_METRICS:
        found = measure(name, table, model="m")
        assert (found.n, found.estimate) == (30, None)
        assert found.details["truth_ties"] == 30


def test_equal_rewards_predict_the_original(build: Build) -> None:
    table = comparisons(build, m=(np.ones(30), np.ones(30), np.repeat([1.0, 0.0], 15)))
    found = measure("reward_accuracy", table, model="m")
    assert found.estimate == 0.5
    assert found.details["confusion"] == {"TP": 0, "TN": 15, "FP": 0, "FN": 15}
    assert found.details["reward_ties"] == 30
    assert measure("reward_auroc", table, model="m").estimate == 0.5


def test_missing_rows_are_left_out_and_their_worst_and_best_case_told(build: Build) -> None:
    original, wide, truth = drawn(100)
    wide[:4] = np.nan
    truth[3:6] = np.nan
    found = measure("reward_accuracy", comparisons(build, m=(original, wide, truth)), model="m")
    used = ~np.isnan(wide) & ~np.isnan(truth) & (truth != 0.5)
    correct = int(((wide > original) == (truth == 1))[used].sum())
    assert (found.n, found.missing) == (94, 6)
    assert found.estimate == correct / used.sum()
    assert found.interval == clopper_pearson(correct, int(used.sum()))
    assert found.details["worst_interval"] == list(clopper_pearson(correct, int(used.sum()) + 6))
    assert found.details["best_interval"] == list(clopper_pearson(correct + 6, int(used.sum()) + 6))


def test_pooled_models_are_clustered_by_item(build: Build) -> None:
    arrays = {name: drawn(60, seed) for seed, name in enumerate(("a", "b", "c"))}
    table = comparisons(build, **arrays)
    found = measure("reward_auroc", table, model=("a", "b", "c"))
    original, wide, truth = (np.concatenate(parts) for parts in zip(*arrays.values(), strict=True))
    untied = truth != 0.5
    expected = clustered_delong((wide - original)[untied], truth[untied] == 1, np.tile(np.arange(60), 3)[untied])
    assert found.model == "a+b+c"
    assert found.n == 60
    assert found.estimate == expected.area
    assert expected.interval.bounds is not None
    assert found.interval == pytest.approx(expected.interval.bounds, abs=1e-12)


def test_pooled_copies_of_one_model_do_not_narrow_the_interval(build: Build) -> None:
    arrays = drawn(80)
    table = comparisons(build, a=arrays, b=arrays, c=arrays, d=arrays)
    for name in REWARD_METRICS:
        alone, pooled = measure(name, table, model="a"), measure(name, table, model=("a", "b", "c", "d"))
        assert pooled.estimate == pytest.approx(alone.estimate, abs=1e-12)
        assert (pooled.details["P_items"], pooled.details["N"]) == (alone.details["P"], 4 * alone.details["N"])
        assert pooled.interval is not None
        assert alone.interval is not None
        width = (alone.interval[1] - alone.interval[0], pooled.interval[1] - pooled.interval[0])
        assert 0.85 * width[0] < width[1] < 1.15 * width[0]


def test_a_pooled_item_is_missing_if_any_of_its_rows_is(build: Build) -> None:
    first, second = drawn(40, 1), drawn(40, 2)
    first[1][5] = np.nan
    found = measure("reward_f1", comparisons(build, a=first, b=second), model=("a", "b"))
    assert (found.n, found.missing, found.details["missing_rows"]) == (39, 1, 1)


def test_a_preference_for_wide_images_is_strict_and_needs_no_truth(build: Build) -> None:
    wide = np.repeat([1.0, 0.0, -1.0, np.nan], [12, 5, 20, 3])
    table = build(
        {("m", "pairs", "original", "wide", "clip"): np.zeros(40), ("m", "pairs", "wide", "wide", "clip"): wide}
    )
    found = measure("prefers_wide", table, model="m")
    assert (found.n, found.missing, found.estimate) == (37, 3, 12 / 40)
    assert found.interval == clopper_pearson(12, 40)
    assert found.details["ties"] == 5
    assert found.details["best_interval"] == list(clopper_pearson(15, 40))


def test_a_pooled_preference_draws_items(build: Build) -> None:
    arrays = drawn(80)
    table = comparisons(build, a=arrays, b=arrays)
    alone, pooled = measure("prefers_wide", table, model="a"), measure("prefers_wide", table, model=("a", "b"))
    assert pooled.estimate == alone.estimate
    assert pooled.details["interval_method"] == "bca"
    assert pooled.interval == pytest.approx(alone.interval, abs=0.03)


def test_a_reversed_reward_mirrors_its_area(build: Build) -> None:
    original, wide, truth = drawn(90)
    ours = measure("reward_auroc", comparisons(build, m=(original, wide, truth)), model="m")
    mirrored = measure("reward_auroc", comparisons(build, m=(wide, original, truth)), model="m")
    assert ours.estimate is not None
    assert ours.interval is not None
    assert mirrored.estimate == pytest.approx(1 - ours.estimate, abs=1e-12)
    assert mirrored.interval == pytest.approx((1 - ours.interval[1], 1 - ours.interval[0]), abs=1e-12)
