"""Stopping early against the full run: every look of random runs, judged through real tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes_audit.evidence.schema import Row
from aes_audit.evidence.table import Evidence
from aes_audit.gates.curtailment import Seen, Settled, can_settle, final_gate, look, order
from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import Judgement, Verdict, judge
from aes_audit.measures.registry import METRICS, measure
from aes_audit.statistics.sequential import mcnemar_stops, rate_stops

Hits = tuple[bool | None, ...]

seeded = settings(derandomize=True, deadline=None, max_examples=80)
JUDGE = "preference/vlm"
RUNS = 16
"""Random runs per generated gate; all of them are models of one table."""


def evidence(models: dict[str, Hits]) -> Evidence:
    """A table of success or not (a tie) for each model and item."""
    return Evidence.from_rows(
        Row(model, "pairs", f"{item:04}", "pair", "wide", JUDGE, *_cell(hit))
        for model, hits in models.items()
        for item, hit in enumerate(hits)
    )


def _cell(hit: bool | None) -> tuple[float | None, str | None]:
    return (None, "lost") if hit is None else (1.0 if hit else 0.5, None)


def full_runs(gate: Gate, table: Evidence, model: str, base: str | None, factors: Sequence[float]) -> list[Judgement]:
    """The gate's judgement of all items, once for each factor that the family may put on p."""
    measured = measure(
        gate.metric, table, model=model, base_model=base, confidence=gate.confidence, interval=gate.interval
    )
    p_value = 1.0 if measured.p_value is None else measured.p_value
    return [judge(measured, gate, METRICS[gate.metric].bad, min(1.0, factor * p_value)) for factor in factors]


def looks(gate: Gate, hits: Hits, base: Hits | None = None, family: int = 1) -> Iterator[tuple[int, Settled | None]]:
    """What is settled after every item."""
    whole = Seen(len(hits), hits, base)
    return ((at, look(gate, whole.first(at), family=family)) for at in range(len(hits) + 1))


def outcomes(rng: np.random.Generator, items: int, rate: float, lost: float) -> Hits:
    """Random successes, some missing."""
    return tuple(None if gone else bool(hit) for gone, hit in zip(*_draws(rng, items, rate, lost), strict=True))


def _draws(rng: np.random.Generator, items: int, rate: float, lost: float) -> tuple[Sequence[bool], Sequence[bool]]:
    return list(rng.random(items) < lost), list(rng.random(items) < rate)


@st.composite
def rate_gates(draw: st.DrawFn) -> Gate:
    """Rate gates of every kind."""
    side = draw(st.sampled_from(["at_least", "at_least", "at_most"]))
    return Gate(
        "release",
        "success_rate",
        kind=draw(st.sampled_from(["evidential", "contractual"])),
        interval=draw(st.sampled_from(["exact", "wilson"])),
        confidence=draw(st.sampled_from([0.8, 0.95])),
        max_missing=draw(st.sampled_from([0.0, 0.02, 0.1, 0.5])),
        advisory=draw(st.booleans()),
        **{side: draw(st.sampled_from([0.1, 0.5, 0.7, 0.8, 0.9]))},  # type: ignore[arg-type]
    )


@st.composite
def paired_gates(draw: st.DrawFn) -> Gate:
    """McNemar gates."""
    return Gate(
        "release",
        "realignment_success",
        margin=draw(st.sampled_from([0.01, 0.1, 0.2, 0.4])),
        alpha=draw(st.sampled_from([0.05, 0.2])),
        confidence=draw(st.sampled_from([0.8, 0.95])),
        max_missing=draw(st.sampled_from([0.0, 0.05, 0.3])),
    )


@seeded
@given(rate_gates(), st.integers(1, 40), st.floats(0, 1), st.sampled_from([0, 0.02, 0.2]), st.integers(0, 2**32))
def test_a_curtailed_rate_has_the_verdict_of_the_full_run(
    gate: Gate, items: int, rate: float, lost: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    runs = {f"{run:02}": outcomes(rng, items, rate, lost) for run in range(RUNS)}
    table = evidence(runs)
    for model, hits in runs.items():
        verdict = full_runs(replace(gate, advisory=False), table, model, None, [1])[0].verdict
        for at, found in looks(gate, hits):
            if found is None:
                assert at < items
            else:
                # An item that is not generated is not missing: only its loss could have made the full run an error.
                assert found.verdict is verdict or (verdict is Verdict.ERROR and None in hits[at:])


@seeded
@given(
    paired_gates(),
    st.integers(1, 24),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.sampled_from([0, 0.02, 0.2]),
    st.sampled_from([1, 2, 8]),
    st.integers(0, 2**32),
)
def test_a_curtailed_comparison_has_the_verdict_of_the_full_run_whatever_p_the_family_has(
    gate: Gate, items: int, rates: tuple[float, float], lost: float, family: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    runs = {
        f"{run:02} {arm}": outcomes(rng, items, rate, lost)
        for run in range(RUNS)
        for arm, rate in zip(("aligned", "base"), rates, strict=True)
    }
    table = evidence(runs)
    for model in list(runs)[::2]:
        base = model.replace("aligned", "base")
        judged = full_runs(gate, table, model, base, _factors(family))
        for at, found in looks(gate, runs[model], runs[base], family):
            if found is not None:
                later = [hits[at:].count(None) for hits in (runs[model], runs[base])]
                for full in judged:
                    excused = full.verdict is Verdict.ERROR or "differently" in full.reason
                    assert found.verdict is full.verdict or (excused and any(later))


def _factors(family: int) -> list[float]:
    """What Holm's method may multiply a p-value by, at least and at most, and something between."""
    return sorted({1.0, (1 + family) / 2, float(family)})


@pytest.mark.parametrize("items", [6, 12, 25])
def test_a_comparison_is_settled_exactly_when_no_completion_differs(items: int) -> None:
    # Every completion one by one, without the argument that only the edge of the triangle matters.
    rng = np.random.default_rng(items)
    settled = 0
    for _ in range(60):
        gate = Gate("release", "realignment_success", margin=float(rng.choice([0.05, 0.3, 0.7])), max_missing=0.0)
        gate = replace(gate, confidence=float(rng.choice([0.5, 0.95, 0.999])), alpha=float(rng.choice([0.05, 0.3])))
        aligned, base = (tuple(map(bool, rng.random(items) < rng.random())) for _ in range(2))
        at = int(rng.integers(items // 2, items))
        left = items - at
        found = look(gate, Seen(items, aligned[:at], base[:at]))
        ends = []
        for worse, better in product(range(left + 1), repeat=2):
            if worse + better <= left:
                rest = ((True, False),) * worse + ((False, True),) * better + ((True, True),) * (left - worse - better)
                after = [*zip(base[:at], aligned[:at], strict=True), *rest]
                whole = Seen(items, tuple(pair[1] for pair in after), tuple(pair[0] for pair in after))
                ends.append(look(gate, whole))
        verdicts = {end.verdict for end in ends if end is not None}
        assert (None if found is None else {found.verdict}) == (verdicts if len(verdicts) == 1 else None)
        settled += found is not None
    assert settled >= 5


def test_a_complete_run_is_always_settled_and_not_stopped() -> None:
    found = look(Gate("release", "success_rate", at_least=0.8), Seen(10, (True,) * 10))
    assert found is not None
    assert not found.stopped


def test_hopeless_losses_settle_the_error_at_once() -> None:
    gate = Gate("release", "success_rate", at_least=0.8, max_missing=0.02)
    assert look(gate, Seen(100, (None, None))) is None
    found = look(gate, Seen(100, (None, None, None)))
    assert found is not None
    assert found.verdict is Verdict.ERROR


def test_uneven_losses_do_not_settle_what_later_losses_could_even_out() -> None:
    gate = Gate("release", "realignment_success", margin=0.2, max_missing=0.5)
    aligned: Hits = (None,) * 8 + (True,) * 80
    base: Hits = (True,) * 88
    assert look(gate, Seen(100, aligned, base)) is None
    assert look(gate, Seen(100, (True,) * 88, base)) is not None


def test_bounds_hold_the_estimate_of_every_completion() -> None:
    found = look(Gate("release", "success_rate", at_least=0.8), Seen(300, (False,) * 75))
    assert found is not None
    assert (found.verdict, found.at, found.bounds) == (Verdict.FAIL, 75, (0, 0.75))
    assert found.reason == (
        "stopped at 75 of 300 items, no outcome of the items left changes it: the full run ends within [0, 0.75]"
    )


def test_a_stopped_run_reports_bounds_and_no_rate() -> None:
    hits: Hits = (False,) * 75
    partial = measure("success_rate", evidence({"ours": hits}), model="ours")
    for advisory, verdict in ((False, Verdict.FAIL), (True, Verdict.ADVISORY)):
        gate = Gate("release", "success_rate", at_least=0.8, advisory=advisory)
        found = look(gate, Seen(300, hits))
        assert found is not None
        judgement = found.judgement(partial)
        assert judgement.verdict is verdict
        measured = judgement.measurement
        assert (measured.model, measured.n, measured.estimate, measured.interval) == ("ours", 75, None, None)
        assert measured.details == {
            "ties": 75,
            "early_stop": "curtailment",
            "stopped_at": 75,
            "planned": 300,
            "bounds": [0, 0.75],
        }
        assert measured.reason is not None


@pytest.mark.parametrize("metric", ["quality_shift", "reward_auroc", "realignment_quality", "dimension_shift"])
def test_means_and_ranks_are_never_settled_early(metric: str) -> None:
    gate = Gate("release", metric, at_most=0.0)
    assert not can_settle(gate)
    assert not can_settle(None)
    with pytest.raises(ValueError, match="no verdict before the last item"):
        look(gate, Seen(300, ()))


def test_a_comparison_needs_both_models() -> None:
    with pytest.raises(ValueError, match="base model"):
        look(Gate("release", "realignment_success", margin=0.1), Seen(300, (True,)))
    with pytest.raises(ValueError, match="2 items of one model beside 1"):
        Seen(300, (True, False), (True,))
    with pytest.raises(ValueError, match="only 1 planned"):
        Seen(1, (True, False))


def test_the_order_is_a_seeded_shuffle_of_the_names_alone() -> None:
    items = [f"{item:03}" for item in range(300)]
    ours = order(items, 7)
    assert sorted(ours) == items
    assert ours == order(items[::-1], 7)
    assert ours != order(items, 8)
    assert ours[:4] == ("139", "017", "165", "144")  # The same on every machine and Python version.
    assert order([], 7) == ()


def test_every_beginning_of_the_order_holds_the_strata_in_proportion() -> None:
    sizes = {"portrait": 150, "scene": 100, "still": 45, "rare": 5}
    strata = {f"{name}-{item}": name for name, size in sizes.items() for item in range(size)}
    mixed = order(list(strata), 3, strata)
    for seen in range(1, 301):
        for name, size in sizes.items():
            count = sum(strata[item] == name for item in mixed[:seen])
            assert abs(count - seen * size / 300) <= 3.5
    # Within a stratum the order is a shuffle, not the order of the names.
    portraits = [item for item in mixed if strata[item] == "portrait"]
    assert portraits != sorted(portraits)


def test_at_the_end_of_an_anytime_run_four_fifths_of_the_level_are_left() -> None:
    rate = Gate("release", "success_rate", at_least=0.8)
    assert final_gate(rate).confidence == pytest.approx(0.96, abs=1e-12)
    paired = Gate("release", "realignment_success", margin=0.1)
    assert final_gate(paired).alpha == pytest.approx(0.04, abs=1e-12)
    assert final_gate(paired).confidence == 0.95
    contract = replace(rate, kind="contractual")
    assert final_gate(contract) == contract


@pytest.mark.parametrize("truth", [0.5, 0.78, 0.92])
@pytest.mark.parametrize("interval", ["exact", "wilson"])
@pytest.mark.parametrize("anytime", [False, True])
def test_gates_stop_where_the_simulated_ones_do(truth: float, interval: str, anytime: bool) -> None:
    gate = Gate("release", "success_rate", at_least=0.8, interval=interval)
    hits = np.random.default_rng(3).random((4, 120)) < truth
    stops = rate_stops(hits, 0.8, interval=interval, anytime=anytime)
    codes = {Verdict.PASS: 1, Verdict.INCONCLUSIVE: 0, Verdict.FAIL: -1}
    for run, items, verdict in zip(hits, stops.items, stops.verdict, strict=True):
        seen = Seen(120, tuple(map(bool, run)))
        found = next(found for at in range(121) if (found := look(gate, seen.first(at), anytime=anytime)))
        assert (found.at, codes[found.verdict]) == (items, verdict)


@pytest.mark.parametrize("anytime", [False, True])
def test_comparisons_fail_where_the_simulated_ones_do(anytime: bool) -> None:
    # A margin that every regression exceeds leaves the test alone to decide.
    gate = Gate("release", "realignment_success", margin=1e-9)
    rng = np.random.default_rng(4)
    base, aligned = rng.random((12, 100)) < 0.8, rng.random((12, 100)) < 0.62
    stops = mcnemar_stops(base, aligned, anytime=anytime)
    failed = 0
    for run, rejected in enumerate(stops.rejected):
        seen = Seen(100, tuple(map(bool, aligned[run])), tuple(map(bool, base[run])))
        found = next(found for at in range(101) if (found := look(gate, seen.first(at), anytime=anytime)))
        assert (found.verdict is Verdict.FAIL) == rejected
        if rejected:
            assert found.at == stops.items[run]
        failed += rejected
    assert failed >= 4


def test_a_family_asks_the_bettor_for_more() -> None:
    gate = Gate("release", "realignment_success", margin=0.1)
    base: Hits = (True,) * 60
    aligned: Hits = (True, False) * 30
    alone = [bool(look(gate, Seen(300, aligned[:at], base[:at]), anytime=True)) for at in range(61)]
    together = [bool(look(gate, Seen(300, aligned[:at], base[:at]), anytime=True, family=50)) for at in range(61)]
    assert alone.index(True) == 30
    assert together.count(True) < alone.count(True)


def test_the_bettor_does_not_stop_within_the_margin_or_while_too_much_is_missing() -> None:
    base: Hits = (True,) * 60
    aligned: Hits = (True, True, True, False) * 15
    close = Gate("release", "realignment_success", margin=0.3)
    assert look(close, Seen(3000, aligned, base), anytime=True) is None
    assert look(replace(close, margin=0.2), Seen(3000, aligned, base), anytime=True) is not None
    rate = Gate("release", "success_rate", at_least=0.8)
    losing: Hits = (None,) * 2 + (False,) * 58
    assert look(rate, Seen(3000, losing), anytime=True) is None
    assert look(rate, Seen(3000, losing[2:]), anytime=True) is not None


def test_an_anytime_verdict_is_never_taken_back_and_shows_the_running_interval() -> None:
    gate = Gate("release", "success_rate", at_least=0.8)
    hits: Hits = (False,) * 35 + (True,) * 215
    whole = Seen(300, hits)
    found = look(gate, whole.first(35), anytime=True)
    assert found is not None
    assert (found.verdict, found.rule, found.stopped) == (Verdict.FAIL, "anytime", True)
    assert found.bounds[0] == 0
    assert found.bounds[1] < 0.2
    later = look(gate, whole, anytime=True)
    assert later is not None
    assert later.verdict is Verdict.FAIL


def test_the_running_interval_of_a_comparison_holds_the_difference() -> None:
    gate = Gate("release", "realignment_success", margin=0.1)
    base: Hits = (True,) * 80
    aligned: Hits = (True, False) * 40
    found = look(gate, Seen(300, aligned, base), anytime=True)
    assert found is not None
    assert found.rule == "anytime"
    assert -0.8 < found.bounds[0] < -0.5 < found.bounds[1] < -0.2
