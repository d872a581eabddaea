"""Planning faces: who draws them, what is measured of them, and what that asks of a hosted model."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from test_planning import PROFILE, THRESHOLDS, assert_tellable, config

from aes_audit.errors import InvalidPrompts
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.gates.thresholds import Gate, Profile
from aes_audit.live.faces import LiveFaces, live_faces
from aes_audit.planning import live_subjects
from aes_audit.prompts.pairs import read_prompt_set

if TYPE_CHECKING:
    from aes_audit.live.session import LiveSession

DRAWING = replace(PROFILE, faces="control_faces")
GATE = Gate("here", "realignment_emotion", margin=0.1)


def faces(
    *models: str, base: str | None = None, rewards: tuple[str, ...] = (), profile: Profile = DRAWING, pairs: int = 50
) -> LiveFaces | None:
    """The faces of a run, as far as names alone decide them."""
    asked = config(models, base, rewards)
    session = SimpleNamespace(
        profile=profile,
        named_profile=profile,
        config=asked,
        subjects=live_subjects(asked, profile),
        thresholds=replace(THRESHOLDS, gates=(GATE,)),
        prompts=read_prompt_set("control_pairs").first(pairs),
    )
    return live_faces(cast("LiveSession", session))


def drawn(*models: str, base: str | None = None, pairs: int = 50) -> LiveFaces:
    """The same, where there are some."""
    found = faces(*models, base=base, pairs=pairs)
    assert found is not None
    return found


def test_every_generator_is_measured_in_every_emotion_and_against_its_base_alone() -> None:
    found = drawn("a", "b", base="b").cases()
    asked = [(case.metric, case.models, case.base_model, case.group) for case in found]
    assert asked == [
        *(("emotion_rendering", (model,), None, emotion) for model in "ab" for emotion in ("happy", *EMOTIONS[1:])),
        *(("positivity_shift", (model,), None, None) for model in "ab"),
        ("realignment_emotion", ("a",), "b", None),
    ]
    assert {case.scorer for case in found} == {"match/face"}
    assert [case.metric for case in found if case.gate] == ["realignment_emotion"]
    assert found[-1].reads == (("emotion", "a"), ("emotion", "b"))
    assert_tellable(found)


def test_the_base_draws_faces_too_and_the_pool_of_a_reward_does_not() -> None:
    found = drawn("a", base="b")
    assert found.models == ("a", "b")
    assert [len(found.requests(name)) for name in ("a", "b", "good")] == [120, 120, 0]


def test_a_partial_run_draws_as_few_faces_as_it_has_pairs() -> None:
    few, whole = drawn("a", pairs=3), drawn("a")
    assert (few.planned("emotion_rendering"), whole.planned("emotion_rendering")) == (3, 30)
    assert few.requests("a") == whole.requests("a")[:12]
    assert few.expected(few.cases()[0]) < whole.expected(whole.cases()[0])


@pytest.mark.parametrize(
    ("profile", "models", "rewards"), [(DRAWING, (), ("r",)), (PROFILE, ("a",), ())], ids=["rewards", "no templates"]
)
def test_nothing_is_drawn_where_there_is_no_reason_to(
    profile: Profile, models: tuple[str, ...], rewards: tuple[str, ...]
) -> None:
    assert faces(*models, rewards=rewards, profile=profile) is None


def test_templates_that_do_not_exist_are_refused_when_the_run_opens() -> None:
    with pytest.raises(InvalidPrompts, match="templates 'smiles' cannot be read"):
        faces("a", profile=replace(PROFILE, faces="smiles"))
