"""Baselines: where they are kept, when two are comparable, and what a broken file is answered with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.data import Snapshot, SnapshotCollection

from aes_audit.errors import InvalidBaseline
from aes_audit.gates.baselines import (
    baseline_extension,
    baseline_index,
    changed_conditions,
    read_baseline,
    within_tolerance,
)

BLESSED = {
    "metric": "quality_shift",
    "set": "pairs",
    "scorer": "hpsv3",
    "estimate": -1.0,
    "interval": [-1.2, -0.8],
    "n": 300,
    "planned": 300,
    "tolerance": 0.25,
    "prompts": {"name": "control_pairs", "digest": "abc"},
}
INDEX = baseline_index("flux-dev", "quality_shift", "quality_shift hpsv3")


def keep(folder: Path, index: str, entry: object) -> Path:
    """Write a baseline as syrupy does on --snapshot-update; gives the file."""
    extension = baseline_extension(folder)
    location = extension.get_location(test_location=None, index=index)  # type: ignore[arg-type]
    collection = SnapshotCollection(location=location)
    collection.add(Snapshot(name=f"test_x::{index.split('::')[-1]}", data=json.dumps(entry)))
    extension.write_snapshot_collection(snapshot_collection=collection)
    return Path(location)


def test_what_was_blessed_reads_back(tmp_path: Path) -> None:
    assert read_baseline(tmp_path, INDEX) is None
    file = keep(tmp_path, INDEX, BLESSED)
    assert file == tmp_path / "flux-dev" / "quality_shift.json"
    assert read_baseline(tmp_path, INDEX) == BLESSED
    assert read_baseline(tmp_path, baseline_index("flux-dev", "quality_shift", "quality_shift other")) is None


def test_blessing_one_entry_keeps_the_others_of_the_file(tmp_path: Path) -> None:
    keep(tmp_path, INDEX, BLESSED)
    other = baseline_index("flux-dev", "quality_shift", "wide_quality hpsv3")
    file = keep(tmp_path, other, {**BLESSED, "estimate": 3.0})
    assert read_baseline(tmp_path, INDEX) == BLESSED
    assert list(json.loads(file.read_text())) == ["quality_shift hpsv3", "wide_quality hpsv3"]
    baseline_extension(tmp_path)().delete_snapshots(
        snapshot_location=str(file), snapshot_names={"test_x::quality_shift hpsv3"}
    )
    assert list(json.loads(file.read_text())) == ["wide_quality hpsv3"]


@pytest.mark.parametrize(
    ("subject", "folder"),
    [
        ("control/faithful", "control-faithful"),
        ("owner/name@rev+lora=./x", "owner-name@rev+lora=.-x"),
        ("./model", ".-model"),
        ("/abs/model", "-abs-model"),
        ("~/model", "-model"),
        ("C:\\models\\a b", "C-models-a-b"),
        ("..", "-.."),
        (".", "-."),
        ("../../etc", "..-..-etc"),
        ("a::b", "a-b"),
    ],
)
def test_a_subject_makes_a_file_name_that_stays_in_the_folder(tmp_path: Path, subject: str, folder: str) -> None:
    index = baseline_index(subject, "quality_shift", "key")
    assert keep(tmp_path, index, BLESSED) == tmp_path / folder / "quality_shift.json"
    assert read_baseline(tmp_path, index) == BLESSED


@given(subject=st.text(min_size=1, max_size=40), key=st.text(min_size=1, max_size=20))
def test_any_subject_and_key_name_a_file_right_below_the_folder(subject: str, key: str) -> None:
    folder = Path("/baselines")
    location = baseline_extension(folder).get_location(
        test_location=None,  # type: ignore[arg-type]
        index=baseline_index(subject, "success", key),
    )
    path = Path(location)
    assert path.parent.parent == folder
    assert path.parent.name not in (".", "..")
    assert path.name == "success.json"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "cannot be read as JSON"),
        ("\udc80", "cannot be read as JSON"),
        ("[]", "holds a list, expected an object"),
        ('{"quality_shift hpsv3": 3}', "entry 'quality_shift hpsv3': expected an object, found 3"),
        ('{"quality_shift hpsv3": {"estimate": 1}}', "key 'interval' is missing"),
        (json.dumps({"quality_shift hpsv3": {**BLESSED, "tolerance": None}}), "tolerance = None is not a number"),
        (json.dumps({"quality_shift hpsv3": {**BLESSED, "estimate": "1"}}), "estimate = '1' is not a number"),
    ],
)
def test_a_broken_file_is_one_line_with_its_name(tmp_path: Path, content: str, complaint: str) -> None:
    file = keep(tmp_path, INDEX, BLESSED)
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidBaseline) as raised:
        read_baseline(tmp_path, INDEX)
    assert str(file) in str(raised.value)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (-1.0, -1.0, True),
        (-1.0, -0.75, True),
        (-1.0, -1.25, True),
        (-1.0, -0.7, False),
        (-1.0, -1.3, False),
        (None, None, True),
        (None, 0.0, False),
        (0.0, None, False),
    ],
)
def test_a_measurement_may_move_by_the_blessed_tolerance(old: float | None, new: float | None, same: bool) -> None:
    blessed = {**BLESSED, "estimate": old}
    # The tolerance of the new measurement does not matter: it was not blessed.
    assert within_tolerance({**BLESSED, "estimate": new, "tolerance": 99.0}, blessed) is same
    assert matches({**BLESSED, "estimate": new}, blessed) is same


@given(old=st.floats(-9, 9), new=st.floats(-9, 9))
def test_without_tolerance_only_the_same_number_is_the_same(old: float, new: float) -> None:
    assert within_tolerance({"estimate": new}, {"estimate": old, "tolerance": 0.0}) is (old == new)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metric", "wide_quality"),
        ("set", "edits"),
        ("scorer", "imagereward"),
        ("planned", 299),
        ("prompts", {"name": "control_pairs", "digest": "abd"}),
    ],
)
def test_under_other_conditions_two_measurements_are_not_compared(name: str, value: object) -> None:
    changed = {**BLESSED, name: value}
    assert changed_conditions(changed, BLESSED) == [name]
    assert not matches(changed, BLESSED)


def test_a_condition_that_an_old_file_does_not_have_has_changed() -> None:
    old = {name: value for name, value in BLESSED.items() if name != "prompts"}
    assert changed_conditions(BLESSED, old) == ["prompts"]


def test_what_only_describes_a_measurement_is_no_condition() -> None:
    assert matches({**BLESSED, "interval": [-9, 9], "n": 299, "revisions": {"m": "other"}}, BLESSED)


def test_baselines_of_other_subjects_are_never_called_unused(tmp_path: Path) -> None:
    keep(tmp_path, INDEX, BLESSED)
    assert not list(baseline_extension(tmp_path)().discover_snapshots(test_location=None))  # type: ignore[arg-type]


def matches(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """What syrupy is told."""
    extension = baseline_extension(Path("/nowhere"))()
    return extension.matches(serialized_data=extension.serialize(new), snapshot_data=extension.serialize(old))
