"""A new measurement against its baseline: when they are comparable, and what inside, better and worse mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aes_audit.gates.comparison import CONDITIONS, changed_conditions, compare, other_circumstances, within_tolerance
from aes_audit.gates.verdicts import Verdict

BLESSED: dict[str, Any] = {
    "schema": 1,
    "subject": "flux-dev",
    "metric": "quality_shift",
    "set": "pairs",
    "scorer": "hpsv3",
    "estimate": -1.0,
    "interval": [-1.2, -0.8],
    "n": 300,
    "planned": 300,
    "tolerance": 0.25,
    "alpha": 0.05,
    "prompts": {"name": "control_pairs", "digest": "a" * 64, "pairs": 300},
    "items": {"digest": "d" * 64},
    "instruments": {"hpsv3": "abc"},
    "provenance": {"device": "cpu (x86_64)", "libraries": {"torch": "2.13.0", "numpy": "2.4.0"}},
}


def moved(
    old: Sequence[float | None], new: Sequence[float | None], **fields: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A new entry and an old one whose estimates are the means of these item values."""
    entries = []
    for values in (new, old):
        known = [value for value in values if value is not None]
        items = {"digest": "d" * 64, "values": list(values)}
        entries.append({**BLESSED, "estimate": float(np.mean(known)), "items": items, **fields})
    return entries[0], entries[1]


@pytest.mark.parametrize(
    ("metric", "new", "verdict"),
    [
        ("quality_shift", -1.0, Verdict.PASS),
        ("quality_shift", -0.75, Verdict.PASS),
        ("quality_shift", -1.25, Verdict.PASS),
        ("quality_shift", -0.7, Verdict.FAIL),
        ("quality_shift", -1.3, Verdict.PASS),
        ("concept_kept", -1.3, Verdict.FAIL),
        ("concept_kept", -0.7, Verdict.PASS),
    ],
)
def test_outside_the_tolerance_only_the_bad_side_of_the_metric_fails(metric: str, new: float, verdict: Verdict) -> None:
    found = compare({**BLESSED, "metric": metric, "estimate": new}, {**BLESSED, "metric": metric})
    assert found.verdict is verdict
    assert f"old -1, new {new:g}, tolerance 0.25" in found.reason
    outside = abs(new + 1.0) > 0.25
    assert bool(found.notes) == (outside and verdict is Verdict.PASS)
    assert all("bless" in note for note in found.notes)


def test_the_new_measurements_own_tolerance_does_not_matter_it_was_not_blessed() -> None:
    new = {**BLESSED, "estimate": 0.0, "tolerance": 99.0}
    assert compare(new, BLESSED).verdict is Verdict.FAIL


@given(old=st.floats(-9, 9), new=st.floats(-9, 9))
def test_without_tolerance_only_the_same_number_is_the_same(old: float, new: float) -> None:
    assert within_tolerance({"estimate": new}, {"estimate": old, "tolerance": 0.0}) is (old == new)


def test_a_tolerance_reaches_as_far_as_it_says_in_floating_point() -> None:
    assert within_tolerance({"estimate": 0.75}, {"estimate": 0.8, "tolerance": 0.05})


def test_a_mean_that_left_its_tolerance_is_tested_item_by_item() -> None:
    draw = np.random.default_rng(0)
    old = draw.normal(-1, 1, 60)
    worse = old + draw.normal(0.5, 0.3, 60)
    found = compare(*moved(old.tolist(), worse.tolist()))
    assert found.verdict is Verdict.FAIL
    expected = stats.wilcoxon(
        worse - old, zero_method="pratt", correction=False, alternative="greater", method="approx"
    )
    assert f"p = {expected.pvalue:.3g}" in found.reason

    # The same mean change, all of it from three items of sixty.
    chance = old + draw.normal(0, 0.1, 60)
    chance[:3] += 10.0
    found = compare(*moved(old.tolist(), chance.tolist()))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "could be chance" in found.reason


@pytest.mark.parametrize(("lost", "gained"), [(12, 2), (20, 10), (30, 20), (5, 0)])
def test_a_rate_is_tested_by_mcnemar(lost: int, gained: int) -> None:
    old = [1.0] * 60 + [0.0] * 40
    new = [0.0] * lost + [1.0] * (60 - lost) + [1.0] * gained + [0.0] * (40 - gained)
    found = compare(*moved(old, new, metric="success_rate", tolerance=0.02))
    p_value = stats.binomtest(lost, lost + gained, alternative="greater").pvalue
    assert found.verdict is (Verdict.FAIL if p_value <= 0.05 else Verdict.INCONCLUSIVE)
    assert f"{lost} got worse and {gained} better (McNemar), p = {p_value:.3g}" in found.reason


def test_items_missing_on_either_side_are_left_out_of_the_pairs() -> None:
    old: list[float | None] = [None, *([-1.0] * 30)]
    new: list[float | None] = [9.0, None, *([0.5] * 29)]
    found = compare(*moved(old, new))
    assert found.verdict is Verdict.FAIL
    assert "29 of 29 got worse" in found.reason


def test_without_item_values_worse_is_a_failure() -> None:
    found = compare({**BLESSED, "estimate": 0.0}, BLESSED)
    assert found.verdict is Verdict.FAIL
    assert "no item values" in found.reason


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("schema", 2, "schema was 1, is 2"),
        ("subject", "other", "subject was flux-dev, is other"),
        ("metric", "wide_quality", "metric was quality_shift, is wide_quality"),
        ("set", "edits", "set was pairs, is edits"),
        ("scorer", "imagereward", "scorer was hpsv3, is imagereward"),
        ("planned", 299, "planned was 300, is 299"),
        (
            "prompts",
            {"name": "control_pairs", "digest": "b" * 64, "pairs": 300},
            f"prompts digest was {'a' * 16}, is {'b' * 16}",
        ),
        ("items", {"digest": "e" * 64}, f"items digest was {'d' * 16}, is {'e' * 16}"),
        ("instruments", {"hpsv3": "abd"}, "instruments hpsv3 was abc, is abd"),
        ("prompts", None, "prompts was {"),
    ],
)
def test_under_other_conditions_two_measurements_are_not_compared(name: str, value: object, told: str) -> None:
    changed = {**BLESSED, name: value}
    assert changed_conditions(changed, BLESSED) == [name]
    found = compare(changed, BLESSED)
    assert found.verdict is Verdict.ERROR
    assert found.reason.startswith(f"not comparable with its baseline: {told}")


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_that_an_old_file_does_not_have_has_changed(name: str) -> None:
    old = {key: value for key, value in BLESSED.items() if key != name}
    assert changed_conditions(BLESSED, old) == [name]


def test_what_only_describes_a_measurement_is_no_condition() -> None:
    told = {"interval": [-9, 9], "n": 299, "items": {"digest": "d" * 64, "values": [1]}, "provenance": {"reason": "x"}}
    assert compare({**BLESSED, **told}, BLESSED).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("policy", "verdict"), [("compare", Verdict.PASS), ("warn", Verdict.PASS), ("error", Verdict.ERROR)]
)
def test_other_hardware_or_versions_are_named_and_refused_only_where_that_is_the_policy(
    policy: str, verdict: Verdict
) -> None:
    provenance = {"device": "cuda (NVIDIA H200)", "libraries": {"torch": "2.14.0", "numpy": "2.4.0"}}
    found = compare({**BLESSED, "provenance": provenance}, BLESSED, policy)
    assert found.verdict is verdict
    assert found.mismatch == "device was cpu (x86_64), is cuda (NVIDIA H200); libraries torch was 2.13.0, is 2.14.0"
    assert found.mismatch in found.notes[0]


def test_a_side_that_knows_no_hardware_mismatches_nothing() -> None:
    recorded = {**BLESSED, "provenance": {"evidence": "table.csv"}}
    assert other_circumstances(recorded, BLESSED) is None
    assert other_circumstances(BLESSED, recorded) is None


def test_a_measurement_that_has_no_number_any_more_is_an_error() -> None:
    assert compare({**BLESSED, "estimate": None}, BLESSED).verdict is Verdict.ERROR
