"""Properties of a JUnit file: one per thing that a measurement says."""

from __future__ import annotations

import json

from report.entries import line

from aes_audit.gates.thresholds import Gate
from aes_audit.report.junit import properties


def test_a_measurement_has_its_numbers_its_condition_and_its_verdict() -> None:
    shown = dict(properties(line("fail", base_model="base", gate=Gate("here", "m", margin=0.3), p_value=1e-9)))
    assert json.loads(shown["interval"]) == [-1.34, -0.87]
    assert float(shown["estimate"]) == -1.105
    assert float(shown["p_value"]) == 1e-9
    assert (shown["n"], shown["missing"], shown["threshold"]) == ("300", "0", "margin = 0.3")
    assert (shown["subject"], shown["base_model"], shown["verdict"]) == ("flux-dev", "base", "fail")


def test_what_there_is_not_has_no_property() -> None:
    shown = dict(properties({**line("error", estimate=None, interval=None), "threshold": None}))
    assert {"estimate", "interval", "threshold", "baseline", "base_model", "group"}.isdisjoint(shown)
    assert shown["verdict"] == "error"


def test_a_baseline_is_shown_by_its_number() -> None:
    assert dict(properties(line(baseline={"estimate": -1.2})))["baseline"] == "-1.2"
