"""What the gallery knows of a pair, and which pairs stand for a failed run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from report.audited_pairs import ALIGNED, BASE, JUDGE, evidence_of, material

from aes_audit.evidence.table import Evidence
from aes_audit.report.html.gallery import gallery
from aes_audit.report.html.proof import worst_pairs
from aes_audit.report.html.worst import failed, together

ITEMS = [f"{number:02}" for number in range(24)]


def _shown(found: Any, item: str) -> Any:
    return next(each for each in found["items"] if each["item"] == item)


def test_a_pair_has_four_scores_per_reward_the_answers_and_its_base_beside() -> None:
    source = material(ITEMS)
    assert source.evidence is not None
    item = _shown(gallery(source, {}), "01")
    aligned, base = item["shots"]
    assert (aligned["model"], base["model"]) == (ALIGNED, BASE)
    cells = [(image, prompt) for image in ("original", "wide") for prompt in ("original", "wide")]
    expected = [source.evidence.values(ALIGNED, "pairs", "pretty", *cell)["01"] for cell in cells]
    assert aligned["rewards"]["pretty"] == [float(f"{value:.5g}") for value in expected]
    assert aligned["judged"] == {"clarity": [1.0, 1.0]}
    assert base["judged"] == {"clarity": [1.0, 0.0]}
    assert (aligned["answers"][JUDGE]["value"], base["answers"][JUDGE]["value"]) == (0.0, 1.0)
    assert (item["outcome"], item["asked"], item["wide"]) == ("fail", ["clarity"], "a blurred cat 01")
    assert {each["model"] for each in gallery(source, {})["items"]} == {ALIGNED}


@pytest.mark.parametrize(("yes", "no"), [(True, False), ("true", "False")])
def test_a_dimension_that_was_judged_and_not_asked_for_is_not_shown_as_asked(yes: object, no: object) -> None:
    about = {"model": ALIGNED, "set": "pairs", "item": "0", "image": "wide", "value": 1.0}
    told = {"clarity": yes, "emotion": no, "richness": None}
    rows = [{**about, "scorer": f"judge/{name}", "selected": flag} for name, flag in told.items()]
    source = replace(material(ITEMS), evidence=Evidence.from_rows(rows), texts={})
    assert _shown(gallery(source, {}), "0")["asked"] == ["clarity"]


@pytest.mark.parametrize(
    ("cell", "shown"), [(1, 1.0), ("1.0", 1.0), (float("inf"), None), ("first", None), (None, None)]
)
def test_an_answer_per_order_is_a_number_whatever_the_file_held(cell: object, shown: float | None) -> None:
    row = {"model": ALIGNED, "set": "pairs", "item": "0", "image": "pair", "prompt": "wide", "scorer": JUDGE}
    evidence = Evidence.from_rows([{**row, "value": 1.0, "answer_original_first": cell}])
    found = gallery(replace(material(ITEMS), evidence=evidence, texts={}), {})
    assert _shown(found, "0")["shots"][0]["answers"] == {
        JUDGE: {"value": 1.0, "original_first": shown, "wide_first": None}
    }
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("cell", [[1, 2], {"a": 1}, b"x", float("nan")])
def test_extra_columns_of_other_types_are_left_alone(cell: object) -> None:
    row = {"model": ALIGNED, "set": "pairs", "item": "0", "image": "wide", "prompt": "wide", "scorer": "r"}
    extra = {"image_sha256": cell, "image_fault": cell, "selected": cell, "answer_wide_first": cell}
    table = pa.Table.from_pylist([{**row, "value": 1.0, "error": None, **extra}])
    evidence = Evidence(table.to_pandas())
    found = gallery(replace(material(ITEMS), evidence=evidence, texts={}), {})
    (shown,) = (each for each in found["items"] if each["item"] == "0")
    assert shown["shots"][0]["images"][1] == {"missing": "no picture was recorded"}


def test_a_scorer_that_reads_no_text_has_one_score_under_every_prompt() -> None:
    row = {
        "model": ALIGNED,
        "set": "pairs",
        "item": "a",
        "image": "wide",
        "prompt": None,
        "scorer": "blind",
        "value": 2.5,
    }
    (item,) = gallery(replace(material(ITEMS), evidence=Evidence.from_rows([row])), {})["items"]
    assert item["shots"][0]["rewards"] == {"blind": [None, None, 2.5, 2.5]}


def test_a_missing_picture_says_why_and_one_that_left_the_store_too() -> None:
    row = {"model": ALIGNED, "set": "pairs", "item": "a", "prompt": "wide", "scorer": "pretty"}
    rows: list[dict[str, Any]] = [
        {**row, "image": "wide", "value": None, "error": "a black frame", "image_sha256": None, "image_fault": "black"},
        {**row, "image": "original", "value": 1.0, "error": None, "image_sha256": "0" * 64, "image_fault": None},
    ]
    (item,) = gallery(replace(material(ITEMS), evidence=Evidence.from_rows(rows)), {})["items"]
    assert item["outcome"] == "missing"
    assert [image["missing"] for image in item["shots"][0]["images"]] == [
        "the picture is not in the store any more",
        "a black frame",
    ]


def test_it_sorts_by_every_measurement_and_by_disagreement_of_reward_and_judge() -> None:
    found = gallery(material(ITEMS), {})
    labels = [order["label"] for order in found["orders"]]
    assert labels[0] == "everything that failed"
    assert f"matching against {JUDGE}" in labels
    place = labels.index(f"success_rate by {JUDGE}")
    assert {item["scores"][place] for item in found["items"] if item["outcome"] == "success"} == {-1.0}
    assert {item["scores"][place] for item in found["items"] if item["outcome"] == "fail"} == {0.0}


def test_a_disagreement_is_a_reward_that_prefers_what_the_judge_does_not() -> None:
    def rows(item: str, margin: float, answer: float) -> list[dict[str, Any]]:
        common = {"model": ALIGNED, "set": "pairs", "item": item, "prompt": "wide"}
        said = {**common, "image": "pair", "scorer": JUDGE, "value": answer}
        scores = {"original": 0.0, "wide": margin}
        return [said, *({**common, "image": image, "scorer": "r", "value": value} for image, value in scores.items())]

    cases = {"agree": (2.0, 1.0), "disagree": (-2.0, 1.0), "tie": (2.0, 0.5), "other way": (2.0, 0.0)}
    table = Evidence.from_rows(row for item, case in cases.items() for row in rows(item, *case))
    found = gallery(replace(material(ITEMS), evidence=table), {})
    place = [order["kind"] for order in found["orders"]].index("disagreement")
    assert {item["item"]: item["scores"][place] for item in found["items"]} == {
        "agree": -1.0, "disagree": 1.0, "tie": 0.0, "other way": 1.0,
    }  # fmt: skip


def test_the_pairs_that_prove_it_fail_in_everything_that_failed() -> None:
    source = material(ITEMS)
    assert source.evidence is not None
    badness = together(source)
    proofs = worst_pairs(source)
    assert [entry["metric"] for entry in failed(source)] == ["realignment_success", "quality_shift", "success_rate"]
    assert len(proofs) == 3
    assert sorted(badness.values())[-3:] == sorted(badness[ALIGNED, proof.item] for proof in proofs)
    for proof in proofs:
        assert int(proof.item) % 4 != 0
        assert "people: the asked picture does not follow better than the plain one" in proof.facts
        assert f"people: {BASE} followed, this model does not" in proof.facts


def test_the_same_pairs_are_chosen_whatever_the_order_of_rows() -> None:
    source = material(ITEMS)
    assert source.evidence is not None
    backwards = Evidence(source.evidence.frame.iloc[::-1])
    assert worst_pairs(replace(source, evidence=backwards)) == worst_pairs(source)


def test_nothing_is_proved_without_failures_or_without_evidence() -> None:
    source = material(ITEMS)
    passed = [{**entry, "verdict": "pass", "outcome": "passed"} for entry in source.entries]
    assert worst_pairs(replace(source, results={**source.results, "measurements": passed})) == ()
    assert worst_pairs(replace(source, evidence=None)) == ()
    assert len(worst_pairs(material(["only", "two"]))) == 2


def test_evidence_without_pictures_is_shown_too() -> None:
    found = gallery(replace(material(ITEMS), evidence=evidence_of(ITEMS, images=False), find=None, texts={}), {})
    assert found["pictures"] is False
    assert _shown(found, "01")["asked"] == ["clarity"]
    assert _shown(found, "01")["wide"] is None
