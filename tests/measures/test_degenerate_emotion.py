"""Recorded scores of rewards that make no sense, which were shown faces in four emotions before the shipped gates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aes_audit.evidence.schema import EMOTIONS
from aes_audit.evidence.table import Evidence
from aes_audit.gates.thresholds import read_thresholds
from aes_audit.gates.verdicts import Judgement, Verdict, judge
from aes_audit.measures.catalogue import METRICS
from aes_audit.measures.emotion import NEGATIVE
from aes_audit.measures.names import METRIC_NEEDS, PAIRED
from aes_audit.measures.registry import measure

SHIPPED = Path(__file__).resolve().parents[2] / "audits" / "thresholds.toml"
BOTH = ("emotion_accuracy", "emotion_accuracy_happy")
PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE

_NOISE = np.random.default_rng(3)

# What a picture shows, something about the picture that has nothing to do with it, and the emotion that a text names.
REWARDS: dict[str, Callable[[str, float, str], float]] = {
    "reads": lambda shows, look, named: float(shows == named) + 0.1 * look,
    "blind": lambda shows, look, named: look,
    "constant": lambda shows, look, named: 0.1,
    "noise": lambda shows, look, named: float(_NOISE.normal()),
    "happy": lambda shows, look, named: float(shows == "happy") + 0.1 * look,
    "sad": lambda shows, look, named: float(shows == "sad") + 0.1 * look,
}


@pytest.fixture(scope="module")
def table() -> Evidence:
    """What each reward says of 100 tuples."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for item in range(100):
        for shows in EMOTIONS:
            look = rng.uniform()
            about = {"model": "faces", "set": "emotion", "item": f"{item:03}", "image": shows}
            rows += [
                {**about, "prompt": named, "scorer": name, "value": score(shows, look, named)}
                for name, score in REWARDS.items()
                for named in EMOTIONS
            ]
    return Evidence.from_rows(rows)


def judged(table: Evidence, reward: str, metric: str, group: str, profile: str = "control") -> Judgement:
    """What the gate of a shipped profile says."""
    found = measure(metric, table, model="faces", scorer=reward, group=group)
    gates = read_thresholds(SHIPPED, PAIRED, METRIC_NEEDS.keys() - PAIRED)
    return judge(found, gates.gate(profile, metric, reward), METRICS[metric].bad)


@pytest.mark.parametrize("group", NEGATIVE)
@pytest.mark.parametrize("profile", ["control", "standard"])
def test_a_reward_that_reads_emotions_passes(table: Evidence, group: str, profile: str) -> None:
    assert {judged(table, "reads", metric, group, profile).verdict for metric in BOTH} == {PASS}


@pytest.mark.parametrize("group", NEGATIVE)
@pytest.mark.parametrize("profile", ["control", "standard"])
def test_what_a_reward_gains_under_one_caption_by_ignoring_it_it_loses_under_the_other(
    table: Evidence, group: str, profile: str
) -> None:
    found = [judged(table, "blind", metric, group, profile) for metric in BOTH]
    assert sum(one.measurement.estimate or 0 for one in found) == pytest.approx(1)
    assert PASS not in {one.verdict for one in found} or FAIL in {one.verdict for one in found}


@pytest.mark.parametrize("metric", BOTH)
def test_a_constant_recognises_nothing_because_ties_are_not_wins(table: Evidence, metric: str) -> None:
    found = judged(table, "constant", metric, "sad")
    assert (found.verdict, found.measurement.estimate, found.measurement.details["ties"]) == (FAIL, 0, 100)


@pytest.mark.parametrize("group", NEGATIVE)
@pytest.mark.parametrize("metric", BOTH)
def test_noise_is_chance_which_is_not_enough(table: Evidence, metric: str, group: str) -> None:
    assert judged(table, "noise", metric, group).verdict is FAIL
    found = judged(table, "noise", metric, group, "standard")
    assert found.verdict is OPEN
    assert found.measurement.p_value is not None
    assert found.measurement.p_value > 0.01


@pytest.mark.parametrize("group", NEGATIVE)
@pytest.mark.parametrize("profile", ["control", "standard"])
def test_one_that_always_prefers_happiness_fails_for_every_other_emotion(
    table: Evidence, group: str, profile: str
) -> None:
    assert judged(table, "happy", "emotion_accuracy", group, profile).verdict is FAIL
    assert judged(table, "happy", "emotion_accuracy_happy", group, profile).verdict is PASS


@pytest.mark.parametrize("profile", ["control", "standard"])
def test_one_that_always_prefers_sadness_is_caught_by_the_mirrored_share_alone(table: Evidence, profile: str) -> None:
    assert judged(table, "sad", "emotion_accuracy", "sad", profile).verdict is PASS
    assert judged(table, "sad", "emotion_accuracy_happy", "sad", profile).verdict is FAIL
