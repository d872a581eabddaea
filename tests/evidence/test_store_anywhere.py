"""One audit, wherever its store lies: the same objects, found again by those who may only read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evidence.stored_places import Bucket, Folder
from object_servers import S3Service

from aes_audit.errors import StoreUnusable, UsageError
from aes_audit.evidence.keys import digest
from aes_audit.evidence.merging import merge_stores
from aes_audit.evidence.rescoring import RescoringStore
from aes_audit.evidence.storage.address import local_folder, open_storage
from aes_audit.evidence.storage.objects import ObjectStorage
from aes_audit.evidence.store import Store

KEY = digest({"key": 1})


@pytest.mark.heavy
def test_an_audit_leaves_the_same_objects_in_a_bucket_and_is_judged_by_who_may_only_read(
    s3: str,
    s3_service: S3Service,
    tmp_path: Path,
    tiny_pipeline: Path,
    tiny_clip: Path,
    tiny_judge: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Models are loaded for this test alone.
    from evidence.tiny_audit import TinyAudit, contents

    audit = TinyAudit(tiny_pipeline, tiny_clip, tiny_judge)
    expected = audit.collect(tmp_path / "store")
    assert audit.collect(Store(s3)) == expected
    place = Bucket(s3, s3_service.client)
    # How fast it was is another time's.
    made = {name: content for name, content in place.contents().items() if not name.startswith("rates/")}
    assert made == contents(tmp_path / "store")
    before = place.contents()
    for name, value in s3_service.reader.items():
        monkeypatch.setenv(name, value)
    store = Store(s3)
    assert store.read_only
    assert audit.collect(store) == expected
    assert place.contents() == before
    for name in before:
        if name.startswith("images/"):
            place.drop(name)
    with pytest.raises(StoreUnusable, match=r"is read only and lacks 6 of 6 images by .*: give another --audit-store"):
        audit.collect(Store(s3))


def test_images_that_may_only_be_read_are_scored_again(
    s3: str, s3_service: S3Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Store(s3).put_scores(KEY, {"values": [1.0]})
    before = Bucket(s3, s3_service.client).contents()
    for name, value in s3_service.reader.items():
        monkeypatch.setenv(name, value)
    store = RescoringStore(s3, tmp_path / "scores")
    assert store.read_only
    assert store.scores(KEY) is None
    store.refuse_missing("1 of 1 scores")
    with store.lock("a model"):
        store.put_scores(KEY, {"values": [2.0]})
    store.put_rate(KEY, {"devices": {}})
    assert store.scores(KEY) == {"values": [2.0]}
    assert Bucket(s3, s3_service.client).contents() == before


def test_a_store_is_the_same_in_google_cloud_storage(gs: str, tmp_path: Path) -> None:
    for address in (gs, str(tmp_path)):
        store = Store(address)
        store.put_image(KEY, b"not really a picture", {"seed": 1})
        store.put_all_scores({digest({"number": number}): {"values": [number]} for number in range(8)})
        assert store.read_image(store.image(KEY)) == b"not really a picture"  # type: ignore[arg-type]
        assert store.image(digest({"none": 1})) is None
        assert list(store.have_scores([digest({"none": 1})])) == [False]
        assert not store.read_only
    bucket, folder = open_storage(gs), open_storage(tmp_path)
    for room in ("blobs", "images", "scores"):
        assert list(bucket.folders(room)) == list(folder.folders(room))
        for within in folder.folders(room):
            assert list(bucket.names(within)) == list(folder.names(within))
            assert all(bucket.read(name) == folder.read(name) for name in folder.names(within))
    bucket.remove("scores/none")
    with pytest.raises(StoreUnusable, match="there is no bucket 'elsewhere'"):
        Store("gs://elsewhere/audits")


def test_stores_are_merged_across_kinds_of_storage(s3: str, s3_service: S3Service, tmp_path: Path) -> None:
    place, folder = Bucket(s3, s3_service.client), Folder(tmp_path / "one")
    first = Store(folder.address)
    first.put_image(KEY, b"not really a picture", {"seed": 1})
    first.put_scores(KEY, {"values": [1.0]})
    assert merge_stores([folder.address], s3).taken == 3
    assert place.contents() == folder.contents()
    assert merge_stores([s3], str(tmp_path / "other")).taken == 3
    assert Folder(tmp_path / "other").contents() == folder.contents()
    again = merge_stores([folder.address], s3)
    assert (again.taken, again.there) == (0, 3)
    Store(s3).put_scores(KEY, {"values": [2.0]})
    (conflict,) = merge_stores([s3], folder.address).conflicts
    assert f"{s3}/scores/" in conflict
    assert conflict.endswith(" in values")
    for sources, complaint in (([f"{s3}/none"], "is no store"), ([f"{s3}/"], "cannot be merged into itself")):
        with pytest.raises(UsageError, match=complaint):
            merge_stores(sources, s3)


def test_a_bucket_is_asked_many_at_once_by_plans_too_and_where_it_is_merged_from(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [digest({"number": number}) for number in range(10)]
    store = Store(s3)
    store.put_all_scores({key: {"values": [1.0]} for key in keys[1:]})
    askers: list[str] = []

    def heard(method: Callable[..., Any]) -> Callable[..., Any]:
        def asked(storage: ObjectStorage, name: str) -> Any:
            askers.append(threading.current_thread().name)
            return method(storage, name)

        return asked

    for name in ("read", "size"):
        monkeypatch.setattr(ObjectStorage, name, heard(getattr(ObjectStorage, name)))
    assert list(store.have_scores(keys)) == [False] + [True] * 9
    assert merge_stores([s3], str(tmp_path / "other")).taken == 9
    assert len(askers) == 10 + 9
    assert threading.current_thread().name not in askers


@pytest.mark.parametrize(
    "address", ["az://b/audits", "https://b/audits", "S3://b/a", "s3:/b", "s3://", "s3:///a", "s3://b1//a", ""]
)
def test_an_address_of_no_known_kind_is_refused(address: str) -> None:
    expected = f"{address!r} is no address of a store: give a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX."
    with pytest.raises(UsageError, match=re.escape(expected)):
        Store(address)


def test_a_client_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(StoreUnusable, match=r"store s3://bucket/audits: s3fs is not installed: pip install .*\[s3\]"):
        Store("s3://bucket/audits")


def test_what_belongs_to_the_machine_lies_in_the_folder_or_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert local_folder(tmp_path / "none" / "yet") == tmp_path / "none" / "yet"
    local = local_folder("s3://bucket/audits")
    assert local.parent == tmp_path / "cache" / "aes_audit" / "stores"
    assert local == local_folder("s3://bucket/audits") != local_folder("s3://bucket/other")
    assert not local.exists()


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", _no_home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(StoreUnusable, match=r"store s3://bucket/audits: this user has no home .*: set XDG_CACHE_HOME"):
        local_folder("s3://bucket/audits")


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


READER = """
import json, os, sys
from aes_audit.evidence.store import Store
address, key = sys.argv[1:]
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
store = Store(address)
told = {"read_only": store.read_only, "scores": store.scores(key), "local": str(store.local), "said": []}
def refuse(call):
    try:
        call()
    except Exception as error:
        told["said"].append(str(error))
refuse(lambda: store.put_scores(key, {}))
refuse(lambda: store.lock("x").__enter__())
refuse(lambda: store.refuse_missing("3 of 4 images by a model"))
refuse(lambda: list(store.read_images([store.image(key)])))
print(json.dumps(told))
"""


def test_a_folder_without_permission_to_write_is_read_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as made:
        root = Path(made) / "store"
        store = Store(root)
        store.put_image(KEY, b"not really a picture", {})
        store.put_scores(KEY, {"values": [1.0]})
        Folder(root).put(next(name for name in Folder(root).contents() if name.startswith("blobs/")), b"x" * 20)
        os.chmod(made, 0o755)
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        before = Folder(root).contents()
        # What nobody's home is, and where its cache, differs between machines.
        monkeypatch.setenv("XDG_CACHE_HOME", "/nowhere")
        run = subprocess.run([sys.executable, "-c", READER, str(root), KEY], capture_output=True, text=True, check=True)
        for folder in folders:
            folder.chmod(0o755)
        told = json.loads(run.stdout)
        assert told["read_only"]
        assert told["scores"] == {"values": [1.0]}
        assert told["local"].startswith("/nowhere/aes_audit/stores/")
        wrote, locked, missed, damaged = told["said"]
        assert "permission denied" in wrote
        assert f"store {root} is read only and lacks something" in locked
        assert "lacks 3 of 4 images by a model: give another --audit-store, or merge it" in missed
        assert f"store {root} is read only and image {KEY} is not what was stored there: give another" in damaged
        assert Folder(root).contents() == before
