"""Planning edits: which generators edit, whose pictures, and what has to be collected for it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from test_planning import PROFILE, THRESHOLDS, assert_tellable, config

from aes_audit.gates.thresholds import Gate, Profile
from aes_audit.live.edits import live_edits
from aes_audit.planning import Case, editing_cases, live_cases, live_subjects
from aes_audit.stopping import early_stop

if TYPE_CHECKING:
    from aes_audit.live.session import LiveSession
    from aes_audit.stopping import EarlyStop

EDITING = replace(PROFILE, edit_source="faithful", edits=10)
GATE = Gate("here", "success_rate", at_least=0.5)


def planned(
    *models: str, base_model: str | None = None, rewards: tuple[str, ...] = (), cannot_edit: tuple[str, ...] = ()
) -> tuple[Case, ...]:
    """Every case of a run whose profile edits."""
    subjects = live_subjects(config(models, base_model, rewards), EDITING)
    editors = [name for name in subjects.models if name not in cannot_edit]
    pairs = live_cases(subjects, EDITING, THRESHOLDS, ["preference/p"])
    return (*pairs, *editing_cases(editors, EDITING.edit_source, EDITING, THRESHOLDS))


def edits(cases: tuple[Case, ...]) -> list[Case]:
    """Those about edits."""
    return [case for case in cases if case.set == "edits"]


def test_every_audited_generator_edits_and_is_judged_by_the_quality_rewards_and_the_judge() -> None:
    found = edits(planned("a", "b", base_model="base", rewards=("r",)))
    assert [(case.metric, case.models, case.scorer) for case in found] == [
        ("edit_shift", (model,), scorer) for model in "ab" for scorer in ("pretty", "nice", "judge")
    ]
    assert {(case.base_model, case.truth, case.source) for case in found} == {(None, "preference/t", "faithful")}
    assert_tellable(found)


@pytest.mark.parametrize(
    ("profile", "models", "rewards"),
    [(EDITING, (), ("r",)), (PROFILE, ("a",), ())],
    ids=["no generator is audited", "the profile edits nothing"],
)
def test_nothing_is_edited_where_there_is_no_reason_to(
    profile: Profile, models: tuple[str, ...], rewards: tuple[str, ...]
) -> None:
    asked = config(models, None, rewards)
    session = SimpleNamespace(profile=profile, config=asked, subjects=live_subjects(asked, profile))
    assert live_edits(cast("LiveSession", session)) is None


def test_a_generator_that_takes_no_picture_is_audited_without_edits() -> None:
    cases = planned("hosted", "b", cannot_edit=("hosted",))
    assert {case.subject for case in edits(cases)} == {"b"}
    assert {case.subject for case in cases} == {"hosted", "b"}


def test_an_edit_reads_its_own_set_and_needs_the_pairs_of_the_source_alone() -> None:
    for case in edits(planned("a")):
        assert case.reads == (("edits", "a"),)
        assert case.pairs_of == {"faithful"}


def test_a_pair_metric_reads_the_pairs_of_every_model_in_it() -> None:
    (case,) = [case for case in planned("a", base_model="b") if case.metric == "realignment_success"]
    assert case.reads == (("pairs", "a"), ("pairs", "b"))
    assert case.pairs_of == {"a", "b"}


def test_another_source_is_another_entry_of_the_baseline() -> None:
    one, *_ = edits(planned("a"))
    other = replace(one, source="another")
    assert len({one.baseline_key, other.baseline_key, replace(one, source=None).baseline_key}) == 3
    assert one.id == "a, by pretty, truth preference/t, on pictures of faithful"


@pytest.mark.parametrize(("model", "stops"), [("a", True), ("faithful", False)])
def test_only_the_sources_pairs_are_needed_to_the_last(model: str, stops: bool) -> None:
    cases = [Case("success_rate", (name,), None, "preference/p", None, GATE) for name in ("a", "faithful")]
    rule: EarlyStop | None = early_stop(
        model, [*cases, *edits(planned("a"))], planned=20, base={}, families={}, anytime=False
    )
    assert (rule is not None) is stops
