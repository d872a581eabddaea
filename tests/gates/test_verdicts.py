"""From a measurement and a gate to a verdict: every branch, and the properties that hold everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aes_audit.evidence.schema import Row
from aes_audit.evidence.table import Evidence
from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import Verdict, judge
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.registry import measure

NUMBER = st.floats(-5, 5).map(lambda value: round(value, 3))
INTERVAL = st.tuples(NUMBER, NUMBER).map(lambda bounds: (min(bounds), max(bounds)))
PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
ERROR, ADVISORY = Verdict.ERROR, Verdict.ADVISORY


def measured(
    estimate: float | None = 0.5, interval: tuple[float, float] | None = (0.4, 0.6), *, n: int = 100, **more: Any
) -> Measurement:
    """A measurement with whatever a case is about."""
    known = {"audit": "a", "metric": "m", "model": "x", "set": "pairs", "scorer": "s", "missing": 0}
    return Measurement(n=n, estimate=estimate, interval=interval, **{**known, **more})


def gated(**condition: Any) -> Gate:
    """A gate with whatever a case is about."""
    return Gate("here", "m", **condition)


def verdict(measurement: Measurement, gate: Gate | None, bad: str = "down") -> Verdict:
    """The verdict alone."""
    return judge(measurement, gate, bad).verdict


@pytest.mark.parametrize(
    ("successes", "expected"), [(240, PASS), (233, FAIL), (234, INCONCLUSIVE), (239, INCONCLUSIVE)]
)
def test_a_promised_rate_is_broken_only_if_the_missing_items_could_not_keep_it(
    successes: int, expected: Verdict
) -> None:
    # 300 planned, 6 missing: counted as failures in the estimate, as successes in the best case.
    best = {"best_estimate": (successes + 6) / 300}
    promise = gated(kind="contractual", at_least=0.8)
    assert verdict(measured(successes / 300, n=294, missing=6, details=best), promise) is expected


def test_a_gate_with_a_tolerance_alone_asks_nothing_of_the_number() -> None:
    found = judge(measured(), gated(tolerance=0.1), "down")
    assert (found.verdict, found.reason) == (ADVISORY, "measured; only a change from its baseline is judged")
    assert verdict(measured(None, None, n=0, missing=9), gated(tolerance=0.1)) is ERROR


@pytest.mark.parametrize(
    ("condition", "interval", "expected"),
    [
        ({"at_least": 0.3}, (0.4, 0.6), PASS),
        ({"at_least": 0.7}, (0.4, 0.6), FAIL),
        ({"at_least": 0.5}, (0.4, 0.6), INCONCLUSIVE),
        ({"at_least": 0.4}, (0.4, 0.6), INCONCLUSIVE),
        ({"at_least": 0.6}, (0.4, 0.6), INCONCLUSIVE),
        ({"at_least": 0.0}, (0.1, 0.6), PASS),
        ({"at_most": 0.7}, (0.4, 0.6), PASS),
        ({"at_most": 0.3}, (0.4, 0.6), FAIL),
        ({"at_most": 0.5}, (0.4, 0.6), INCONCLUSIVE),
        ({"at_most": 0.6}, (0.4, 0.6), INCONCLUSIVE),
        ({"at_most": 0.4}, (0.4, 0.6), INCONCLUSIVE),
        ({"at_most": 0.0}, (0.1, 0.6), FAIL),
        ({"at_most": 0.0}, (-0.6, -0.1), PASS),
    ],
)
def test_an_evidential_gate_reads_the_interval_and_touching_it_is_inconclusive(
    condition: dict[str, float], interval: tuple[float, float], expected: Verdict
) -> None:
    assert verdict(measured(interval=interval), gated(**condition)) is expected


@pytest.mark.parametrize(
    ("condition", "estimate", "expected"),
    [
        ({"at_least": 0.5}, 0.5, PASS),
        ({"at_least": 0.5}, 0.49, FAIL),
        ({"at_most": 0.5}, 0.5, PASS),
        ({"at_most": 0.5}, 0.51, FAIL),
        ({"at_most": 0.0}, 0.01, FAIL),
        ({"at_least": 0.0}, -0.01, FAIL),
    ],
)
def test_a_contract_reads_the_estimate_and_nothing_else(
    condition: dict[str, float], estimate: float, expected: Verdict
) -> None:
    gate = gated(kind="contractual", **condition)
    for interval in ((-9.0, 9.0), (0.0, 0.0), None):
        assert verdict(measured(estimate, interval), gate) is expected


def test_nothing_measured_is_an_error_whatever_was_asked() -> None:
    nothing = measured(None, None, n=0, missing=7)
    judgement = judge(nothing, gated(at_least=0.5), "down")
    assert (judgement.verdict, judgement.reason) == (ERROR, "not measured: 0 of 7 items have a score")
    explained = judge(replace(nothing, reason="the judge is down"), gated(margin=0.1), "up")
    assert (explained.verdict, explained.reason) == (ERROR, "not measured: the judge is down")


@pytest.mark.parametrize(
    ("n", "missing", "limit", "expected"),
    [(98, 2, 0.02, PASS), (97, 3, 0.02, ERROR), (71, 29, 0.29, PASS), (100, 0, 0.0, PASS), (99, 1, 0.0, ERROR)],
)
def test_more_missing_than_allowed_is_an_error_and_exactly_as_much_is_not(
    n: int, missing: int, limit: float, expected: Verdict
) -> None:
    judgement = judge(measured(n=n, missing=missing), gated(at_least=0.3, max_missing=limit), "down")
    assert judgement.verdict is expected
    assert (expected is PASS) or f"{missing} of 100 items are missing" in judgement.reason


def test_too_much_missing_is_never_a_failed_contract() -> None:
    assert verdict(measured(0.0, n=50, missing=50), gated(kind="contractual", at_least=0.5)) is ERROR


def test_thin_data_are_inconclusive_with_their_reason() -> None:
    for gate in (gated(at_least=0.3), gated(margin=0.1)):
        judgement = judge(measured(0.5, None, reason="n < 20", p_value=0.9), gate, "down")
        assert (judgement.verdict, judgement.reason) == (INCONCLUSIVE, "n < 20")
    without = judge(measured(None, None, reason="no variation"), gated(kind="contractual", at_least=0.3), "down")
    assert (without.verdict, without.reason) == (INCONCLUSIVE, "no variation")


def test_a_rate_fails_only_if_it_would_also_fail_with_every_missing_item_a_success() -> None:
    # 223 of 300 with 6 missing fails .80, but 229 of 300 does not.
    gate, failing = gated(at_least=0.8), measured(0.743, (0.69, 0.7918), n=294, missing=6)
    assert verdict(failing, gate) is FAIL
    assert verdict(replace(failing, details={"best_interval": [0.711, 0.8103]}), gate) is INCONCLUSIVE


def _successes(successes: int, missing: int, planned: int = 300) -> Evidence:
    values = [1.0] * successes + [None] * missing + [0.0] * (planned - successes - missing)
    return Evidence.from_rows(
        Row("x", "pairs", f"{number:03}", "pair", "wide", "preference/p", value, None if value is not None else "black")
        for number, value in enumerate(values)
    )


@pytest.mark.parametrize(
    ("successes", "expected"), [(217, FAIL), (223, INCONCLUSIVE), (254, PASS), (252, INCONCLUSIVE)]
)
def test_the_measured_rate_and_its_missing_items_reach_the_gate(successes: int, expected: Verdict) -> None:
    missing = 6 if successes < 240 else 0
    measurement = measure("success_rate", _successes(successes, missing), model="x")
    assert (measurement.n, measurement.missing) == (300 - missing, missing)
    assert verdict(measurement, gated(at_least=0.8)) is expected


def test_sides_that_lose_items_differently_cannot_be_compared() -> None:
    for first, second in (("base", "aligned"), ("original", "wide")):
        for gate in (gated(margin=0.1), gated(at_least=0.3)):
            lost = {first: 0, second: 6, "p_value": 0.03}
            judgement = judge(measured(n=294, missing=6, p_value=1.0, details={"lost": lost}), gate, "down")
            assert judgement.verdict is INCONCLUSIVE
            assert f"0 of {first} and 6 of {second}" in judgement.reason
            alike = {**lost, "p_value": 0.05}
            assert verdict(measured(n=294, missing=6, p_value=1.0, details={"lost": alike}), gate) is PASS


def test_measured_losses_on_one_side_reach_the_gate() -> None:
    table = Evidence.from_rows(
        Row("x", "pairs", f"{number:03}", image, "original", "r", *((None, "black") if lost else (1.0 + number, None)))
        for number in range(300)
        for image in ("original", "wide")
        for lost in [image == "wide" and number < 6]
    )
    assert verdict(measure("quality_shift", table, model="x"), gated(at_most=5.0), "up") is INCONCLUSIVE


@pytest.mark.parametrize(
    ("bad", "estimate", "interval", "p_value", "expected"),
    [
        # Worse by the margin and significant.
        ("up", 0.2, (0.15, 0.3), 0.01, FAIL),
        ("down", -0.2, (-0.3, -0.15), 0.01, FAIL),
        ("up", 0.1, (0.05, 0.3), 0.05, FAIL),
        # Significant, but smaller than the margin.
        ("up", 0.05, (0.01, 0.09), 0.001, PASS),
        ("up", 0.05, (0.01, 0.15), 0.001, INCONCLUSIVE),
        # Worse by the margin, but it may be chance.
        ("up", 0.2, (-0.1, 0.5), 0.06, INCONCLUSIVE),
        ("up", 0.2, (-0.1, 0.5), None, INCONCLUSIVE),
        # Not worse: the interval decides.
        ("up", 0.0, (-0.09, 0.09), 0.5, PASS),
        ("up", 0.0, (-0.1, 0.1), 0.5, INCONCLUSIVE),
        ("down", 0.0, (-0.1, 0.1), 0.5, INCONCLUSIVE),
        ("up", -0.3, (-0.4, -0.2), 1.0, PASS),
        ("down", 0.3, (0.2, 0.4), 1.0, PASS),
        # A p-value alone can fail, never pass.
        ("up", 0.2, None, 0.01, FAIL),
        ("up", -0.2, None, 1.0, INCONCLUSIVE),
    ],
)
def test_a_paired_gate_fails_by_p_and_margin_and_passes_by_the_interval(
    bad: str, estimate: float, interval: tuple[float, float] | None, p_value: float | None, expected: Verdict
) -> None:
    assert verdict(measured(estimate, interval, p_value=p_value), gated(margin=0.1), bad) is expected


def test_an_adjusted_p_value_stands_in_for_the_measurements_own() -> None:
    worse = measured(0.2, (0.05, 0.35), p_value=0.03)
    assert judge(worse, gated(margin=0.1), "up").verdict is FAIL
    assert judge(worse, gated(margin=0.1), "up", p_adjusted=0.06).verdict is INCONCLUSIVE


def test_an_advisory_gate_says_what_it_would_have_said() -> None:
    judgement = judge(measured(), gated(at_least=0.9, advisory=True), "down")
    assert judgement.verdict is ADVISORY
    assert judgement.reason.startswith("would be fail: ")


def test_without_a_gate_a_measurement_is_only_shown() -> None:
    assert verdict(measured(), None) is ADVISORY


@pytest.mark.parametrize("member", list(Verdict))
def test_a_verdict_has_no_truth_value(member: Verdict) -> None:
    with pytest.raises(TypeError, match="compare it"):
        bool(member)
    with pytest.raises(TypeError):
        _ = 1 if member else 0


def test_every_reason_is_one_line() -> None:
    for bound in (0.3, 0.5, 0.7):
        for kind in ("evidential", "contractual"):
            assert "\n" not in judge(measured(), gated(at_least=bound, kind=kind), "down").reason


@given(interval=INTERVAL, threshold=NUMBER, kind=st.sampled_from(["evidential", "contractual"]))
def test_mirrored_gates_mirror_the_verdict(interval: tuple[float, float], threshold: float, kind: str) -> None:
    low, high = interval
    middle = (low + high) / 2
    up = verdict(measured(middle, interval), gated(at_least=threshold, kind=kind), "down")
    down = verdict(measured(-middle, (-high, -low)), gated(at_most=-threshold, kind=kind), "up")
    assert up is down


@given(interval=INTERVAL, threshold=NUMBER)
def test_what_is_asked_the_other_way_round_is_answered_the_other_way_round(
    interval: tuple[float, float], threshold: float
) -> None:
    opposite = {PASS: FAIL, FAIL: PASS, INCONCLUSIVE: INCONCLUSIVE}
    at_least = verdict(measured(interval=interval), gated(at_least=threshold))
    assert verdict(measured(interval=interval), gated(at_most=threshold), "up") is opposite[at_least]


@given(interval=INTERVAL, margin=st.floats(0.01, 3), p_value=st.floats(0, 1))
def test_mirrored_arms_mirror_the_paired_verdict(interval: tuple[float, float], margin: float, p_value: float) -> None:
    low, high = interval
    middle = (low + high) / 2
    up = verdict(measured(middle, interval, p_value=p_value), gated(margin=margin), "up")
    down = verdict(measured(-middle, (-high, -low), p_value=p_value), gated(margin=margin), "down")
    assert up is down


@given(interval=INTERVAL, threshold=NUMBER, better=st.floats(0, 3))
def test_a_better_measurement_never_gets_a_worse_verdict(
    interval: tuple[float, float], threshold: float, better: float
) -> None:
    order = [FAIL, INCONCLUSIVE, PASS]
    low, high = interval
    before = verdict(measured(interval=interval), gated(at_least=threshold))
    after = verdict(measured(interval=(low + better, high + better)), gated(at_least=threshold))
    assert order.index(after) >= order.index(before)


@settings(max_examples=30)
@given(regressed=st.integers(0, 40), improved=st.integers(0, 40), margin=st.floats(0.01, 0.3))
def test_swapping_two_real_arms_never_fails_both(regressed: int, improved: int, margin: float) -> None:
    assume(regressed + improved > 0)
    table = _two_arms(regressed, improved)
    verdicts = [
        verdict(measure("realignment_success", table, model=model, base_model=base), gated(margin=margin))
        for model, base in (("aligned", "base"), ("base", "aligned"))
    ]
    assert verdicts.count(FAIL) <= 1
    if regressed == improved:
        assert verdicts[0] is verdicts[1]


def _two_arms(regressed: int, improved: int, planned: int = 100) -> Evidence:
    base = [1.0] * regressed + [0.0] * improved + [1.0] * (planned - regressed - improved)
    aligned = [0.0] * regressed + [1.0] * improved + [1.0] * (planned - regressed - improved)
    return Evidence.from_rows(
        Row(model, "pairs", f"{number:03}", "pair", "wide", "preference/p", value)
        for model, values in (("base", base), ("aligned", aligned))
        for number, value in enumerate(values)
    )
