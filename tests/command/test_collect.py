"""`aes-audit collect` and `aes-audit merge`: parts of a run are, laid together, the run."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest
from evidence.stored_places import Bucket
from evidence.tiny_audit import contents
from object_servers import S3Service
from plugin.live import THRESHOLDS

from aes_audit.command.main import main
from aes_audit.evidence.reading import read_evidence
from aes_audit.evidence.store import Store
from aes_audit.judges.preference import MatcherPreference
from aes_audit.judges.registry import JUDGES, PREFERENCES
from aes_audit.rewards.registry import REWARDS, ClipEntry
from aes_audit.weights.source import Source

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(
    tmp_path: Path, tiny_pipeline: Path, tiny_clip: Path, tiny_judge: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder with a model and thresholds, in which commands are typed."""
    shutil.copytree(tiny_pipeline, tmp_path / "model")
    (tmp_path / "thresholds.toml").write_text(THRESHOLDS)
    monkeypatch.chdir(tmp_path)
    with patch.dict(REWARDS), patch.dict(JUDGES), patch.dict(PREFERENCES):
        REWARDS["tiny/clip"] = ClipEntry(Source(folder=tiny_clip), scaled=True)
        JUDGES["tiny/judge"] = Source(folder=tiny_judge)
        PREFERENCES["preference/tiny"] = MatcherPreference("preference/tiny", matcher="tiny/clip")
        yield tmp_path


def _collect(store: str, *options: str) -> int:
    common = ("--profile=tiny", "--audit-thresholds=thresholds.toml", "--audit-device=cpu", "--audit-health=off")
    return main(["collect", *common, f"--audit-store={store}", *options])


def _table(path: Path) -> pd.DataFrame:
    """Everything a table says, extra columns included, in an order of its own."""
    frame = read_evidence(path).frame
    return frame.astype(str).sort_values(list(frame.columns)).reset_index(drop=True)


def test_two_shards_merged_are_the_whole_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Sixteen pairs are the smallest number of whole batches of every stage: here there are two parts.
    assert _collect("whole", "--audit-pairs=17", "--output=whole.parquet") == 0
    for number in (1, 2):
        assert _collect(f"shard-{number}", "--audit-pairs=17", f"--shard={number}/2") == 0
    shards = [contents(project / f"shard-{number}") for number in (1, 2)]
    drawn = [{name for name in shard if name.startswith("images")} for shard in shards]
    assert sorted(map(len, drawn)) == [2, 32]
    assert main(["merge", "shard-1", "shard-2", "--into", "merged"]) == 0
    assert contents(project / "merged") == contents(project / "whole")
    assert _collect("merged", "--audit-pairs=17", "--output=merged.parquet") == 0
    assert contents(project / "merged") == contents(project / "whole"), "nothing was made again"
    pd.testing.assert_frame_equal(_table(project / "merged.parquet"), _table(project / "whole.parquet"))
    assert "pairs of ./model: 17 items" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--shard=0/4"], "invalid value '0/4': give I/N, from 1/N to N/N"),
        (["--shard=5/4"], "invalid value '5/4'"),
        (["--shard=1/2", "--output=t.parquet"], "--output writes the whole table"),
        (["--output=table.csv"], "give a name that ends in .parquet"),
        (["--model=./nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_collected_is_said_in_one_line(
    project: Path, options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = _collect("store", *options)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code == 2
    assert complaint in capsys.readouterr().err


def test_a_bucket_that_may_only_be_read_is_enough_for_what_is_in_it(
    project: Path, s3: str, s3_service: S3Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / "cache"))
    assert _collect(s3) == 0
    assert f"store {s3}\n" in capsys.readouterr().err
    before = Bucket(s3, s3_service.client).contents()
    for name, value in s3_service.reader.items():
        monkeypatch.setenv(name, value)
    assert _collect(s3) == 0
    assert f"store {s3} (read only)\n" in capsys.readouterr().err
    assert _collect(s3, "--audit-pairs=6") == 2
    # Six pairs are whole batches of the five that were drawn, and two images more.
    assert f"store {s3} is read only and lacks 2 of 12 images by ./model: give another" in capsys.readouterr().err
    assert Bucket(s3, s3_service.client).contents() == before
    assert not list(project.glob("s3*"))


def _filled(root: Path, *, value: float = 1.0) -> Store:
    store = Store(root)
    store.put_image("a" * 64, b"not really a picture", {"seed": 1})
    store.put_scores("b" * 64, {"values": [value]})
    return store


def test_a_merge_takes_what_is_missing_and_does_nothing_the_second_time(tmp_path: Path) -> None:
    source, target = _filled(tmp_path / "one").local, tmp_path / "all"
    assert main(["merge", str(source), "--into", str(target)]) == 0
    assert contents(target) == contents(source)
    assert all((target / name).stat().st_ino == (source / name).stat().st_ino for name in contents(source))
    before = {name: (target / name).stat().st_mtime_ns for name in contents(target)}
    assert main(["merge", str(source), "--into", str(target)]) == 0
    assert {name: (target / name).stat().st_mtime_ns for name in contents(target)} == before


def test_without_links_objects_are_copied(tmp_path: Path) -> None:
    source = _filled(tmp_path / "one").local
    with patch("os.link", side_effect=OSError("another file system")):
        assert main(["merge", str(source), "--into", str(tmp_path / "all")]) == 0
    assert contents(tmp_path / "all") == contents(source)


def test_a_conflict_is_named_and_nothing_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = _filled(tmp_path / "one").local, _filled(tmp_path / "other", value=2.0).local
    before = contents(one), contents(other)
    assert main(["merge", str(one), str(other), "--into", str(tmp_path / "all")]) == 1
    assert f"scores/bb/{'b' * 64}.json in values" in capsys.readouterr().err
    assert Store(tmp_path / "all").scores("b" * 64) == {"values": [1.0]}
    assert (contents(one), contents(other)) == before


def test_damaged_objects_are_left_out_and_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = _filled(tmp_path / "good").local, _filled(tmp_path / "bad").local
    for path in (bad / "blobs").rglob("*.png"):
        path.write_bytes(b"not what it was")
    assert main(["merge", str(bad), "--into", str(tmp_path / "all")]) == 1
    assert "is not what was stored" in capsys.readouterr().err
    assert Store(tmp_path / "all").image("a" * 64) is None
    assert main(["merge", str(good), "--into", str(tmp_path / "all")]) == 0
    assert contents(tmp_path / "all") == contents(good)
    # A target that has been damaged itself is mended.
    assert main(["merge", str(good), "--into", str(bad)]) == 0
    assert contents(bad) == contents(good)


def test_what_is_no_store_and_a_store_into_itself_are_refused(tmp_path: Path) -> None:
    _filled(tmp_path / "one")
    assert main(["merge", str(tmp_path), "--into", str(tmp_path / "all")]) == 2
    assert main(["merge", str(tmp_path / "one"), "--into", str(tmp_path / "one")]) == 2
    assert not (tmp_path / "all").exists()


def test_rates_of_both_are_kept_by_the_one_that_saw_more(tmp_path: Path) -> None:
    def rate(items: int) -> dict[str, dict[str, float]]:
        return {"cpu": {"items": items, "seconds": 2.0, "files": 0, "bytes": 0}}

    for name, items in (("one", 3), ("other", 5)):
        _filled(tmp_path / name).put_rate("c" * 64, {"devices": rate(items)})
    assert main(["merge", str(tmp_path / "one"), str(tmp_path / "other"), "--into", str(tmp_path / "all")]) == 0
    assert Store(tmp_path / "all").rate("c" * 64) == json.loads(json.dumps({"devices": rate(5)}))


def test_parts_of_one_plan_do_not_wait_for_each_other_in_a_shared_store(tmp_path: Path) -> None:
    with Store(tmp_path, sharing="1/2").lock("a model"):
        done = threading.Event()

        def work() -> None:
            with Store(tmp_path, sharing="2/2").lock("a model"):
                done.set()

        threading.Thread(target=work, daemon=True).start()
        assert done.wait(30)


@pytest.mark.heavy
def test_four_shards_of_the_controls_merged_are_the_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    options = ["--model=control/instructed", "--audit-pairs=49", "--audit-device=cpu"]
    stores = [tmp_path / str(number) for number in range(1, 5)]
    assert main(["collect", *options, f"--audit-store={tmp_path / 'w'}", f"--output={tmp_path / 'w.parquet'}"]) == 0
    for number, store in enumerate(stores, 1):
        assert main(["collect", *options, f"--audit-store={store}", f"--shard={number}/4"]) == 0
    assert main(["merge", *map(str, stores), "--into", str(tmp_path / "m")]) == 0
    assert main(["collect", *options, f"--audit-store={tmp_path / 'm'}", f"--output={tmp_path / 'm.parquet'}"]) == 0
    records = [json.loads(path.read_text()) for store in stores for path in (store / "images").rglob("*.json")]
    drawn = [record["key"] for record in records if "generator" in record["record"]]
    assert len(drawn) == len(set(drawn)), "no image was made twice"
    assert contents(tmp_path / "m") == contents(tmp_path / "w")
    pd.testing.assert_frame_equal(_table(tmp_path / "m.parquet"), _table(tmp_path / "w.parquet"))


def test_an_empty_store_is_refused_and_not_taken_for_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "--audit-store="]) == 2
    assert "'' is no address of a store" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
