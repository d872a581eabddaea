"""Baselines: where and how they are kept, and what a broken file is answered with."""

from __future__ import annotations

import json
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.data import Snapshot, SnapshotCollection

from aes_audit.errors import InvalidBaseline
from aes_audit.gates.baselines import baseline_extension, baseline_index, read_baseline

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
    collection.add(Snapshot(name=f"test_x|{index.split('|')[-1]}", data=json.dumps(entry)))
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
        snapshot_location=str(file), snapshot_names={"test_x|quality_shift hpsv3"}
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
        ("a|b", "a-b"),
        (":", "-"),
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
        (json.dumps({"quality_shift hpsv3": {**BLESSED, "estimate": None}}), "estimate = None is not a number"),
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


def test_baselines_of_other_subjects_are_never_called_unused(tmp_path: Path) -> None:
    keep(tmp_path, INDEX, BLESSED)
    assert not list(baseline_extension(tmp_path)().discover_snapshots(test_location=None))  # type: ignore[arg-type]


def test_item_values_are_one_line_and_read_back_with_every_bracket(tmp_path: Path) -> None:
    values = [round(number / 7, 6) for number in range(300)] + [None]
    told = {"reason": "[odd\n], {text]", "command": ["pytest", "-k", "a[b], c"]}
    entry = {**BLESSED, "items": {"digest": "d", "values": values}, "provenance": told, "empty": []}
    file = keep(tmp_path, INDEX, entry)
    assert read_baseline(tmp_path, INDEX) == entry
    assert [line for line in file.read_text().splitlines() if line.strip().startswith('"values": [0.0, 0.142857, ')]


def _bless_many(folder: Path, worker: int) -> None:
    for number in range(10):
        keep(folder, baseline_index("flux-dev", "quality_shift", f"{worker} {number}"), BLESSED)


def test_writers_of_one_file_lose_no_entry_and_leave_no_litter(tmp_path: Path) -> None:
    workers = [get_context("fork").Process(target=_bless_many, args=(tmp_path, worker)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["quality_shift.json"]
    assert len(json.loads((tmp_path / "flux-dev" / "quality_shift.json").read_text())) == 40
