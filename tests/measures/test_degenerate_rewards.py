"""Recorded scores of rewards that make no sense, before the shipped gates: what each number can and cannot find out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aes_audit.evidence.table import Evidence
from aes_audit.gates.thresholds import read_thresholds
from aes_audit.gates.verdicts import Judgement, Verdict, judge
from aes_audit.measures.catalogue import METRICS
from aes_audit.measures.names import METRIC_NEEDS, PAIRED
from aes_audit.measures.registry import measure

SHIPPED = Path(__file__).resolve().parents[2] / "audits" / "thresholds.toml"
PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE

Score = Callable[[float, str], float]


def table(score: Score) -> Evidence:
    """150 pairs of a generator that follows and of one that does not, and 160 works that look less conventional.

    `score` is asked what an image looks like (0 an original, 1 a wide image, -3 art) and under which text.
    """
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []

    def shown(model: str, group: str, item: int, image: str, look: float, *prompts: str) -> None:
        common = {"model": model, "set": group, "item": f"{item:03}", "image": image, "scorer": "r"}
        rows.extend({**common, "prompt": prompt, "value": score(look, f"{prompt} {item}")} for prompt in prompts)

    for model, follows in (("good", 0.9), ("bad", 0.4)):
        for item in range(150):
            shown(model, "pairs", item, "original", rng.normal(), "original", "wide")
            shown(model, "pairs", item, "wide", rng.normal(1), "original", "wide")
            about = {"model": model, "set": "pairs", "item": f"{item:03}", "image": "pair", "prompt": "wide"}
            rows.append({**about, "scorer": "preference/j", "value": float(rng.random() < follows)})
    for item in range(160):
        shown("human", "art", item, "work", rng.normal(-3), "caption", "shuffled")
    return Evidence.from_rows(rows)


def judged(score: Score, metric: str) -> Judgement:
    """What the gate of the control profile says."""
    asked: dict[str, Any] = {"model": ("good", "bad"), "truth": "preference/j"}
    asked = {"model": "human", "reference": "good"} if metric == "art_z" else asked
    found = measure(metric, table(score), scorer="r", **asked)
    gates = read_thresholds(SHIPPED, PAIRED, METRIC_NEEDS.keys() - PAIRED)
    return judge(found, gates.gate("control", metric, "r"), METRICS[metric].bad)


def noise() -> Score:
    """Another number for every question, from one stream."""
    rng = np.random.default_rng(9)
    return lambda look, text: float(rng.normal())


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 12.09, -7e5])
@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ("art_z", "the reference population of 150 images by 'good' has no spread"),
        ("reward_auroc", "no variation"),
        ("reward_balanced_accuracy", "no variation"),
    ],
)
def test_a_constant_reward_is_never_measured_whatever_its_constant(metric: str, why: str, value: float) -> None:
    found = judged(lambda look, text: value, metric)
    assert (found.verdict, found.reason) == (OPEN, why)


def test_a_constant_with_rounding_is_still_a_constant() -> None:
    rng = np.random.default_rng(1)
    assert judged(lambda look, text: 0.3 + rng.normal(0, 1e-9), "art_z").verdict is OPEN


@pytest.mark.parametrize(("metric", "verdict"), [("art_z", FAIL), ("reward_auroc", FAIL)])
def test_a_reward_that_ignores_its_text_is_judged_by_what_it_likes_to_see(metric: str, verdict: Verdict) -> None:
    assert judged(lambda look, text: look, metric).verdict is verdict


def test_one_that_ignores_its_text_and_likes_art_passes_for_art_and_for_nothing_else() -> None:
    assert judged(lambda look, text: -look, "art_z").verdict is PASS
    assert judged(lambda look, text: -look, "reward_auroc").verdict is FAIL


def test_pure_noise_has_no_taste_against_art_but_cannot_tell_images_apart() -> None:
    art = judged(noise(), "art_z")
    assert art.verdict is PASS
    assert abs(art.measurement.estimate or 9) < 0.3
    told = art.measurement.details["captions"]["r"]
    assert told["matched_wins"] == pytest.approx(0.5, abs=0.15), "so a reader sees that it reads no caption"
    assert judged(noise(), "reward_auroc").verdict is FAIL
    assert judged(noise(), "reward_balanced_accuracy").verdict is FAIL
