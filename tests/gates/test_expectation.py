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


@pytest.mark.parametrize(
    ("planned", "step", "at_least", "kind"),
    [(9, 1, 0.7, "contractual"), (9, 2, 0.5, "contractual"), (8, 3, 0.3, "evidential"), (10, 1, 0.5, "evidential")],
)
def test_expected_items_are_the_mean_over_all_runs(planned: int, step: int, at_least: float, kind: str) -> None:
    gate = Gate("any", "success_rate", kind=kind, at_least=at_least)
    runs = list(product((True, False), repeat=planned))
    chances = [prod(at_least if hit else 1 - at_least for hit in run) for run in runs]
    items = [_stops_at(gate, run, step) for run in runs]
    found = stop_forecast(gate, planned, step)
    assert found is not None
    assert found.expected == pytest.approx(sum(chance * count for chance, count in zip(chances, items, strict=True)))
    assert found.all_fail == items[-1]


def test_the_documented_example_costs_what_the_page_on_early_stopping_says() -> None:
    found = stop_forecast(Gate("any", "success_rate", at_least=0.8), 300, 1)
    assert found is not None
    assert round(2 * found.expected) == 568, "images at a true rate of 0.8"
    assert found.all_fail == 75


@pytest.mark.parametrize(
    "gate", [Gate("any", "quality_shift", at_most=1.0), Gate("any", "realignment_success", margin=0.1)]
)
def test_what_is_no_lower_bound_on_a_rate_has_no_forecast(gate: Gate) -> None:
    assert stop_forecast(gate, 100, 10) is None
