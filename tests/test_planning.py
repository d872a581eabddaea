"""Planning: which measurements a run makes, for every way to name subjects, live and recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aes_audit.errors import UnknownName, UsageError
from aes_audit.evidence.engines.spec import EngineSpec
from aes_audit.evidence.schema import Row
from aes_audit.evidence.table import Evidence
from aes_audit.gates.thresholds import Gate, Profile, Thresholds
from aes_audit.measures.names import METRIC_NEEDS, PAIRED, SCORED_BY, TRUTH_NEEDED
from aes_audit.measures.names import REWARD_SUBJECT as OF_SCORER
from aes_audit.options import AuditConfig
from aes_audit.planning import Case, Subjects, live_cases, live_subjects
from aes_audit.recorded_planning import recorded_cases

PROFILE = Profile(
    name="here",
    prompts="control_pairs",
    pairs=20,
    models=("default",),
    rewards=("own",),
    pool=("good", "bad"),
    quality=("pretty", "nice"),
    matcher="match",
    judge="j",
    preferences=("preference/p",),
    truth="preference/t",
)
GATES = (Gate("here", "success_rate", at_least=0.5), Gate("here", "success_rate", "preference/p", at_least=0.9))
THRESHOLDS = Thresholds(Path("t.toml"), {"here": PROFILE}, GATES)
REWARD_SUBJECT = OF_SCORER & set(SCORED_BY)
ONE_MODEL = set(SCORED_BY) - PAIRED - REWARD_SUBJECT


def config(
    models: Sequence[str] = (), base_model: str | None = None, rewards: Sequence[str] = (), evidence: bool = False
) -> AuditConfig:
    """What was typed."""
    return AuditConfig(
        models=tuple(models),
        base_model=base_model,
        rewards=tuple(rewards),
        judges=(),
        profile="here",
        evidence=Path("e.parquet") if evidence else None,
        engine=EngineSpec("local"),
        json_path=None,
        store=".aes_audit",
        inconclusive="fail",
        early_stop="curtail",
        thresholds=Path("t.toml"),
        baselines=Path("baselines"),
        device="cpu",
        batch_size=None,
        pairs=None,
        rootdir=Path(),
    )


def live(
    models: Sequence[str] = (), base_model: str | None = None, rewards: Sequence[str] = ()
) -> tuple[Subjects, tuple[Case, ...]]:
    """Subjects and cases of a run that collects its own evidence."""
    subjects = live_subjects(config(models, base_model, rewards), PROFILE)
    return subjects, live_cases(subjects, PROFILE, THRESHOLDS, ["preference/p", "preference/q"])


def table(*models: str, scorers: Sequence[str] = ("pretty", "blip-itm", "judge/clarity", "preference/p")) -> Evidence:
    """One item per model."""
    rows: list[Row] = []
    for model, scorer in product(models, scorers):
        if scorer.startswith("preference/"):
            rows.append(Row(model, "pairs", "1", "pair", "wide", scorer, 1.0))
        else:
            prompt = None if scorer.startswith(("judge/", "truth/")) else "wide"
            rows += [Row(model, "pairs", "1", image, prompt, scorer, 1.0) for image in ("original", "wide")]
            if prompt:
                rows.append(Row(model, "pairs", "1", "original", "original", scorer, 1.0))
    return Evidence.from_rows(rows)


OTHER_SETS = Evidence.from_rows(
    [
        Row("human", "art", "1", "work", "caption", "pretty", 1.0),
        *(Row("a", "emotion", "1", image, "sad", "pretty", 1.0) for image in ("sad", "happy")),
        *(Row(model, "emotion", "1", "sad", "sad", "blip-itm/face", 1.0) for model in "ab"),
        *(Row("editor", "edits", "1", image, "original", "pretty", 1.0) for image in ("source", "edited")),
        *(Row("human", "ratings", "1", "work", None, f"{who}/clarity", 1.0) for who in ("judge", "truth")),
    ]
)
"""One item of every set besides the pairs."""


def recorded(
    evidence: Evidence, models: Sequence[str] = (), base_model: str | None = None, rewards: Sequence[str] = ()
) -> tuple[Subjects, tuple[Case, ...]]:
    """Subjects and cases of a recorded table."""
    return recorded_cases(evidence, config(models, base_model, rewards, evidence=True), PROFILE, THRESHOLDS)


def metrics(cases: Sequence[Case]) -> set[str]:
    """Which metrics are measured at all."""
    return {case.metric for case in cases}


def assert_tellable(cases: Sequence[Case]) -> None:
    """Within the test of a metric, every case has an id of its own."""
    counted = Counter((case.metric, case.id) for case in cases)
    assert max(counted.values(), default=1) == 1, counted.most_common(1)


class TestLive:
    """Runs that draw and score their own images."""

    def test_when_nothing_is_named_the_profiles_subjects_are_audited(self) -> None:
        subjects, cases = live()
        assert subjects == Subjects(("default",), None, ("own",), ("good", "bad"))
        assert metrics(cases) == set(SCORED_BY) - PAIRED
        assert subjects.generators == ("default", "good", "bad")

    def test_a_model_is_audited_alone_and_no_reward_with_it(self) -> None:
        subjects, cases = live(["a"])
        assert subjects == Subjects(("a",), None, (), ("good", "bad"))
        assert metrics(cases) == ONE_MODEL
        assert subjects.generators == ("a",), "the pool is for rewards"

    def test_a_base_model_adds_the_comparison_and_nothing_else(self) -> None:
        alone, compared = live(["a"])[1], live(["a"], "b")[1]
        added = set(compared) - set(alone)
        assert metrics(list(added)) == PAIRED & set(SCORED_BY)
        assert set(alone) <= set(compared)
        assert {case.base_model for case in added} == {"b"}
        assert {case.base_model for case in alone} == {None}
        assert live(["a"], "b")[0].generators == ("a", "b")

    def test_a_base_model_that_is_the_only_subject_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"^--base-model=a is the only model under audit, [^\n]*--model=SPEC\.$"):
            live_subjects(config(["a"], "a"), PROFILE)
        assert live_subjects(config(["a", "b"], "a"), PROFILE).models == ("a", "b")

    def test_a_base_model_alone_is_compared_with_the_profiles_model(self) -> None:
        subjects, cases = live(base_model="b")
        assert subjects.models == ("default",)
        assert metrics(cases) == set(SCORED_BY)

    def test_a_model_that_is_its_own_base_is_not_compared_with_itself(self) -> None:
        _, cases = live(["a", "b"], "a")
        assert {case.models[0] for case in cases if case.base_model} == {"b"}
        assert {case.models[0] for case in cases} == {"a", "b"}

    def test_a_profile_without_subjects_says_what_to_name(self) -> None:
        empty = replace(PROFILE, models=(), rewards=())
        with pytest.raises(UsageError, match=r"^profile 'here' audits nothing by itself: name --model=SPEC or"):
            live_subjects(config(), empty)
        assert live_subjects(config(["a"]), empty).models == ("a",)

    def test_a_reward_is_audited_on_the_pool_against_the_profiles_truth(self) -> None:
        subjects, cases = live(rewards=["r"])
        assert subjects == Subjects((), None, ("r",), ("good", "bad"))
        assert metrics(cases) == REWARD_SUBJECT
        assert {(case.models, case.scorer) for case in cases} == {(("good", "bad"), "r")}
        assert {case.truth for case in cases if case.metric in TRUTH_NEEDED} == {"preference/t"}
        assert {case.truth for case in cases if case.metric not in TRUTH_NEEDED} == {None}
        assert subjects.generators == ("good", "bad")

    def test_models_and_rewards_are_both_audited_when_both_are_named(self) -> None:
        subjects, cases = live(["a", "b"], "base", ["r", "s"])
        assert metrics(cases) == set(SCORED_BY)
        assert {case.subject for case in cases} == {"a", "b", "r", "s"}
        assert subjects.generators == ("a", "b", "base", "good", "bad")

    def test_every_instrument_measures_what_its_kind_can(self) -> None:
        read = {metric: {case.scorer for case in live(["a"], "b")[1] if case.metric == metric} for metric in SCORED_BY}
        for metric, kind in SCORED_BY.items():
            if metric not in REWARD_SUBJECT:
                expected = {
                    "preference": {"preference/p", "preference/q"},
                    "reward": {"pretty", "nice"},
                    "matcher": {"match"},
                    "judge": {"judge"},
                    "images": {"images"},
                }
                # Where two judges are held against each other, the last of them is only held against.
                expected["preference"] -= {"preference/q"} if metric in TRUTH_NEEDED else set()
                assert read[metric] == expected[kind]

    def test_preference_judges_are_compared_two_by_two(self) -> None:
        subjects = live_subjects(config(["a"]), PROFILE)
        judges = [f"preference/{name}" for name in "xyz"]
        cases = live_cases(subjects, PROFILE, THRESHOLDS, judges)
        found = [(case.scorer, case.truth) for case in cases if case.metric == "preference_agreement"]
        assert found == [(judges[0], judges[1]), (judges[0], judges[2]), (judges[1], judges[2])]
        assert_tellable(cases)

    def test_one_preference_judge_is_compared_with_nobody(self) -> None:
        cases = live_cases(live_subjects(config(["a"]), PROFILE), PROFILE, THRESHOLDS, ["preference/p"])
        assert "preference_agreement" not in metrics(cases)

    def test_a_case_carries_the_gate_of_its_scorer(self) -> None:
        asked = {case.scorer: case.gate for case in live(["a"])[1] if case.metric == "success_rate"}
        assert asked == {"preference/p": GATES[1], "preference/q": GATES[0]}
        assert all(case.gate is None for case in live(["a"])[1] if case.metric != "success_rate")

    def test_a_subject_named_twice_is_audited_once(self) -> None:
        assert live(["a", "b", "a"], rewards=["r", "r"]) == live(["a", "b"], rewards=["r"])

    def test_cases_of_a_subject_share_a_worker(self) -> None:
        assert {(case.subject, case.worker) for case in live(["a"], "b", ["r"])[1]} == {("a", "a"), ("r", "r")}

    @given(
        models=st.lists(st.sampled_from("abc")),
        base_model=st.none() | st.sampled_from("abc"),
        rewards=st.lists(st.sampled_from("rst")),
    )
    def test_ids_tell_the_cases_of_a_metric_apart(
        self, models: list[str], base_model: str | None, rewards: list[str]
    ) -> None:
        audited = tuple(dict.fromkeys(models)) if models or rewards else PROFILE.models
        assume(audited != (base_model,))
        subjects, cases = live(models, base_model, rewards)
        assert_tellable(cases)
        assert len(set(subjects.generators)) == len(subjects.generators)
        assert {name for case in cases for name in case.models} <= set(subjects.generators)


class TestRecorded:
    """Runs that judge a table made elsewhere."""

    def test_when_nothing_is_named_every_model_and_scorer_is_audited(self) -> None:
        subjects, cases = recorded(table("a", "b"))
        assert (subjects.models, subjects.rewards) == (("a", "b"), ("blip-itm", "pretty"))
        assert metrics(cases) == set(SCORED_BY) - PAIRED - {"preference_agreement"}
        quality = {(case.subject, case.scorer) for case in cases if case.metric == "quality_shift"}
        assert quality == set(product("ab", ("blip-itm", "pretty")))
        on = {(case.subject, case.models) for case in cases if case.metric == "reward_auroc"}
        assert on == {(reward, (model,)) for reward in ("blip-itm", "pretty") for model in "ab"}

    def test_a_base_model_is_compared_with_every_other_model(self) -> None:
        subjects, cases = recorded(table("a", "b", "c"), base_model="b")
        assert subjects.models == ("a", "c")
        assert {case.subject for case in cases if case.metric in PAIRED} == {"a", "c"}

    def test_a_named_model_is_audited_alone(self) -> None:
        _, cases = recorded(table("a", "b"), ["b"])
        assert {name for case in cases for name in case.models} == {"b"}

    def test_a_named_reward_is_audited_alone(self) -> None:
        subjects, cases = recorded(table("a", "b"), rewards=["pretty"])
        assert subjects.models == ()
        assert metrics(cases) == REWARD_SUBJECT
        assert {case.scorer for case in cases} == {"pretty"}

    def test_audits_without_rows_are_left_out(self) -> None:
        _, cases = recorded(table("a", scorers=["pretty"]))
        assert metrics(cases) == {"image_faults", "quality_shift", "wide_quality", "prefers_wide"}
        _, cases = recorded(table("a", scorers=["preference/p"]))
        assert metrics(cases) == {"success_rate"}
        _, cases = recorded(table("a", scorers=["judge/clarity", "truth/clarity"]))
        assert metrics(cases) == {"image_faults", "dimension_shift", "dimension_shift_all"}

    def test_a_scorer_that_one_model_lacks_is_left_out_for_that_model(self) -> None:
        both = Evidence.concat([table("a"), table("b", scorers=["pretty"])])
        _, cases = recorded(both, base_model="b")
        assert {case.scorer for case in cases if case.metric in PAIRED} == {"pretty"}

    def test_the_judge_is_compared_beside_the_rewards(self) -> None:
        _, cases = recorded(table("a", "b", scorers=["pretty", "judge/clarity"]), base_model="b")
        assert {case.scorer for case in cases if case.metric == "realignment_quality"} == {"pretty", "judge"}

    def test_several_truths_are_told_apart(self) -> None:
        _, cases = recorded(table("a", scorers=["pretty", "preference/p", "preference/q"]))
        truths = {(case.truth, case.group) for case in cases if case.metric == "reward_auroc"}
        assert truths == {("preference/p", None), ("preference/q", None)}
        compared = [(case.scorer, case.truth) for case in cases if case.metric == "preference_agreement"]
        assert compared == [("preference/p", "preference/q")]
        assert_tellable(cases)

    def test_the_matcher_is_blip_itm_or_the_profiles(self) -> None:
        _, cases = recorded(table("a", scorers=["pretty", "blip-itm", "match"]))
        assert {case.scorer for case in cases if case.metric == "concept_kept"} == {"blip-itm", "match"}

    def test_every_metric_of_the_contract_is_planned_where_the_table_has_its_rows(self) -> None:
        scorers = ("pretty", "blip-itm", "judge/clarity", "preference/p", "preference/q")
        _, cases = recorded(Evidence.concat([table("a", "b", scorers=scorers), OTHER_SETS]), base_model="b")
        assert metrics(cases) == set(METRIC_NEEDS)
        assert_tellable(cases)

    def test_other_sets_are_about_their_own_models_and_scorers(self) -> None:
        _, cases = recorded(Evidence.concat([table("a", "b"), OTHER_SETS]))
        found = {(case.metric, case.subject, case.models, case.group, case.reference) for case in cases}
        for reference in "ab":
            assert ("art_z", "pretty", ("human",), None, reference) in found
        assert ("emotion_accuracy", "pretty", ("a",), "sad", None) in found
        assert ("emotion_rendering", "a", ("a",), "happy", None) in found
        assert ("edit_shift", "editor", ("editor",), None, None) in found
        for group in (None, "used", "clarity"):
            assert ("judge_agreement_mae", "judge", ("human",), group, None) in found

    def test_a_reward_that_was_named_is_the_only_one_held_against_art_and_emotion(self) -> None:
        _, cases = recorded(Evidence.concat([table("a"), OTHER_SETS]), rewards=["pretty"])
        assert metrics(cases) == OF_SCORER - {name for name in OF_SCORER if name.startswith("judge_")}
        assert {case.subject for case in cases} == {"pretty"}

    @pytest.mark.parametrize(
        ("models", "base_model", "rewards", "complaint"),
        [
            (["c"], None, [], "unknown model in the evidence 'c'. Known: a, b."),
            ([], "c", [], "unknown model in the evidence 'c'. Known: a, b."),
            ([], None, ["prety"], "unknown reward in the evidence 'prety'. Did you mean 'pretty'?"),
            ([], None, ["preference/p"], "unknown reward in the evidence 'preference/p'."),
            ([], None, ["judge/clarity"], "unknown reward in the evidence 'judge/clarity'."),
        ],
    )
    def test_a_name_that_the_table_does_not_have_is_a_usage_error(
        self, models: list[str], base_model: str | None, rewards: list[str], complaint: str
    ) -> None:
        with pytest.raises(UnknownName) as raised:
            recorded(table("a", "b"), models, base_model, rewards)
        assert str(raised.value).startswith(complaint)

    @given(
        models=st.lists(st.sampled_from("abc")),
        base_model=st.none() | st.sampled_from("abc"),
        rewards=st.lists(st.sampled_from(["pretty", "blip-itm"])),
    )
    def test_ids_tell_the_cases_of_a_metric_apart(
        self, models: list[str], base_model: str | None, rewards: list[str]
    ) -> None:
        _, cases = recorded(EVIDENCE, models, base_model, rewards)
        assert_tellable(cases)


EVIDENCE = table("a", "b", "c")


def test_an_id_reads_like_a_sentence_and_fits_a_keyword_filter() -> None:
    _, cases = live(["a"], "b", ["r"])
    ids = {case.metric: case.id for case in cases}
    assert ids["success_rate"] == "a, by preference/q"
    assert ids["realignment_quality"] == "a, vs b, by nice"
    assert ids["reward_auroc"] == "r, on good + bad, truth preference/t"
