"""Position bias in the details of success_rate: what a judge that is shown the images did when their order changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aes_audit.evidence.reading import read_evidence
from aes_audit.evidence.table import Evidence
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.registry import measure
from aes_audit.statistics.intervals import clopper_pearson

JUDGE = "preference/looks"
Pair = tuple[int | None, int | None]
"""Answers with I_o shown first and with I_a shown first."""


def judged(pairs: Sequence[Pair]) -> Evidence:
    """Rows as the collector writes them."""
    rows: list[dict[str, Any]] = []
    for number, (original_first, wide_first) in enumerate(pairs):
        meant = [value for value in (_meant(original_first, False), _meant(wide_first, True)) if value is not None]
        row: dict[str, Any] = {"model": "m", "set": "pairs", "item": f"{number:03}", "image": "pair", "prompt": "wide"}
        value = None if not meant else meant[0] if len(set(meant)) == 1 else 0.5
        row |= {"scorer": JUDGE, "value": value, "error": None if meant else "no valid answer"}
        rows.append({**row, "answer_original_first": original_first, "answer_wide_first": wide_first})
    return Evidence.from_rows(rows)


def _meant(answer: int | None, turned: bool) -> float | None:
    return None if answer is None else {-1: 0.5, 0: float(turned), 1: float(not turned)}[answer]


def position(evidence: Evidence, **more: Any) -> Mapping[str, Any]:
    """What success_rate says about the order."""
    found: Measurement = measure("success_rate", evidence, model="m", scorer=JUDGE, **more)
    return dict(found.details["position"])


def test_a_judge_that_sees_the_images_shows_no_bias() -> None:
    found = position(judged([(1, 0)] * 30 + [(0, 1)] * 10))
    assert (found["pairs"], found["both_orders"], found["disagreements"]) == (40, 40, 0)
    assert (found["followed_position"], found["first_share"]) == (0.0, 0.5)
    assert found["followed_position_interval"] == list(clopper_pearson(0, 40))


@pytest.mark.parametrize(("answer", "share"), [(0, 1.0), (1, 0.0)])
def test_a_judge_that_always_names_one_place_is_biased_in_every_pair(answer: int, share: float) -> None:
    evidence = judged([(answer, answer)] * 40)
    found = position(evidence)
    assert (found["followed_position"], found["first_share"], found["disagreements"]) == (1.0, share, 40)
    # 80 answers, and still 40 pairs.
    assert found["first_share_interval"] == list(clopper_pearson(int(40 * share), 40))
    assert measure("success_rate", evidence, model="m").details["ties"] == 40


def test_an_image_against_neither_is_a_disagreement_that_followed_no_position() -> None:
    found = position(judged([(1, -1), (-1, 0), (-1, -1), (0, 0)]))
    assert (found["disagreements"], found["followed_position"]) == (3, 0.25)
    assert found["choices"] == 4
    assert found["first_share"] == 0.75


def test_the_share_of_the_first_image_has_an_interval_over_pairs() -> None:
    rng = np.random.default_rng(0)
    pairs: list[Pair] = [(0, 0) if biased else (1, 0) for biased in rng.random(200) < 0.3]
    found = position(judged(pairs))
    biased = sum(pair == (0, 0) for pair in pairs)
    assert found["first_share"] == pytest.approx((200 + biased) / 400)
    low, high = found["first_share_interval"]
    # The share is 1/2 plus half the share of biased pairs, so its interval is that of a mean of 200 pairs.
    error = np.sqrt(biased / 200 * (1 - biased / 200) / 200) / 2
    assert (low, high) == pytest.approx(
        (found["first_share"] - 1.96 * error, found["first_share"] + 1.96 * error), abs=0.006
    )


def test_with_one_order_only_the_share_of_the_first_image_is_known() -> None:
    found = position(judged([(0, None)] * 18 + [(None, 1)] * 12))
    assert (found["pairs"], found["both_orders"], found["followed_position"]) == (30, 0, None)
    assert found["first_share"] == 0.6
    assert found["first_share_interval"] == list(clopper_pearson(18, 30))


def test_answers_that_are_missing_or_not_planned_do_not_count() -> None:
    evidence = judged([(0, 0), (0, None), (None, None), (1, 0)])
    assert position(evidence)["both_orders"] == 2
    assert position(evidence, expected=["003"])["followed_position"] == 0.0


def test_judges_that_decide_from_scores_have_no_position(build: Any) -> None:
    evidence = build({("m", "pairs", "pair", "wide", JUDGE): [1.0, 0.0]})
    assert "position" not in measure("success_rate", evidence, model="m").details
    mixed = Evidence.concat([judged([(0, 0)]), build({("other", "pairs", "pair", "wide", "preference/x"): [1.0]})])
    assert "position" not in measure("success_rate", mixed, model="other").details


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_recorded_tables_tell_the_same(suffix: str, tmp_path: Path) -> None:
    evidence = judged([(0, 0), (1, 0), (None, None), (-1, 1)])
    path = tmp_path / f"table.{suffix}"
    evidence.to_parquet(path) if suffix == "parquet" else evidence.frame.to_csv(path, index=False)
    assert position(read_evidence(path)) == position(evidence)
