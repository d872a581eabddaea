"""Looking at every item: the bettor by hand and by enumeration, the running interval against `ville`."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from aes_audit.statistics.multiplicity import holm
from aes_audit.statistics.power import cutoffs
from aes_audit.statistics.sequential import (
    FLOOR,
    first_reach,
    mcnemar_stops,
    mcnemar_wealth,
    rate_stops,
    split_level,
    wealth_above,
    wealth_below,
)
from aes_audit.statistics.sequential_interval import confidence_sequence, running_interval

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

seeded = settings(derandomize=True, deadline=None, max_examples=200)
HITS = st.lists(st.booleans(), min_size=1, max_size=60).map(lambda hits: np.array(hits))
NULLS = st.floats(0.05, 0.95)


def bettor(hits: list[bool], null: float) -> list[float]:
    """Section 8 of STATISTICS, word for word: one item at a time."""
    wealth, successes, course = 1.0, 0, []
    for seen, hit in enumerate(hits):
        guess = (successes + 0.5) / (seen + 1)
        stake = min(max(0, (guess - null) / (null * (1 - null))), 0.9 / null)
        wealth *= 1 + stake * (hit - null)
        successes += hit
        course.append(wealth)
    return course


def test_printed_wealth_after_seven_successes() -> None:
    course = [1, *wealth_above(np.ones(7), 0.5)]
    assert course[1:] == pytest.approx([1, 1.5, 2.5, 4.375, 7.875, 14.4375, 26.8125], abs=1e-12)


@seeded
@given(HITS, NULLS)
def test_wealth_is_that_of_a_bettor_who_sees_one_item_at_a_time(hits: Bools, null: float) -> None:
    assert wealth_above(hits, null) == pytest.approx(bettor(list(hits), null), rel=1e-12)
    assert wealth_below(hits, null) == pytest.approx(bettor(list(~hits), 1 - null), rel=1e-12)


@seeded
@given(HITS, NULLS, st.integers(0, 2**32))
def test_items_that_are_not_bet_on_might_as_well_not_exist(hits: Bools, null: float, seed: int) -> None:
    bets = np.random.default_rng(seed).random(len(hits)) < 0.6
    ours = wealth_above(hits, null, bets)
    assert ours[bets] == pytest.approx(wealth_above(hits[bets], null), rel=1e-12)
    assert np.all(ours[~bets] == np.concatenate([[1.0], ours])[:-1][~bets])


@pytest.mark.parametrize("null", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("course", [wealth_above, wealth_below])
def test_the_game_is_fair_and_reaching_much_is_as_rare_as_promised(
    course: Callable[[Bools, float], Floats], null: float
) -> None:
    every = np.array(list(product([False, True], repeat=12)))
    chance = np.prod(np.where(every, null, 1 - null), axis=1)
    wealth = course(every, null)
    assert chance @ wealth == pytest.approx(np.ones(12), abs=1e-12)
    for level in (0.3, 0.1, 0.05):
        assert chance @ (wealth.max(axis=1) >= 1 / level) <= level


def test_runs_are_independent_of_each_other() -> None:
    hits = np.random.default_rng(0).random((5, 4, 30)) < 0.7
    together = wealth_above(hits, 0.6)
    for run in np.ndindex(5, 4):
        assert np.array_equal(together[run], wealth_above(hits[run], 0.6))


def test_wealth_survives_long_runs_without_a_warning() -> None:
    assert wealth_above(np.ones(2000), 0.01)[-1] == math.inf
    assert wealth_above(np.arange(2000) < 1000, 0.9)[-1] >= 0


@pytest.mark.parametrize("null", [0.0, 1.0, -0.1])
def test_there_is_no_bet_on_a_certain_null(null: float) -> None:
    with pytest.raises(ValueError, match="nothing to bet"):
        wealth_above(np.ones(3), null)


def test_only_discordant_pairs_are_bet_on() -> None:
    base = np.array([True, True, False, True, False])
    aligned = np.array([True, False, False, False, True])
    assert mcnemar_wealth(base, aligned) == pytest.approx([1, 1, 1, *bettor([True, True, False], 0.5)[1:]])


def test_nothing_stops_before_the_floor() -> None:
    wealth = np.array([[1.0, 50, 60, 2, 40], [1, 1, 1, 1, 1]])
    assert list(first_reach(wealth, 0.05, 1)) == [2, 6]
    assert list(first_reach(wealth, 0.05, 4)) == [5, 6]
    assert first_reach(np.full(40, 1e9), 0.01) == FLOOR


def test_the_level_is_split_one_fifth_early() -> None:
    assert split_level(0.05) == pytest.approx((0.01, 0.04), abs=1e-15)
    assert split_level(0.025) == pytest.approx((0.005, 0.020), abs=1e-15)
    assert split_level(0.05, family=8) == pytest.approx((0.00125, 0.04), abs=1e-15)


@pytest.mark.parametrize(
    ("successes", "trials", "bounds"),
    [(24, 30, (0.5246, 0.9571)), (80, 100, (0.6484, 0.9090)), (240, 300, (0.7121, 0.8719))],
)
def test_printed_running_intervals(successes: int, trials: int, bounds: tuple[float, float]) -> None:
    low, high = running_interval(np.array(successes), np.array(trials))
    assert (float(low), float(high)) == pytest.approx(bounds, abs=5e-5)


@seeded
@given(HITS, st.sampled_from([0.01, 0.05, 0.2]))
def test_the_confidence_sequence_agrees_with_ville(hits: Bools, alpha: float) -> None:
    ville = pytest.importorskip("ville")
    theirs = ville.BernoulliCS(alpha=alpha, prior=(0.5, 0.5)).fit(hits.astype(float))
    low, high = confidence_sequence(hits, alpha)
    agreed = theirs.lower_ <= theirs.upper_
    assert low[agreed] == pytest.approx(theirs.lower_[agreed], abs=1e-9)
    assert high[agreed] == pytest.approx(theirs.upper_[agreed], abs=1e-9)


@seeded
@given(HITS, st.sampled_from([0.01, 0.05, 0.2]), NULLS)
def test_the_running_interval_holds_exactly_what_its_formula_says(hits: Bools, alpha: float, rate: float) -> None:
    k, n = int(hits.sum()), len(hits)
    low, high = running_interval(np.array(k), np.array(n), alpha)
    # The Bayes factor of Jeffreys' prior against the one rate, integrated by the distribution itself.
    mixture = stats.betabinom(n, 0.5, 0.5).pmf(k) / math.comb(n, k)
    inside = mixture < rate**k * (1 - rate) ** (n - k) / alpha
    if min(abs(rate - low), abs(rate - high)) > 1e-9:
        assert inside == (low < rate < high)


def test_no_trial_says_nothing() -> None:
    low, high = running_interval(np.array(0), np.array(0))
    assert (float(low), float(high)) == (0, 1)


def test_looks_that_contradict_each_other_keep_the_last_interval() -> None:
    low, high = confidence_sequence(np.arange(400) < 200, 0.05)
    assert np.all(low <= high)
    assert low[-1] > 0.9  # The first 200 successes have excluded .5 for good.


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8, 0.95])
def test_the_confidence_sequence_ever_misses_the_truth_as_rarely_as_promised(rate: float) -> None:
    runs = 1000
    low, high = confidence_sequence(np.random.default_rng(6).random((runs, 300)) < rate, 0.05)
    missed = np.mean(((low > rate) | (high < rate)).any(axis=1))
    assert missed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@seeded
@given(st.integers(5, 40), st.floats(0.2, 0.95), st.integers(0, 2**32))
def test_curtailed_rates_end_as_the_full_run_and_not_an_item_later_than_they_must(
    planned: int, threshold: float, seed: int
) -> None:
    hits = np.random.default_rng(seed).random((20, planned)) < threshold
    items, verdict = rate_stops(hits, threshold)
    turn = cutoffs(planned, threshold)

    def full(successes: int) -> int:
        passed = turn.pass_from is not None and successes >= turn.pass_from
        return int(passed) - int(turn.fail_up_to is not None and successes <= turn.fail_up_to)

    for run, at, said in zip(hits, items, verdict, strict=True):
        assert said == full(int(run.sum()))
        for seen in range(1, at + 1):
            so_far = int(run[:seen].sum())
            settled = len({full(so_far + more) for more in range(planned - seen + 1)}) == 1
            assert settled == (seen == at)


@seeded
@given(st.integers(5, 40), st.floats(0.1, 0.9), st.sampled_from([0.01, 0.05, 0.2]), st.integers(0, 2**32))
def test_a_curtailed_mcnemar_test_answers_as_the_full_run(planned: int, share: float, alpha: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base, aligned = rng.random((20, planned)) < 0.8, rng.random((20, planned)) < share
    stops = mcnemar_stops(base, aligned, alpha)
    for run, rejected in enumerate(stops.rejected):
        regressed = int(np.sum(base[run] & ~aligned[run]))
        differing = int(np.sum(base[run] != aligned[run]))
        p_value = stats.binomtest(regressed, differing, 0.5, "greater").pvalue if differing else 1.0
        assert rejected == (p_value <= alpha)


@pytest.mark.parametrize(
    ("truth", "curtailed", "anytime", "differs"),
    [(0.5, 150, 31, 0), (0.7, 250, 207, 0.009), (0.8, 284, 282, 0.015), (0.9, 282, 173, 0.001), (0.95, 267, 69, 0)],
)
def test_printed_items_to_a_verdict_on_a_rate(truth: float, curtailed: int, anytime: int, differs: float) -> None:
    runs = 2000
    hits = np.random.default_rng(1).random((runs, 300)) < truth
    full, early = rate_stops(hits, 0.8), rate_stops(hits, 0.8, anytime=True, floor=1)
    for stops, printed in ((full, curtailed), (early, anytime)):
        assert abs(stops.items.mean() - printed) <= 0.5 + 3 * stops.items.std() / math.sqrt(runs)
    differing = float(np.mean(full.verdict != early.verdict))
    assert abs(differing - differs) <= 0.0005 + 3 * math.sqrt(max(differs, 0.001) / runs)


@pytest.mark.parametrize(
    ("share", "regressed", "items"), [(0.2, 0.5, 284), (0.2, 0.65, 275), (0.2, 0.8, 152), (0.4, 0.65, 236)]
)
def test_printed_items_to_a_verdict_on_a_comparison(share: float, regressed: float, items: int) -> None:
    runs = 2000
    base, aligned = arms(runs, share, regressed, seed=2)
    stops = mcnemar_stops(base, aligned, anytime=True, floor=1)
    assert abs(stops.items.mean() - items) <= 0.5 + 3 * stops.items.std() / math.sqrt(runs)


@pytest.mark.parametrize(
    ("share", "regressed", "fixed", "split"), [(0.2, 0.65, 0.67, 0.63), (0.4, 0.65, 0.92, 0.90), (0.2, 0.8, 0.99, 0.99)]
)
def test_an_injected_regression_is_found(share: float, regressed: float, fixed: float, split: float) -> None:
    base, aligned = arms(1000, share, regressed, seed=3)
    assert mcnemar_stops(base, aligned).rejected.mean() >= fixed
    assert mcnemar_stops(base, aligned, anytime=True).rejected.mean() >= split


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.01])
@pytest.mark.parametrize("anytime", [False, True])
def test_equal_models_are_rarely_told_apart_with_a_look_at_every_item(alpha: float, anytime: bool) -> None:
    runs = 2000
    for share in (0.2, 0.4):
        base, aligned = arms(runs, share, 0.5, seed=4)
        found = mcnemar_stops(base, aligned, alpha, anytime=anytime).rejected.mean()
        assert found <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


def test_peeking_with_the_test_of_the_full_run_is_not_valid() -> None:
    # What this module is for: the same looks with the fixed exact test give .181 (STATISTICS section 8).
    hits = np.random.default_rng(5).random((2000, 300)) < 0.8
    looks = np.arange(10, 301, 10)
    successes = np.cumsum(hits, axis=1)[:, looks - 1]
    p_values: Floats = np.asarray(stats.binom.cdf(successes, looks, 0.8))
    alarms = (p_values <= 0.05).any(axis=1).mean()
    assert alarms == pytest.approx(0.181, abs=0.03)
    assert (first_reach(wealth_below(hits, 0.8), 0.05, 1) <= 300).mean() <= 0.05


@pytest.mark.parametrize("anytime", [False, True])
def test_a_family_of_eight_equal_models_rarely_raises_any_alarm(anytime: bool) -> None:
    runs, members, alpha = 2000, 8, 0.05
    rng = np.random.default_rng(7)
    level = split_level(alpha, members)
    early = np.zeros((runs, members), dtype=np.bool_)
    p_values = np.ones((runs, members))
    for member in range(members):
        base, aligned = rng.random((2, runs, 200)) < 0.7
        early[:, member] = first_reach(mcnemar_wealth(base, aligned), level.early) <= 200
        regressed, differing = (base & ~aligned).sum(axis=1), (base != aligned).sum(axis=1)
        p_values[:, member] = stats.binom.sf(regressed - 1, differing, 0.5)
    final = [min(holm(list(run))) for run in p_values]
    alarms = np.array(final) <= (level.final if anytime else alpha)
    if anytime:
        alarms |= early.any(axis=1)
    assert alarms.mean() <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


def arms(runs: int, share: float, regressed: float, seed: int) -> tuple[Bools, Bools]:
    """Successes of base and aligned model, (runs, 300): pairs differ with chance `share`, then `regressed` of them."""
    rng = np.random.default_rng(seed)
    differ, worse, same = rng.random((3, runs, 300))
    agree = same < 0.6
    base = np.where(differ < share, worse < regressed, agree)
    aligned = np.where(differ < share, worse >= regressed, agree)
    return base, aligned
