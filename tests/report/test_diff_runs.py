"""What changed between two runs: what is matched, what is tested, what is refused and what is said about it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report.two_runs import JUDGE, RUN, Asked, compared, edited, release, write_release

from aes_audit.errors import UsageError
from aes_audit.report.diff.change import Change
from aes_audit.report.diff.difference import Difference
from aes_audit.report.diff.side import read_side
from aes_audit.report.diff.words import tolerated, unpaired
from aes_audit.report.run_folder import RESULTS

MIRROR = {"worse": "better", "better": "worse"}


def _by_metric(found: Difference) -> Mapping[str, Change]:
    return {change.after["metric"]: change for change in found.changes}


def _run(**other: Any) -> Mapping[str, Any]:
    return {**RUN, **other}


def test_a_run_against_itself_shows_no_change(tmp_path: Path) -> None:
    run = write_release(tmp_path / "a", release())
    found = compared(run, run)
    assert [change.direction for change in found.changes] == ["no evidence of change"] * 3
    assert {change.difference for change in found.changes} == {0.0}
    assert {change.p_adjusted for change in found.changes} == {1.0}
    assert not any(change.flipped or change.moved_most() for change in found.changes)
    assert (found.new, found.vanished, found.worse) == ((), (), False)


@settings(max_examples=5, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(success=st.sampled_from([0.2, 0.6, 0.9]), shift=st.sampled_from([-1.5, -1.0, 0.2]), seed=st.integers(0, 9))
def test_exchanged_runs_mirror_every_number(
    tmp_path_factory: pytest.TempPathFactory, success: float, shift: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    a = write_release(folder / "a", release("v1", items=24))
    b = write_release(folder / "b", release("v2", success=success, shift=shift, seed=seed, items=24))
    forth, back = _by_metric(compared(a, b)), _by_metric(compared(b, a))
    for metric, one in forth.items():
        other = back[metric]
        assert other.direction == MIRROR.get(one.direction, one.direction)
        assert other.p_adjusted == pytest.approx(one.p_adjusted)
        assert one.difference is not None
        assert other.difference == pytest.approx(-one.difference)
        assert one.paired is not None
        assert other.paired is not None
        assert other.paired.interval.reason == one.paired.interval.reason
        if one.paired.interval.bounds:
            low, high = one.paired.interval.bounds
            assert other.paired.interval.bounds == pytest.approx((-high, -low))


def test_a_release_that_follows_less_is_worse_and_its_verdict_stands_first(tmp_path: Path) -> None:
    a = write_release(tmp_path / "a", release(success=0.9))
    b = write_release(tmp_path / "b", release(success=0.3))
    found = compared(a, b)
    first = found.changes[0]
    assert first.after["metric"] == "success_rate"
    assert (first.before["verdict"], first.after["verdict"], first.flipped) == ("pass", "fail", True)
    assert (first.direction, found.worse) == ("worse", True)
    assert first.paired is not None
    assert first.paired.mean == pytest.approx(first.difference)
    assert [item.after - item.before for item in first.moved_most()] == [-1.0] * 5
    names = [item.item for item in first.moved_most()]
    assert names == sorted(names)
    # The scores were drawn alike, so nothing else has changed.
    assert {change.direction for change in found.changes[1:]} == {"no evidence of change"}


def test_p_values_are_adjusted_over_everything_that_was_tested(tmp_path: Path) -> None:
    a = write_release(tmp_path / "a", release())
    b = write_release(tmp_path / "b", release(success=0.5, shift=-0.8, seed=1))
    changes = [change for change in compared(a, b).changes if change.paired]
    raw = sorted(change.paired.p_value for change in changes if change.paired)
    expected = [min(1.0, max((3 - rank) * raw[rank] for rank in range(place + 1))) for place in range(3)]
    assert sorted(change.p_adjusted or 0.0 for change in changes) == pytest.approx(expected)


def test_higher_scores_than_the_base_are_worse_although_the_effect_is_lower(tmp_path: Path) -> None:
    base = list(release("base", shift=-2.0, seed=5))
    measured: Sequence[Asked] = [("realignment_quality", "quality", {}), ("realignment_success", JUDGE, {})]
    a, b = (
        write_release(tmp_path / name, [*release(name, shift=shift), *base], measured=measured, base_model="base")
        for name, shift in (("v1", -1.9), ("v2", -0.5))
    )
    change = _by_metric(compared(a, b))["realignment_quality"]
    assert change.difference is not None
    assert change.difference < 0
    assert change.paired is not None
    assert change.paired.mean > 0
    assert change.direction == "worse"


def test_the_one_generator_of_each_run_is_matched_by_itself_and_that_is_said(tmp_path: Path) -> None:
    a, b = (write_release(tmp_path / name, release(name)) for name in ("v1", "v2"))
    found = compared(a, b)
    assert len(found.changes) == 3
    assert found.names.assumed == {"v1": "v2"}
    assert "v1 is matched with v2, because each run audits one generator" in found.notes


def test_a_given_name_says_what_a_model_became(tmp_path: Path) -> None:
    a, b = (write_release(tmp_path / name, release(f"org={name}")) for name in ("v1", "v2"))
    found = compared(a, b, "org=v1=org=v2")
    assert (len(found.changes), found.names.assumed) == (3, {})
    with pytest.raises(UsageError, match="is no NAME_A=NAME_B of these runs: A has org=v1; B has org=v2"):
        compared(a, b, "v1=v2")
    with pytest.raises(UsageError, match="give each name once"):
        compared(a, b, "org=v1=org=v2", "org=v1=org=v2")


def test_a_name_that_another_model_has_taken_matches_nothing(tmp_path: Path) -> None:
    a = _with_also(write_release(tmp_path / "a", release("v1")), "v1", "v2")
    b = write_release(tmp_path / "b", release("v2", success=0.3))
    assert {change.before["model"] for change in compared(a, b).changes} == {"v2"}
    found = compared(a, b, "v1=v2")
    assert {change.before["model"] for change in found.changes} == {"v1"}
    assert {entry["model"] for entry in found.vanished} == {"v2"}


def test_several_generators_are_not_matched_by_guessing(tmp_path: Path) -> None:
    a = write_release(tmp_path / "a", release("v1"))
    b = _with_also(write_release(tmp_path / "b", release("v2")), "v2", "v3")
    found = compared(a, b)
    assert (found.changes, len(found.new), len(found.vanished)) == ((), 6, 3)
    assert len(compared(a, b, "v1=v3").changes) == 3


def _with_also(run: Path, model: str, other: str) -> Path:
    """The same run in which another model measured the same."""
    results = json.loads((run / RESULTS).read_text())
    more = json.loads(json.dumps(results["measurements"]).replace(f'"{model}"', f'"{other}"'))
    results["measurements"] += more
    (run / RESULTS).write_text(json.dumps(results))
    return run


def test_a_reward_keeps_its_name_and_is_compared_over_the_same_pictures_only(tmp_path: Path) -> None:
    measured: Sequence[Asked] = [("prefers_wide", "quality", {})]
    a = write_release(tmp_path / "a", release("v1"), measured=measured)
    same = write_release(tmp_path / "b", release("v1", seed=1), measured=measured)
    assert _by_metric(compared(a, same))["prefers_wide"].paired is not None
    other = write_release(tmp_path / "c", release("v2"), measured=measured)
    [change] = compared(a, other).changes
    assert change.obstacles == ("pictures were of v1, are of v2",)
    assert (change.direction, change.difference is not None) == ("not tested", True)


def test_rewards_are_compared_pair_by_pair_of_all_generators(tmp_path: Path) -> None:
    pictures = [*release("one", success=0.5), *release("two", success=0.6, seed=1)]
    truth = {(row["model"], row["item"]): row["value"] for row in pictures if row["scorer"] == JUDGE}

    def taught(row: Mapping[str, Any]) -> Mapping[str, Any]:
        """A reward that has learnt what the judge says."""
        told = row["scorer"] == "quality" and (row["image"], row["prompt"]) == ("wide", "wide")
        better = 4.0 * truth[row["model"], row["item"]] if told else 0.0
        return {**row, "value": row["value"] + better, "scorer": row["scorer"].replace("quality", "quality-2")}

    names = ("reward_auroc", "reward_accuracy", "prefers_wide", "reward_f1")
    a = write_release(tmp_path / "a", pictures, measured=[(name, "quality", {}) for name in names])
    b = write_release(tmp_path / "b", map(taught, pictures), measured=[(name, "quality-2", {}) for name in names])
    found = compared(a, b)
    assert found.names.assumed == {"quality": "quality-2"}
    changes = _by_metric(found)
    assert {name: change.direction for name, change in changes.items()} == {
        "reward_auroc": "better", "reward_accuracy": "better", "prefers_wide": "better", "reward_f1": "not tested",
    }  # fmt: skip
    for name in names[:3]:
        change = changes[name]
        assert change.paired is not None
        assert change.paired.mean == pytest.approx(change.difference)
        assert change.paired.n == 40


def test_without_evidence_the_numbers_stand_beside_each_other(tmp_path: Path) -> None:
    a = write_release(tmp_path / "a", release(success=0.9))
    b = write_release(tmp_path / "b", release(success=0.3), evidence=False)
    for found in (compared(a, b), compared(a, b / RESULTS)):
        assert {change.direction for change in found.changes} == {"not tested"}
        assert found.changes[0].difference == pytest.approx(-0.6)
        assert any("the second run has no evidence beside its results" in note for note in found.notes)
        assert not found.worse


def test_other_items_are_not_paired_and_the_reason_is_a_sentence(tmp_path: Path) -> None:
    a = write_release(tmp_path / "a", release(items=40))
    b = write_release(tmp_path / "b", release(items=30))
    found = compared(a, b)
    assert {change.paired for change in found.changes} == {None}
    [said] = unpaired(found)
    assert said.startswith(
        "not comparable item by item, because the items differ: 30 are in both runs, 10 only in the first, "
        "0 only in the second: v1: "
    )


OTHERWISE: Sequence[tuple[Mapping[str, Any], str, set[str]]] = [
    (_run(prompts={"digest": "e" * 64}), "the prompts set was dddd", {"success_rate", "quality_shift", "wide_quality"}),
    (
        _run(models={**RUN["models"], "quality": {"revision": "sha256:cc"}}),
        "quality: kind was clip, is None, revision was aa, is cc",
        {"quality_shift", "wide_quality"},
    ),
    (
        _run(models={**RUN["models"], JUDGE: {"revision": "sha256:bb", "identity": {"kind": "other"}}}),
        f"{JUDGE}: kind was judge, is other",
        {"success_rate"},
    ),
]


@pytest.mark.parametrize(("run", "why", "metrics"), OTHERWISE)
def test_other_prompts_or_instruments_are_not_compared_item_by_item(
    tmp_path: Path, run: Mapping[str, Any], why: str, metrics: set[str]
) -> None:
    a = write_release(tmp_path / "a", release())
    found = compared(a, write_release(tmp_path / "b", release(), run=run))
    refused = {change.after["metric"]: change.obstacles for change in found.changes if change.obstacles}
    assert set(refused) == metrics
    assert all(any(why in clause for clause in clauses) for clauses in refused.values())


def test_other_libraries_and_thresholds_are_said_and_hinder_nothing(tmp_path: Path) -> None:
    a = write_release(tmp_path / "a", release())
    b = write_release(tmp_path / "b", release(), run=_run(libraries={"torch": "2.1"}, profile="other"))
    edited(b, threshold={"kind": "evidential", "at_least": 0.5, "confidence": 0.95, "alpha": 0.05})
    found = compared(a, b)
    assert "other circumstances: libraries torch was 2.0, is 2.1" in found.notes
    assert "profile was test, is other" in found.notes
    assert "at_least was 0.6, is 0.5" in _by_metric(found)["success_rate"].note
    assert all(change.paired for change in found.changes)


def test_a_run_that_stopped_early_is_not_compared_item_by_item(tmp_path: Path) -> None:
    a, b = (write_release(tmp_path / name, release()) for name in ("a", "b"))
    edited(b, details={"early_stop": "curtail", "stopped_at": 20, "planned": 40})
    clauses = {clause for change in compared(a, b).changes for clause in change.obstacles}
    assert clauses == {"the second run stopped early at 20 of 40 items: run both with --audit-early-stop=off"}


def test_runs_that_lost_items_differently_are_not_compared_item_by_item(tmp_path: Path) -> None:
    lost = [
        {**row, "value": None, "error": "black"} if row["item"] < "008" and row["image"] != "original" else row
        for row in release()
    ]
    a, b = write_release(tmp_path / "a", release()), write_release(tmp_path / "b", lost)
    clauses = {clause for change in compared(a, b).changes for clause in change.obstacles}
    assert clauses == {"the runs lost items differently (0 and 8, p = 0.0078): the rest cannot be compared"}


def test_another_base_is_another_comparison(tmp_path: Path) -> None:
    measured: Sequence[Asked] = [("realignment_success", JUDGE, {})]
    a, b = (
        write_release(tmp_path / base, [*release("v1"), *release(base)], measured=measured, base_model=base)
        for base in ("old", "new")
    )
    [change] = compared(a, b).changes
    assert change.obstacles == ("the base model was old, is new",)


def test_what_a_baseline_tolerates_is_not_called_a_change(tmp_path: Path) -> None:
    a = write_release(tmp_path / "a", release(success=0.9))
    b = edited(write_release(tmp_path / "b", release(success=0.4)), baseline={"estimate": 0.9, "tolerance": 0.5})
    found = compared(a, b)
    change = _by_metric(found)["success_rate"]
    assert (change.direction, change.tolerated, found.worse) == ("no evidence of change", True, False)
    [said] = tolerated(found)
    assert said.startswith("not called a change, because 0.5 is within its baseline's tolerance 0.5: v1: success_rate")
    assert compared(a, edited(b, baseline={"estimate": 0.9, "tolerance": 0.4})).worse


def test_noise_of_other_kernels_is_no_change(tmp_path: Path) -> None:
    rows = release()
    noisy = [{**row, "value": row["value"] + 1e-6} if row["image"] == "wide" else row for row in rows]
    found = compared(write_release(tmp_path / "a", rows), write_release(tmp_path / "b", noisy))
    assert {change.direction for change in found.changes} == {"no evidence of change"}
    assert {change.p_adjusted for change in found.changes} == {1.0}


def test_what_only_one_run_measured_is_shown(tmp_path: Path) -> None:
    measured: Sequence[Asked] = [("success_rate", JUDGE, {}), ("quality_shift", "quality", {})]
    a = write_release(tmp_path / "a", release(), measured=measured[:1])
    b = write_release(tmp_path / "b", release(), measured=measured[1:])
    found = compared(a, b)
    assert [entry["metric"] for entry in found.new] == ["quality_shift"]
    assert [entry["metric"] for entry in found.vanished] == ["success_rate"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"metric": "beauty"}, "is of metric 'beauty', which is not known here"),
        ({"estimate": "0.5"}, "has the estimate '0.5'"),
        ({"estimate": float("nan")}, "has the estimate nan"),
        ({"interval": [1]}, r"has the interval \[1\]"),
        ({"verdict": "maybe"}, "has the verdict 'maybe'"),
        ({"model": None}, "has no 'model'"),
        ({"details": "x"}, "holds text where an object belongs"),
    ],
)
def test_what_nobody_could_have_written_is_said_in_one_sentence(
    tmp_path: Path, fields: Mapping[str, Any], why: str
) -> None:
    run = edited(write_release(tmp_path / "a", release(items=2)), **fields)
    with pytest.raises(UsageError, match=why):
        read_side(run)


def test_entries_as_the_contract_shows_them_are_enough(tmp_path: Path) -> None:
    shown = (
        '{"schema": 1, "run": {}, "measurements": [{"audit": "quality_shift", "metric": "quality_shift", '
        '"model": "dance-flux", "base_model": null, "set": "pairs", "scorer": "hpsv3", "group": null, "n": 300, '
        '"missing": 0, "estimate": -1.105, "interval": [-1.34, -0.87], "confidence": 0.95, "verdict": "pass"}]}'
    )
    (tmp_path / "a.json").write_text(shown)
    (tmp_path / "b.json").write_text(shown.replace("-1.105", "-0.905"))
    [change] = compared(tmp_path / "a.json", tmp_path / "b.json").changes
    assert change.difference == pytest.approx(0.2)
    assert change.direction == "not tested"
