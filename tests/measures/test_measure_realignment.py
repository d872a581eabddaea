"""Aligned against base, item by item, against scipy and the published anchor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from aes_audit.errors import MissingScores, UsageError
from aes_audit.evidence.table import Evidence
from aes_audit.measures.registry import measure
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.statistics.intervals import bonett_price

Build = Callable[..., Evidence]


def qualities(build: Build, aligned: np.ndarray, base: np.ndarray) -> Evidence:
    arms = (("aligned", aligned), ("base", base))
    return build({(model, "pairs", "wide", "original", "hpsv3"): values for model, values in arms})


def successes(build: Build, aligned: np.ndarray, base: np.ndarray) -> Evidence:
    arms = (("aligned", aligned), ("base", base))
    return build({(model, "pairs", "pair", "wide", "preference/vlm"): values for model, values in arms})


def test_the_test_is_the_papers_and_negative_means_aligned_higher(build: Build) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=120)
    aligned = base + rng.normal(0.5, 1, 120)
    found = measure("realignment_quality", qualities(build, aligned, base), model="aligned", base_model="base")
    theirs = stats.wilcoxon(np.round(aligned - base, 9), alternative="greater", correction=False, method="approx")
    assert (found.n, found.base_model, found.scorer) == (120, "base", "hpsv3")
    assert found.statistic == theirs.statistic
    assert found.p_value == pytest.approx(float(theirs.pvalue), rel=1e-11)
    assert found.effect_r is not None
    assert found.effect_r == found.estimate == pytest.approx(stats.norm.isf(theirs.pvalue) / -np.sqrt(120), rel=1e-9)
    assert found.effect_r < 0
    assert found.rank_biserial is not None
    assert found.rank_biserial < 0
    assert found.interval is not None
    assert found.interval[0] < found.effect_r < found.interval[1]


def test_the_mean_difference_stands_beside_with_its_own_interval(build: Build) -> None:
    rng = np.random.default_rng(1)
    base, aligned = rng.normal(size=130), rng.normal(0.3, 1, 130)
    found = measure("realignment_quality", qualities(build, aligned, base), model="aligned", base_model="base")
    theirs = stats.bootstrap(
        (aligned - base,), np.mean, method="BCa", n_resamples=9999, rng=np.random.default_rng(found.details["seed"])
    )
    assert found.details["mean_difference"] == pytest.approx(np.mean(aligned - base), abs=1e-12)
    assert found.details["mean_difference_interval"] == pytest.approx(list(theirs.confidence_interval), abs=1e-12)


def test_printed_anchor_of_the_paper(build: Build) -> None:
    differences = np.arange(1.0, 301)
    left = 300 * 301 // 2 - 40766
    for rank in range(300, 0, -1):
        if rank <= left:
            differences[rank - 1] *= -1
            left -= rank
    found = measure(
        "realignment_quality", qualities(build, differences, np.zeros(300)), model="aligned", base_model="base"
    )
    assert found.statistic == 40766
    assert found.p_value == pytest.approx(5.470761e-34, rel=1e-6)
    assert found.effect_r == pytest.approx(-0.698426, abs=5e-7)
    assert found.rank_biserial == pytest.approx(-0.805803, abs=5e-7)


def test_zeros_are_kept_by_the_variant_in_the_details(build: Build) -> None:
    differences = np.array([1.2, 0.4, -0.3, 0.8, 0, 2.1, -0.5, 0.9, 0.6, 1.5, 0.3, -0.2])
    table = qualities(build, differences, np.zeros(12))
    found = measure("realignment_quality", table, model="aligned", base_model="base")
    assert found.p_value == pytest.approx(0.014651, abs=5e-7)
    assert (found.interval, found.reason) == (None, "n < 20")
    assert found.details["zeros"] == 1
    assert found.details["pratt"]["p_value"] == pytest.approx(0.016113, abs=5e-7)
    assert found.details["pratt"]["effect_r"] == pytest.approx(-0.612136, abs=5e-7)
    assert found.details["pratt"]["method"] == "exact"


def test_swapped_models_mirror_the_effect(build: Build) -> None:
    rng = np.random.default_rng(2)
    table = qualities(build, rng.normal(size=40), rng.normal(size=40))
    ours = measure("realignment_quality", table, model="aligned", base_model="base")
    mirrored = measure("realignment_quality", table, model="base", base_model="aligned")
    assert ours.effect_r is not None
    assert ours.rank_biserial is not None
    assert mirrored.effect_r == pytest.approx(-ours.effect_r, abs=1e-12)
    assert mirrored.rank_biserial == pytest.approx(-ours.rank_biserial, abs=1e-12)
    assert mirrored.details["mean_difference"] == pytest.approx(-ours.details["mean_difference"], abs=1e-12)


def test_equal_models_show_no_effect(build: Build) -> None:
    scores = np.random.default_rng(3).normal(size=40)
    found = measure("realignment_quality", qualities(build, scores, scores), model="aligned", base_model="base")
    assert (found.estimate, found.p_value, found.rank_biserial, found.reason) == (0, 1, 0, "no variation")


def test_only_pairs_with_both_scores_count(build: Build) -> None:
    rng = np.random.default_rng(4)
    aligned, base = rng.normal(size=40), rng.normal(size=40)
    aligned[:3], base[2:4] = np.nan, np.nan
    found = measure("realignment_quality", qualities(build, aligned, base), model="aligned", base_model="base")
    assert (found.n, found.missing) == (36, 4)
    assert found.details["lost"]["aligned"] == 3
    assert found.details["mean_difference"] == pytest.approx(np.mean((aligned - base)[4:]), abs=1e-12)


def test_the_judge_compares_the_sum_of_all_dimensions(build: Build) -> None:
    rng = np.random.default_rng(5)
    scores = rng.uniform(0, 2, (2, 11, 30))
    cells = {
        (model, "pairs", "wide", None, f"judge/{dimension}"): scores[arm, place]
        for arm, model in enumerate(("aligned", "base"))
        for place, dimension in enumerate(DIMENSIONS)
    }
    found = measure("realignment_quality", build(cells), model="aligned", base_model="base", scorer="judge")
    assert found.details["mean_difference"] == pytest.approx(np.mean(scores[0].sum(axis=0) - scores[1].sum(axis=0)))
    del cells["base", "pairs", "wide", None, "judge/emotion"]
    with pytest.raises(MissingScores, match="'base'"):
        measure("realignment_quality", build(cells), model="aligned", base_model="base", scorer="judge")


def test_printed_success_of_the_paper(build: Build) -> None:
    # 212 -> 206 wins of 300 with 41 regressed and 35 improved pairs.
    base = np.repeat([1.0, 1.0, 0.0, 0.0], [41, 171, 35, 53])
    aligned = np.repeat([0.0, 1.0, 1.0, 0.5], [41, 171, 35, 53])
    found = measure("realignment_success", successes(build, aligned, base), model="aligned", base_model="base")
    assert found.estimate == pytest.approx(-0.02)
    assert found.interval == bonett_price(41, 35, 300)
    assert found.statistic == 41
    assert found.p_value == pytest.approx(0.283287, abs=5e-7)
    assert found.details["p_two_sided"] == pytest.approx(0.566573, abs=5e-7)
    assert (found.details["regressed"], found.details["improved"]) == (41, 35)
    assert (found.details["successes_base"], found.details["successes_aligned"]) == (212, 206)


def test_a_lost_preference_removes_the_pair(build: Build) -> None:
    table = successes(build, np.array([1, 0, np.nan, 1.0]), np.array([1, 1, 1, np.nan]))
    found = measure("realignment_success", table, model="aligned", base_model="base")
    assert (found.n, found.missing, found.estimate) == (2, 2, -0.5)


def test_a_comparison_needs_a_base_model(build: Build) -> None:
    table = successes(build, np.ones(3), np.ones(3))
    with pytest.raises(UsageError, match="base model"):
        measure("realignment_success", table, model="aligned")
