"""Planning faces in four emotions for rewards: which cases, which gates, and when there are none."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from test_planning import PROFILE, THRESHOLDS, assert_tellable, config

from aes_audit.errors import UnreachableThreshold, UsageError
from aes_audit.gates.reach import refuse_unreachable, sight
from aes_audit.gates.thresholds import Gate, Profile
from aes_audit.live.emotion import LiveTuples, live_emotion
from aes_audit.planning import emotion_cases, live_subjects

if TYPE_CHECKING:
    from aes_audit.live.session import LiveSession

SHOWING = replace(PROFILE, emotion="control_faces")
GATE = Gate("here", "emotion_accuracy", "r", at_least=0.5)
GATED = replace(THRESHOLDS, gates=(GATE,))


def session(profile: Profile, models: tuple[str, ...], rewards: tuple[str, ...], named: str | None) -> LiveSession:
    """What a set looks up when the session opens."""
    asked = replace(config(models, None, rewards), emotion=named)
    subjects = live_subjects(asked, profile)
    found = SimpleNamespace(profile=profile, config=asked, subjects=subjects, thresholds=GATED)
    return cast("LiveSession", found)


def test_each_reward_is_measured_for_each_negative_emotion_and_for_happiness_beside_it() -> None:
    cases = tuple(emotion_cases(("r", "other"), "drawn", SHOWING, GATED))
    assert [(case.metric, case.scorer, case.group) for case in cases] == [
        (metric, reward, emotion)
        for metric in ("emotion_accuracy", "emotion_accuracy_happy")
        for reward in ("r", "other")
        for emotion in ("sad", "angry", "fearful")
    ]
    assert [case.gate for case in cases] == [GATE] * 3 + [None] * 9
    assert {case.reads for case in cases} == {(("emotion", "drawn"),)}
    assert_tellable(cases)


def test_the_profile_names_the_tuples_unless_somebody_typed_others() -> None:
    found = live_emotion(session(SHOWING, (), ("r",), None))
    assert isinstance(found, LiveTuples)
    assert (found.name, found.models, found.tuples.drawn) == ("control_faces", ("drawn",), True)
    assert found.planned("emotion_accuracy") == len(found.expected(found.cases()[0])) >= 100
    assert found.revision("drawn") == f"control_faces, {found.digest}"
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        live_emotion(session(SHOWING, (), ("r",), "nowhere"))


@pytest.mark.parametrize(
    ("profile", "models", "rewards"),
    [(SHOWING, ("a",), ()), (PROFILE, (), ("r",))],
    ids=["no reward is audited", "the profile shows nothing"],
)
def test_nothing_is_shown_where_there_is_no_reason_to(
    profile: Profile, models: tuple[str, ...], rewards: tuple[str, ...]
) -> None:
    assert live_emotion(session(profile, models, rewards, None)) is None


@pytest.mark.parametrize("metric", ["emotion_accuracy", "emotion_accuracy_happy"])
def test_too_few_tuples_are_refused_before_one_is_scored(metric: str) -> None:
    gate = Gate("here", metric, at_least=0.5)
    with pytest.raises(UnreachableThreshold, match="5 items"):
        refuse_unreachable(THRESHOLDS.path, gate, 5)
    refuse_unreachable(THRESHOLDS.path, gate, 6)
    assert sight(gate, 117) == "passes from a true rate of 0.63"
