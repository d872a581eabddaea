"""Means of rewards over items, against numpy and scipy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from aes_audit.errors import MissingScores
from aes_audit.evidence.table import Evidence
from aes_audit.measures.registry import measure
from aes_audit.statistics.paired import Discordant, mcnemar_two_sided

Build = Callable[..., Evidence]


def rewards(build: Build, original: np.ndarray, wide: np.ndarray, shuffle: int | None = None) -> Evidence:
    cells = {
        ("m", "pairs", "original", "original", "hpsv3"): original,
        ("m", "pairs", "wide", "original", "hpsv3"): wide,
    }
    return build(cells, shuffle=shuffle)


def test_the_shift_is_the_mean_difference_with_scipys_bca_interval(build: Build) -> None:
    rng = np.random.default_rng(0)
    original, wide = rng.normal(12, 2, 120), rng.normal(9, 3, 120)
    found = measure("quality_shift", rewards(build, original, wide), model="m", scorer="hpsv3")
    theirs = stats.bootstrap(
        (wide - original,), np.mean, method="BCa", n_resamples=9999, rng=np.random.default_rng(found.details["seed"])
    )
    assert (found.n, found.missing) == (120, 0)
    assert found.estimate == pytest.approx(np.mean(wide - original), abs=1e-12)
    assert found.interval == pytest.approx(tuple(theirs.confidence_interval), abs=1e-12)
    assert found.details["interval_method"] == "bca"
    assert found.details["mean_original"] == pytest.approx(original.mean())


def test_small_samples_get_student_t(build: Build) -> None:
    rng = np.random.default_rng(1)
    original, wide = rng.normal(size=50), rng.normal(size=50)
    found = measure("quality_shift", rewards(build, original, wide), model="m", scorer="hpsv3", confidence=0.9)
    theirs = stats.ttest_rel(wide, original).confidence_interval(0.9)
    assert found.interval == pytest.approx(tuple(theirs), abs=1e-12)
    assert found.details["interval_method"] == "student_t"


def test_tiny_samples_have_an_estimate_and_no_interval(build: Build) -> None:
    found = measure("quality_shift", rewards(build, np.zeros(19), np.arange(19.0)), model="m", scorer="hpsv3")
    assert (found.estimate, found.interval, found.reason) == (9.0, None, "n < 20")


def test_equal_items_have_no_interval(build: Build) -> None:
    found = measure("quality_shift", rewards(build, np.zeros(40), np.full(40, 0.5)), model="m", scorer="hpsv3")
    assert (found.estimate, found.interval, found.reason) == (0.5, None, "no variation")


def test_only_complete_items_count_and_the_loss_is_told_by_arm(build: Build) -> None:
    rng = np.random.default_rng(2)
    original, wide = rng.normal(size=40), rng.normal(size=40)
    original[:2], wide[1:8] = np.nan, np.nan
    found = measure("quality_shift", rewards(build, original, wide), model="m", scorer="hpsv3")
    assert (found.n, found.missing) == (32, 8)
    assert found.estimate == pytest.approx(np.mean((wide - original)[8:]), abs=1e-12)
    assert found.details["lost"] == {"original": 2, "wide": 7, "p_value": mcnemar_two_sided(Discordant(1, 6))}


def test_row_order_does_not_move_the_interval(build: Build) -> None:
    rng = np.random.default_rng(3)
    original, wide = rng.normal(size=110), rng.normal(size=110)
    tables = [rewards(build, original, wide, shuffle) for shuffle in (None, 1, 2)]
    found = [measure("quality_shift", table, model="m", scorer="hpsv3") for table in tables]
    assert found[0] == found[1] == found[2]


def test_mirrored_images_mirror_the_shift(build: Build) -> None:
    rng = np.random.default_rng(4)
    original, wide = rng.normal(size=150), rng.normal(size=150)
    ours = measure("quality_shift", rewards(build, original, wide), model="m", scorer="hpsv3")
    mirrored = measure("quality_shift", rewards(build, wide, original), model="m", scorer="hpsv3")
    assert ours.interval is not None
    assert ours.estimate is not None
    assert mirrored.estimate == pytest.approx(-ours.estimate, abs=1e-12)
    assert mirrored.interval == pytest.approx((-ours.interval[1], -ours.interval[0]), abs=1e-12)


def test_the_seed_follows_from_what_is_measured(build: Build) -> None:
    rng = np.random.default_rng(5)
    table = rewards(build, rng.normal(size=110), rng.normal(size=110))
    seeds = [
        measure("quality_shift", table, model="m", scorer="hpsv3", audit=audit).details["seed"]
        for audit in (None, "quality_shift", "another")
    ]
    assert seeds[0] == seeds[1] != seeds[2]


def test_wide_quality_and_the_kept_concept_read_one_text_each(build: Build) -> None:
    rng = np.random.default_rng(6)
    under_original, under_wide = rng.uniform(size=30), rng.uniform(size=30)
    table = build(
        {
            ("m", "pairs", "wide", "original", "blip-itm"): under_original,
            ("m", "pairs", "wide", "wide", "blip-itm"): under_wide,
        }
    )
    quality = measure("wide_quality", table, model="m", scorer="blip-itm")
    concept = measure("concept_kept", table, model="m")
    assert quality.estimate == pytest.approx(under_original.mean(), abs=1e-12)
    assert concept.estimate == pytest.approx(under_wide.mean(), abs=1e-12)
    assert concept.scorer == "blip-itm"


def test_a_scorer_that_reads_no_text_can_measure_quality(build: Build) -> None:
    cells = {
        ("m", "pairs", image, None, "aesthetic"): np.arange(20.0) * step
        for image, step in (("original", 1), ("wide", 2))
    }
    assert measure("quality_shift", build(cells), model="m", scorer="aesthetic").estimate == 9.5


def test_a_score_that_was_never_taken_is_skipped_and_not_missing(build: Build) -> None:
    table = build({("m", "pairs", "wide", "original", "hpsv3"): [1.0, 2.0]})
    with pytest.raises(MissingScores, match="image 'original'"):
        measure("quality_shift", table, model="m", scorer="hpsv3")
