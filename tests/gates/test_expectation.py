"""What early stopping is expected to save: against every possible run, one by one."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest

from aes_audit.gates.curtailment import Seen, look
from aes_audit.gates.expectation import stop_forecast
from aes_audit.gates.thresholds import Gate


def _stops_at(gate: Gate, hits: tuple[bool, ...], step: int) -> int:
    seen = Seen(len(hits), hits)
    looks = [*range(step, len(hits), step), len(hits)]
    return next((count for count in looks if look(gate, seen.first(count))), len(hits))


@pytest.mark.parametrize(("planned", "step", "at_least"), [(9, 1, 0.7), (9, 2, 0.5), (8, 3, 0.3)])
def test_expected_items_are_the_mean_over_all_runs(planned: int, step: int, at_least: float) -> None:
    gate = Gate("any", "success_rate", kind="contractual", at_least=at_least)
    runs = list(product((True, False), repeat=planned))
    chances = [prod(at_least if hit else 1 - at_least for hit in run) for run in runs]
    items = [_stops_at(gate, run, step) for run in runs]
    found = stop_forecast(gate, planned, step)
    assert found is not None
    assert found.expected == pytest.approx(sum(chance * count for chance, count in zip(chances, items, strict=True)))
    assert found.all_fail == items[-1]


def test_the_documented_example_stops_after_a_quarter() -> None:
    gate = Gate("any", "success_rate", kind="contractual", at_least=0.8)
    found = stop_forecast(gate, 300, 1)
    assert found is not None
    # 225 successes of 300 would still be 0.75: after 61 failures not even all the others reach 240.
    assert found.all_fail == 61
    assert 61 < found.expected < 300


@pytest.mark.parametrize(
    "gate", [Gate("any", "quality_shift", at_most=1.0), Gate("any", "realignment_success", margin=0.1)]
)
def test_what_is_no_lower_bound_on_a_rate_has_no_forecast(gate: Gate) -> None:
    assert stop_forecast(gate, 100, 10) is None
