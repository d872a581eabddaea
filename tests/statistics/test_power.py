"""What a gate can see, against the printed tables and scipy's distributions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from aes_audit.statistics.intervals import clopper_pearson, wilson
from aes_audit.statistics.power import (
    chance_without_change,
    cutoffs,
    detectable_drop,
    detectable_mean,
    detectable_rank_shift,
    detectable_rate,
    minimal_n,
    minimal_regressed,
    verdict_chances,
)

seeded = settings(derandomize=True, deadline=None, max_examples=60)

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)


@pytest.mark.parametrize(
    ("interval", "confidence", "printed"),
    [
        ("exact", 0.95, (6, 8, 11, 17, 23, 36, 72, 368)),
        ("wilson", 0.95, (4, 6, 9, 16, 22, 35, 73, 381)),
        ("exact", 0.90, (5, 6, 9, 14, 19, 29, 59, 299)),
    ],
)
def test_printed_minimal_n(interval: str, confidence: float, printed: tuple[int, ...]) -> None:
    assert tuple(minimal_n(threshold, confidence, interval) for threshold in THRESHOLDS) == printed


@seeded
@given(st.floats(0.05, 0.995), st.sampled_from([0.8, 0.9, 0.95]), st.sampled_from(["exact", "wilson"]))
def test_minimal_n_is_the_first_that_can_pass(threshold: float, confidence: float, interval: str) -> None:
    bounds = clopper_pearson if interval == "exact" else wilson
    n = minimal_n(threshold, confidence, interval)
    assert bounds(n, n, confidence)[0] >= threshold
    assert n == 1 or bounds(n - 1, n - 1, confidence)[0] < threshold


@pytest.mark.parametrize("threshold", [0.0, 1.0, 1.2])
def test_a_threshold_that_no_interval_can_decide_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        minimal_n(threshold)


@seeded
@given(st.integers(1, 120), st.floats(0.02, 0.98), st.sampled_from(["exact", "wilson"]))
def test_cutoffs_agree_with_trying_every_count(trials: int, threshold: float, interval: str) -> None:
    bounds = [(clopper_pearson if interval == "exact" else wilson)(k, trials) for k in range(trials + 1)]
    passing = [k for k, (low, _) in enumerate(bounds) if low > threshold]
    failing = [k for k, (_, high) in enumerate(bounds) if high < threshold]
    found = cutoffs(trials, threshold, interval=interval)
    assert found.pass_from == (min(passing) if passing else None)
    assert found.fail_up_to == (max(failing) if failing else None)


def test_printed_behaviour_of_a_rate_gate() -> None:
    assert cutoffs(300, 0.8) == (254, 225)
    printed = {
        0.70: (0, 0.024, 0.976),
        0.75: (0, 0.478, 0.522),
        0.80: (0.023, 0.957, 0.020),
        0.85: (0.603, 0.397, 0),
        0.90: (0.999, 0.001, 0),
    }
    for truth, chances in printed.items():
        assert verdict_chances(truth, 300, 0.8) == pytest.approx(chances, abs=5e-4)


@seeded
@given(st.integers(5, 200), st.floats(0.1, 0.9), st.floats(0.01, 0.99))
def test_chances_agree_with_the_binomial_distribution(trials: int, threshold: float, truth: float) -> None:
    turn = cutoffs(trials, threshold)
    chances = verdict_chances(truth, trials, threshold)
    binomial = stats.binom(trials, truth)
    assert sum(chances) == pytest.approx(1)
    assert chances.passes == pytest.approx(0 if turn.pass_from is None else binomial.sf(turn.pass_from - 1), abs=1e-12)
    assert chances.fails == pytest.approx(0 if turn.fail_up_to is None else binomial.cdf(turn.fail_up_to), abs=1e-12)


def test_printed_detectable_rates() -> None:
    found = [detectable_rate(300, threshold) for threshold in (0.5, 0.7, 0.8, 0.9, 0.95)]
    assert found == pytest.approx([0.582, 0.772, 0.862, 0.946, 0.981], abs=5e-4)
    assert detectable_rate(10, 0.9) is None


def test_printed_detectable_means_and_rank_shifts() -> None:
    assert [detectable_mean(n) for n in (50, 100, 300, 1000)] == pytest.approx([0.396, 0.280, 0.162, 0.089], abs=5e-4)
    assert detectable_rank_shift(300) == pytest.approx(0.147, abs=5e-4)
    assert detectable_mean(300, sd=2.0) == pytest.approx(2 * detectable_mean(300))


def test_printed_detectable_drops() -> None:
    found = [detectable_drop(300, discordant) for discordant in (0.1, 0.2, 0.3, 0.4)]
    assert found == pytest.approx([0.047, 0.067, 0.081, 0.093], abs=6e-4)
    assert detectable_drop(10, 0.2) is None


def test_a_detectable_drop_is_seen_four_times_in_five() -> None:
    drop = detectable_drop(60, 0.4)
    assert drop is not None
    total = 0.0
    for differing in range(61):
        rejected = [b for b in range(differing + 1) if stats.binom.sf(b - 1, differing, 0.5) <= 0.05 and differing > 0]
        if rejected:
            reach = stats.binom.sf(min(rejected) - 1, differing, (0.4 + drop) / 0.8)
            total += stats.binom.pmf(differing, 60, 0.4) * reach
    assert total == pytest.approx(0.8, abs=1e-9)


def test_printed_least_evidence_of_a_regression() -> None:
    assert [minimal_regressed(alpha) for alpha in (0.05, 0.025, 0.01)] == [5, 6, 7]


def test_printed_margins_and_the_chance_to_pass_unchanged() -> None:
    assert [chance_without_change(margin, 1) for margin in (1.96, 2.80, 3.24)] == pytest.approx(
        [0.5, 0.8, 0.9], abs=1e-3
    )
    assert np.isfinite(chance_without_change(0.1, 2))
