"""How many planned images are missing, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from scipy.stats import binomtest

from aes_audit.errors import MissingScores, UsageError
from aes_audit.evidence.table import Evidence
from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import Verdict, judge
from aes_audit.measures.item_values import item_values
from aes_audit.measures.registry import METRICS, measure

GATE = Gate("p", "image_faults", kind="contractual", at_most=0.02)

Told = Mapping[tuple[int, str], Mapping[str, Any]]


def table(items: int, told: Told | None = None, *, kinds: bool = True) -> Evidence:
    """Two rows per image by two scorers; `told` says what is known about some images."""
    rows: list[dict[str, Any]] = []
    for number in range(items):
        for image in ("original", "wide"):
            about = dict((told or {}).get((number, image), {}))
            lost = about.get("image_fault") is not None or about.pop("lost", False)
            outcome = {"value": None, "error": "no picture"} if lost else {"value": 1.0, "error": None}
            extra = {"image_fault": None, "image_flags": None, "prompt_truncated": None, **about} if kinds else {}
            common = {"model": "m", "set": "pairs", "item": f"{number:03}", "image": image, **outcome, **extra}
            rows += [{**common, "prompt": "wide", "scorer": "q"}, {**common, "prompt": None, "scorer": "judge/clarity"}]
    return Evidence.from_rows(rows)


def test_without_faults_the_share_is_zero_with_the_exact_interval() -> None:
    found = measure("image_faults", table(150), model="m")
    assert (found.estimate, found.n, found.missing, found.scorer) == (0.0, 150, 0, "images")
    exact = binomtest(0, 300).proportion_ci(method="exact")
    assert found.interval == pytest.approx((exact.low, exact.high))
    assert (found.details["faults"], found.details["images"]) == ({}, 300)


def test_faults_are_counted_by_kind_and_by_image() -> None:
    kinds: Told = {
        (0, "wide"): {"image_fault": "black"},
        (1, "wide"): {"image_fault": "black"},
        (1, "original"): {"image_fault": "refused"},
    }
    found = measure("image_faults", table(20, kinds), model="m")
    assert found.estimate == 3 / 40
    exact = binomtest(3, 40).proportion_ci(method="exact")
    assert found.interval == pytest.approx((exact.low, exact.high))
    assert found.details["faults"] == {"black": 2, "refused": 1}
    assert found.details["by_image"] == {"original": 1, "wide": 2}


def test_flags_and_cut_texts_are_counted_and_are_no_faults() -> None:
    told: Told = {
        (0, "wide"): {"image_flags": "near_blank,identical_pair", "prompt_truncated": True},
        (0, "original"): {"image_flags": "identical_pair", "prompt_truncated": False},
        (1, "wide"): {"prompt_truncated": True},
    }
    found = measure("image_faults", table(20, told), model="m")
    assert found.estimate == 0
    assert found.details["flagged"] == {"identical_pair": 2, "near_blank": 1}
    assert found.details["truncated"] == {"original": 0, "wide": 2}


def test_texts_of_a_csv_table_count_as_what_they_say() -> None:
    told: Told = {(0, "wide"): {"prompt_truncated": "True"}, (1, "wide"): {"prompt_truncated": "false"}}
    assert measure("image_faults", table(3, told), model="m").details["truncated"] == {"original": 0, "wide": 1}


def test_where_no_kind_is_told_an_image_with_errors_alone_has_failed() -> None:
    found = measure("image_faults", table(10, {(4, "wide"): {"lost": True}}, kinds=False), model="m")
    assert (found.estimate, found.details["faults"]) == (1 / 20, {"failed": 1})


def test_one_score_or_a_known_digest_proves_that_the_image_was_there() -> None:
    lost = {"model": "m", "set": "pairs", "item": "1", "value": None, "error": "no finite score"}
    rows: list[Mapping[str, Any]] = [
        {**lost, "image": "original", "prompt": "wide", "scorer": "q"},
        {**lost, "image": "original", "prompt": None, "scorer": "judge/clarity", "value": 1.0, "error": None},
        {**lost, "image": "wide", "prompt": "wide", "scorer": "q", "image_sha256": "ab"},
    ]
    assert measure("image_faults", Evidence.from_rows(rows), model="m").estimate == 0


def test_planned_items_that_nobody_mentions_count_as_lost_and_as_missing() -> None:
    found = measure("image_faults", table(2), model="m", expected=["000", "001", "002"])
    assert (found.estimate, found.n, found.missing) == (2 / 6, 2, 1)
    assert found.details["faults"] == {"absent": 2}
    assert found.details["best_estimate"] == 0


def test_items_outside_the_plan_are_left_out() -> None:
    lost: Told = {(1, "wide"): {"image_fault": "black"}}
    assert measure("image_faults", table(3, lost), model="m", expected=["000", "002"]).estimate == 0


def test_a_table_of_preferences_alone_says_nothing_about_images() -> None:
    row = {"model": "m", "set": "pairs", "item": "1", "image": "pair", "prompt": "wide", "scorer": "preference/p"}
    evidence = Evidence.from_rows([{**row, "value": 1.0, "error": None}])
    with pytest.raises(MissingScores, match="the table has no row about an image"):
        measure("image_faults", evidence, model="m")


def test_another_scorer_than_images_is_refused() -> None:
    with pytest.raises(UsageError, match="image_faults reads the family 'images', not 'q'"):
        measure("image_faults", table(2), model="m", scorer="q")


def test_item_values_are_the_shares_behind_the_estimate() -> None:
    lost: Told = {(0, image): {"image_fault": "black"} for image in ("original", "wide")} | {
        (2, "wide"): {"image_fault": "refused"}
    }
    found = item_values("image_faults", table(4, lost), models=("m",), scorer="images")
    assert found.values is not None
    assert list(found.values) == [1.0, 0.0, 0.5, 0.0]
    assert found.values.mean() == measure("image_faults", table(4, lost), model="m").estimate


class TestBesideMaxMissing:
    """The gate and the limit of missing items never contradict each other."""

    @pytest.mark.parametrize("lost", range(12))
    @pytest.mark.parametrize("both", [False, True])
    def test_a_broken_limit_of_images_is_one_of_every_metric_of_pairs_too(self, lost: int, both: bool) -> None:
        items = 150
        places = [(n, image) for n in range(items) for image in (("original", "wide") if both else ("wide",))][:lost]
        evidence = table(items, {place: {"image_fault": "black"} for place in places})
        faults = judge(measure("image_faults", evidence, model="m"), GATE, METRICS["image_faults"].bad)
        assert faults.verdict is (Verdict.FAIL if lost / (2 * items) > 0.02 else Verdict.PASS)
        pairs = len({item for item, _ in places})
        if faults.verdict is Verdict.FAIL:
            assert pairs / items > GATE.max_missing, "then pairs are `error`, never a verdict about the model"

    def test_without_any_image_there_is_a_verdict_and_not_an_error(self) -> None:
        everything: Told = {
            (n, image): {"image_fault": "nonfinite"} for n in range(5) for image in ("original", "wide")
        }
        found = judge(measure("image_faults", table(5, everything), model="m"), GATE, "up")
        assert (found.verdict, found.measurement.estimate) == (Verdict.FAIL, 1.0)
