"""The registry keeps the names of the contract, and `measure` keeps its promises for every metric."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from aes_audit.errors import UnknownName, UsageError
from aes_audit.evidence.table import Evidence
from aes_audit.measures import names
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.registry import METRICS, measure

Whole = Callable[..., Evidence]

CONTRACT = [
    "image_faults",
    "success_rate",
    "preference_agreement",
    "quality_shift",
    "wide_quality",
    "dimension_shift",
    "dimension_shift_all",
    "concept_kept",
    "reward_auroc",
    "reward_accuracy",
    "reward_balanced_accuracy",
    "reward_f1",
    "prefers_wide",
    "realignment_quality",
    "realignment_success",
    "art_z",
    "emotion_accuracy",
    "emotion_accuracy_happy",
    "emotion_rendering",
    "positivity_shift",
    "realignment_emotion",
    "edit_shift",
    "judge_agreement_accuracy",
    "judge_agreement_mae",
    "judge_agreement_weighted_mae",
    "judge_agreement_weighted_f1",
    "judge_agreement_quadratic_kappa",
]

CASES = [
    (name, group)
    for name, metric in METRICS.items()
    for group in sorted({metric.groups[0], metric.groups[-1]}, key=str)
]


def asked(name: str, group: str | None, table: Evidence, **more: Any) -> Measurement:
    """Measure a metric of the table in which everything can be measured."""
    metric = METRICS[name]
    model = "human" if metric.set in ("art", "ratings") else "aligned"
    scorer = {"reward": "hpsv3", "preference": "preference/vlm"}.get(metric.scorer_kind)
    truth = {"reward": "preference/vlm", "preference": "preference/other"}.get(metric.scorer_kind)
    base = "base" if metric.paired else None
    reference = "base" if name == "art_z" else None
    named: dict[str, Any] = {
        "base_model": base,
        "scorer": scorer,
        "truth": truth,
        "group": group,
        "reference": reference,
    }
    return measure(name, table, model=model, **named, **more)


def test_the_metrics_are_those_of_the_contract() -> None:
    assert sorted(METRICS) == sorted(CONTRACT)
    assert all(name == metric.name for name, metric in METRICS.items())


def test_planning_and_measuring_agree_on_what_a_metric_needs() -> None:
    assert set(names.METRIC_NEEDS) == set(METRICS)
    for name, metric in METRICS.items():
        needs = names.METRIC_NEEDS[name]
        found = (needs.set, needs.scorer, needs.paired, needs.truth)
        assert found == (metric.set, metric.scorer_kind, metric.paired, metric.needs_truth)
        assert metric.set == "ratings" or set(needs.groups) == set(metric.groups)


@pytest.mark.parametrize("metric", METRICS.values(), ids=list(METRICS))
def test_every_metric_asks_a_plain_question(metric: Any) -> None:
    assert metric.question.endswith("?")
    assert len(metric.question) <= 100
    assert metric.bad in ("up", "down")
    assert metric.unit


@pytest.fixture(scope="module")
def table(whole: Whole) -> Evidence:
    return whole(60)


@pytest.mark.parametrize(("name", "group"), CASES)
def test_every_measurement_is_complete_and_fits_the_results_file(name: str, group: str | None, table: Evidence) -> None:
    found = asked(name, group, table)
    assert (found.n, found.missing, found.reason) == (60, 0, None)
    assert (found.audit, found.metric, found.set, found.group) == (name, name, METRICS[name].set, group)
    assert found.estimate is not None
    assert found.interval is not None
    assert found.interval[0] <= found.estimate <= found.interval[1]
    assert found.base_model == ("base" if METRICS[name].paired else None)
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["metric"] == name


@pytest.mark.parametrize(("name", "group"), CASES)
def test_row_order_is_irrelevant(name: str, group: str | None, whole: Whole) -> None:
    assert asked(name, group, whole(25, shuffle=1)) == asked(name, group, whole(25, shuffle=2))


@pytest.mark.parametrize("items", [1, 2])
@pytest.mark.parametrize(("name", "group"), CASES)
def test_thin_data_are_measured_or_explained_and_never_raise(
    name: str, group: str | None, items: int, whole: Whole
) -> None:
    found = asked(name, group, whole(items))
    assert found.n == items
    assert (found.reason is None) == (found.estimate is not None and found.interval is not None)
    json.dumps(asdict(found), allow_nan=False)


@pytest.mark.parametrize(("name", "group"), CASES)
def test_an_empty_plan_measures_nothing(name: str, group: str | None, table: Evidence) -> None:
    found = asked(name, group, table, expected=["not in the table"])
    assert (found.n, found.missing, found.estimate) == (0, 1, None)
    assert found.reason


def test_a_wider_confidence_never_narrows(table: Evidence) -> None:
    for name, group in CASES:
        wide, narrow = (asked(name, group, table, confidence=level).interval for level in (0.99, 0.8))
        assert wide is not None
        assert narrow is not None
        assert wide[0] <= narrow[0]
        assert narrow[1] <= wide[1]


def test_per_model_metrics_keep_no_base_model(table: Evidence) -> None:
    assert measure("quality_shift", table, model="aligned", base_model="base", scorer="hpsv3").base_model is None


def test_a_misspelt_metric_or_model_lists_what_exists(table: Evidence) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'success_rate'"):
        measure("sucess_rate", table, model="aligned")
    with pytest.raises(UnknownName, match="aligned, base, human"):
        measure("success_rate", table, model="flux")
    with pytest.raises(UnknownName, match="'sad'"):
        measure("success_rate", table, model="aligned", group="sad")


@pytest.mark.parametrize(
    "call", [{"confidence": 1.0}, {"interval": "wald"}, {"model": ()}, {"model": ("base", "aligned")}]
)
def test_calls_that_make_no_sense_are_refused(call: dict[str, Any], table: Evidence) -> None:
    with pytest.raises(UsageError):
        measure("success_rate", table, **{"model": "aligned", **call})


def test_measuring_loads_no_model_library() -> None:
    script = "import sys, aes_audit.measures.registry; print([m for m in ('torch', 'diffusers') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_seeds_differ_between_models(whole: Whole) -> None:
    found = [measure("quality_shift", whole(110), model=model, scorer="hpsv3") for model in ("aligned", "base")]
    assert len({np.int64(measurement.details["seed"]) for measurement in found}) == 2
