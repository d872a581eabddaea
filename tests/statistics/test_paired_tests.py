"""McNemar and Wilcoxon against scipy, statsmodels and plain enumeration."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from aes_audit.statistics.paired import Discordant, bca_effect, discordant, mcnemar, mcnemar_two_sided, wilcoxon
from aes_audit.statistics.signed_rank import Variant, resampled_effects, sign_groups

Floats = npt.NDArray[np.float64]

# Its stubs know neither z nor every method.
scipy_wilcoxon: Any = stats.wilcoxon

seeded = settings(derandomize=True, deadline=None, max_examples=60)

VARIANTS: tuple[Variant, ...] = ("wilcox", "pratt")

GRID = st.integers(-6, 6).map(lambda step: step / 4)
FINE = st.floats(-5, 5, allow_nan=False).map(lambda value: round(value, 6))


def vectors(smallest: int, largest: int) -> st.SearchStrategy[Floats]:
    """Differences, either full of ties and zeros or nearly without."""
    grids = st.lists(GRID, min_size=smallest, max_size=largest)
    mixed = st.lists(GRID | FINE, min_size=smallest, max_size=largest)
    return (grids | mixed).map(lambda values: np.array(values, dtype=np.float64))


PRINTED = np.array([1.2, 0.4, -0.3, 0.8, 0, 2.1, -0.5, 0.9, 0.6, 1.5, 0.3, -0.2])


@seeded
@given(st.integers(0, 80), st.integers(0, 80))
def test_exact_mcnemar_agrees_with_scipy_and_statsmodels(b: int, c: int) -> None:
    pairs = Discordant(regressed=b, improved=c)
    if b + c == 0:
        assert mcnemar(pairs) == mcnemar_two_sided(pairs) == 1
        return
    assert mcnemar(pairs) == pytest.approx(stats.binomtest(b, b + c, 0.5, alternative="greater").pvalue, rel=1e-12)
    theirs = statsmodels_mcnemar([[7, b], [c, 9]], exact=True).pvalue
    assert mcnemar_two_sided(pairs) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize(
    ("b", "c", "one_sided", "two_sided"),
    [
        (5, 0, 0.03125, 0.0625),
        (10, 2, 0.0192871, 0.0385742),
        (15, 5, 0.0206947, 0.0413895),
        (20, 10, 0.0493686, 0.0987371),
        (41, 35, 0.283287, 0.566573),
    ],
)
def test_printed_mcnemar(b: int, c: int, one_sided: float, two_sided: float) -> None:
    assert mcnemar(Discordant(b, c)) == pytest.approx(one_sided, abs=5e-7)
    assert mcnemar_two_sided(Discordant(b, c)) == pytest.approx(two_sided, abs=5e-7)


@seeded
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_discordant_pairs_are_counted_by_side(pairs: list[tuple[bool, bool]]) -> None:
    table = np.array(pairs, dtype=np.bool_).reshape(-1, 2)
    found = discordant(base=table[:, 0], aligned=table[:, 1])
    assert found.regressed == pairs.count((True, False))
    assert found.improved == pairs.count((False, True))


@seeded
@given(vectors(1, 60))
def test_the_papers_test_agrees_with_scipy(differences: Floats) -> None:
    ours = wilcoxon(differences)
    if not differences.any():
        assert (ours.p_greater, ours.p_two_sided, ours.effect_r, ours.rank_biserial) == (1, 1, 0, 0)
        return
    for alternative, p_value in (("greater", ours.p_greater), ("two-sided", ours.p_two_sided)):
        theirs = scipy_wilcoxon(
            np.round(differences, 9), correction=False, alternative=alternative, method="asymptotic"
        )
        assert p_value == pytest.approx(theirs.pvalue, rel=1e-11)
    greater = scipy_wilcoxon(np.round(differences, 9), correction=False, alternative="greater", method="asymptotic")
    assert ours.plus == greater.statistic
    assert ours.z == pytest.approx(greater.zstatistic, abs=1e-12)
    assert ours.effect_r == pytest.approx(-greater.zstatistic / math.sqrt(len(differences)), abs=1e-12)
    assert ours.zeros == np.count_nonzero(differences == 0)


@seeded
@given(vectors(51, 90))
def test_the_variant_with_zeros_agrees_with_scipy_above_fifty(differences: Floats) -> None:
    ours = wilcoxon(differences, "pratt")
    if differences.any():
        theirs = scipy_wilcoxon(
            differences, zero_method="pratt", correction=False, alternative="greater", method="asymptotic"
        )
        assert ours.method == "normal"
        assert ours.plus == theirs.statistic
        assert ours.z == pytest.approx(theirs.zstatistic, abs=1e-12)
        assert ours.p_greater == pytest.approx(theirs.pvalue, rel=1e-11)


@seeded
@given(vectors(1, 9))
def test_small_samples_agree_with_enumeration_of_all_signs(differences: Floats) -> None:
    ours = wilcoxon(differences, "pratt")
    ranks = stats.rankdata(np.abs(differences))[differences != 0]
    signs = np.array([*itertools.product([0, 1], repeat=len(ranks))], dtype=np.float64)
    sums = signs @ ranks
    upper, lower = np.mean(sums >= ours.plus), np.mean(sums <= ours.plus)
    assert ours.plus == pytest.approx(ranks[differences[differences != 0] > 0].sum())
    assert ours.p_greater == pytest.approx(upper, abs=1e-12)
    assert ours.p_two_sided == pytest.approx(min(1, 2 * min(upper, lower)), abs=1e-12)


@pytest.mark.parametrize("n", [10, 30, 50])
def test_without_ties_small_samples_agree_with_scipys_exact_test(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.2, 1, n)
    ours = wilcoxon(differences, "pratt")
    for alternative, p_value in (("greater", ours.p_greater), ("two-sided", ours.p_two_sided)):
        theirs = scipy_wilcoxon(differences, alternative=alternative, method="exact").pvalue
        assert p_value == pytest.approx(theirs, rel=1e-10)


def test_with_ties_small_samples_agree_with_scipys_permutations() -> None:
    theirs = scipy_wilcoxon(
        PRINTED, zero_method="pratt", alternative="greater", method=stats.PermutationMethod(n_resamples=9999)
    )
    assert wilcoxon(PRINTED, "pratt").p_greater == pytest.approx(theirs.pvalue, rel=1e-12)


def test_printed_small_example() -> None:
    paper, default = wilcoxon(PRINTED), wilcoxon(PRINTED, "pratt")
    assert paper.plus == 57.5
    assert (paper.z, paper.p_greater) == pytest.approx((2.179393, 0.014651), abs=5e-7)
    assert (paper.effect_r, paper.rank_biserial) == pytest.approx((-0.629136, -0.742424), abs=5e-7)
    assert default.plus == 65.5
    assert (default.z, default.p_greater) == pytest.approx((2.120502, 0.016113), abs=5e-7)
    assert (default.effect_r, default.rank_biserial) == pytest.approx((-0.612136, -0.701299), abs=5e-7)


def test_printed_anchor_of_the_paper() -> None:
    # Any 300 untied differences with this rank sum: the smallest ranks are negative.
    magnitude = np.arange(1, 301)
    differences = magnitude.astype(np.float64)
    left = 300 * 301 // 2 - 40766
    for rank in magnitude[::-1]:
        if rank <= left:
            differences[rank - 1] *= -1
            left -= rank
    test = wilcoxon(differences)
    assert test.plus == 40766
    assert test.z == pytest.approx(12.097095, abs=5e-7)
    assert test.p_greater == pytest.approx(5.470761e-34, rel=1e-6)
    assert test.effect_r == pytest.approx(-0.698426, abs=5e-7)
    assert test.rank_biserial == pytest.approx(-0.805803, abs=5e-7)


def test_float_noise_does_not_break_ties() -> None:
    noisy = np.array([0.1, 0.4 - 0.3, 0.3 - 0.2, -0.1, 0.2 - 0.3, 0.2])
    assert wilcoxon(noisy).p_greater == pytest.approx(0.159, abs=5e-4)


@seeded
@given(vectors(1, 80), st.sampled_from(VARIANTS))
def test_swapped_models_mirror_the_signed_rank_test(differences: Floats, variant: Variant) -> None:
    ours, mirrored = wilcoxon(differences, variant), wilcoxon(-differences, variant)
    assert (mirrored.plus, mirrored.minus) == (ours.minus, ours.plus)
    assert mirrored.effect_r == pytest.approx(-ours.effect_r, abs=1e-12)
    assert mirrored.rank_biserial == pytest.approx(-ours.rank_biserial, abs=1e-12)
    assert mirrored.p_two_sided == pytest.approx(ours.p_two_sided, rel=1e-10)


@seeded
@given(vectors(1, 40), st.integers(0, 2**32))
def test_row_order_is_irrelevant_to_the_signed_rank_test(differences: Floats, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(differences)
    for variant in VARIANTS:
        assert wilcoxon(shuffled, variant) == wilcoxon(differences, variant)


@seeded
@given(vectors(2, 30), st.integers(0, 2**32))
def test_resampling_by_counts_equals_testing_each_resample(differences: Floats, seed: int) -> None:
    positions = np.random.default_rng(seed).integers(0, len(differences), (7, len(differences)))
    expected = [wilcoxon(differences[row]).effect_r for row in positions]
    assert resampled_effects(sign_groups(differences), positions) == pytest.approx(expected, abs=1e-12)


def test_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        wilcoxon(np.array([]))


@pytest.mark.parametrize("differences", [np.zeros(30), np.full(30, 0.7)])
def test_an_effect_without_variation_has_no_interval(differences: Floats) -> None:
    assert bca_effect(differences, seed=1).reason == "no variation"
