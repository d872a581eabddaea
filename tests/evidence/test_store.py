"""The store: what was put is found whole, what is damaged is made again, what cannot be written is said."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes_audit.errors import StoreUnusable
from aes_audit.evidence.keys import canonical, digest
from aes_audit.evidence.store import CorruptObject, ImageRecord, Store

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
KEY, OTHER = digest({"key": 1}), digest({"key": 2})

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def only(store: Store, pattern: str) -> Path:
    """The one file of the store that matches."""
    (path,) = store.local.glob(pattern)
    return path


def test_an_image_comes_back_with_its_record(store: Store) -> None:
    assert store.image(KEY) is None
    store.put_image(KEY, PNG, {"prompt": "a cat", "steps": 32, "size": (64, 64)})
    found = store.image(KEY)
    sha256 = hashlib.sha256(PNG).hexdigest()
    record = {"prompt": "a cat", "steps": 32, "size": [64, 64], "sha256": sha256, "bytes": len(PNG)}
    assert found == ImageRecord(KEY, sha256, None, record)
    assert store.read_image(found) == PNG
    assert (store.local / "blobs" / sha256[:2] / f"{sha256}.png").read_bytes() == PNG
    assert (store.local / "images" / KEY[:2] / f"{KEY}.json").is_file()


def test_a_missing_image_keeps_its_reason_and_has_no_file(store: Store) -> None:
    store.put_missing_image(KEY, "refused by the provider", {"prompt": "a cat", "sha256": "ab", "error": "older"})
    found = store.image(KEY)
    assert found is not None
    assert (found.sha256, found.error, found.record["prompt"]) == (None, "refused by the provider", "a cat")
    assert not list(store.local.glob("blobs/*/*"))
    with pytest.raises(ValueError, match="refused by the provider"):
        store.read_image(found)


@settings(max_examples=40, deadline=None)
@given(record=st.dictionaries(TEXT, VALUE, max_size=4), name=TEXT)
def test_scores_come_back_as_they_were_put(record: dict[str, Any], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        key = digest({"name": name})
        store.put_scores(key, record)
        assert canonical(store.scores(key)) == canonical(record)
        assert Store(Path(folder)).scores(key) == record
        assert store.scores(digest({"other": name})) is None


def test_what_is_put_again_replaces_what_was_there(store: Store) -> None:
    store.put_missing_image(KEY, "black", {})
    store.put_image(KEY, PNG, {"try": 2})
    found = store.image(KEY)
    assert found is not None
    assert found.error is None
    store.put_scores(KEY, {"values": [1.0]})
    store.put_scores(KEY, {"values": [2.0]})
    assert store.scores(KEY) == {"values": [2.0]}


def test_two_keys_may_share_an_image_file(store: Store) -> None:
    store.put_image(KEY, PNG, {"seed": 1})
    store.put_image(OTHER, PNG, {"seed": 2})
    assert len(list(store.local.glob("blobs/*/*.png"))) == 1
    assert [store.image(key).record["seed"] for key in (KEY, OTHER)] == [1, 2]  # type: ignore[union-attr]


@pytest.mark.parametrize("position", [0, 100, len(PNG) - 1])
def test_a_flipped_byte_of_an_image_is_found_and_the_image_can_be_made_again(store: Store, position: int) -> None:
    store.put_image(KEY, PNG, {})
    blob = only(store, "blobs/*/*.png")
    damaged = bytearray(PNG)
    damaged[position] ^= 1
    blob.write_bytes(damaged)
    found = store.image(KEY)
    assert found is not None
    with pytest.raises(CorruptObject, match=KEY):
        store.read_image(found)
    assert store.image(KEY) is None
    assert not blob.exists()
    store.put_image(KEY, PNG, {})
    assert store.read_image(store.image(KEY)) == PNG  # type: ignore[arg-type]


def test_a_shortened_or_removed_image_file_counts_as_never_made(store: Store) -> None:
    store.put_image(KEY, PNG, {})
    found = store.image(KEY)
    assert found is not None
    blob = only(store, "blobs/*/*.png")
    os.truncate(blob, 100)
    assert store.image(KEY) is None
    blob.unlink()
    assert store.image(KEY) is None
    with pytest.raises(CorruptObject):
        store.read_image(found)


def test_putting_an_image_mends_a_damaged_file_of_the_same_content(store: Store) -> None:
    store.put_image(KEY, PNG, {})
    only(store, "blobs/*/*.png").write_bytes(b"x" * len(PNG))
    store.put_image(OTHER, PNG, {})
    assert store.read_image(store.image(KEY)) == PNG  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255), cut=st.booleans())
def test_a_record_with_any_byte_changed_or_cut_off_counts_as_absent(position: float, byte: int, cut: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.put_scores(KEY, {"values": [0.812, -3.25], "queries": ["clarity", "a cat"]})
        path = only(store, "scores/*/*.json")
        content = bytearray(path.read_bytes().rstrip())
        place = int(position * len(content))
        content[place] ^= byte
        path.write_bytes(content[:place] if cut else content)
        assert store.scores(KEY) is None
        store.put_scores(KEY, {"values": [1.0]})
        assert store.scores(KEY) == {"values": [1.0]}


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"\xff", b'{"key": 1', b"[" * 100_000, b"NaN"])
def test_a_file_that_is_no_record_counts_as_absent(store: Store, content: bytes) -> None:
    store.put_image(KEY, PNG, {})
    only(store, "images/*/*.json").write_bytes(content)
    assert store.image(KEY) is None


def test_a_record_under_another_key_counts_as_absent(store: Store) -> None:
    store.put_scores(KEY, {"values": [1.0]})
    target = store.local / "scores" / OTHER[:2] / f"{OTHER}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    only(store, "scores/*/*.json").rename(target)
    assert store.scores(OTHER) is None


@pytest.mark.parametrize("key", ["", "ab", "../../etc/passwd", "A" * 64, "g" * 64, "a" * 63 + "/", "a" * 65])
def test_only_digests_are_keys(store: Store, key: str) -> None:
    for call in (store.image, store.scores):
        with pytest.raises(ValueError, match="not a key"):
            call(key)


@pytest.mark.parametrize("value", [float("nan"), b"x", {1, 2}])
def test_a_record_that_json_cannot_hold_is_refused_and_leaves_nothing(store: Store, value: Any) -> None:
    with pytest.raises(TypeError, match="JSON cannot hold"):
        store.put_scores(KEY, {"values": [value]})
    assert store.scores(KEY) is None
    assert not list(store.local.glob("**/*.tmp"))


def test_a_lookup_reads_one_small_file_and_never_the_image(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_image(KEY, PNG, {})
    opened: list[str] = []
    read = Path.read_bytes

    def watched(self: Path) -> bytes:
        opened.append(self.suffix)
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", watched)
    assert store.image(KEY) is not None
    assert opened == [".json"]


def test_a_new_store_hides_itself_from_git_and_from_backups(store: Store) -> None:
    assert (store.local / ".gitignore").read_text() == "*\n"
    assert (store.local / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_a_folder_with_other_files_is_not_hidden_from_git_and_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("do not hide me")
    (tmp_path / "draft.tmp").write_text("nor me")
    os.utime(tmp_path / "draft.tmp", (0, 0))
    store = Store(tmp_path)
    store.put_image(KEY, PNG, {})
    assert not (tmp_path / ".gitignore").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.tex", "draft.tmp", "blobs", "images"}


def test_opening_a_store_removes_what_dead_writers_left_and_nothing_younger(store: Store) -> None:
    store.put_scores(KEY, {"values": [1.0]})
    folder = only(store, "scores/*")
    dead, alive = (folder / f"{KEY}.json.{number}.{'ab' * 16}.tmp" for number in (123, 456))
    for path in (dead, alive):
        path.write_text("half")
    os.utime(dead, (time.time() - 3700,) * 2)
    Store(store.local)
    assert not dead.exists()
    assert alive.exists()
    assert store.scores(KEY) == {"values": [1.0]}


def test_what_a_writer_of_this_machine_left_is_removed_as_soon_as_it_is_dead(store: Store) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from aes_audit.evidence import files
files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files.write(Path(sys.argv[1]), b"half")
"""
    store.put_scores(KEY, {"values": [1.0]})
    target = only(store, "scores/*") / "torn.json"
    killed = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = store.local.glob("**/*.tmp")
    alive = left.with_name(left.name.replace(f".{left.name.split('.')[-3]}.", f".{os.getpid()}."))
    alive.write_bytes(b"half")
    Store(store.local)
    assert list(store.local.glob("**/*.tmp")) == [alive]


def test_opening_a_store_again_finds_everything(store: Store) -> None:
    store.put_image(KEY, PNG, {})
    again = Store(store.local)
    assert again.image(KEY) == store.image(KEY)


def test_a_file_in_the_place_of_the_store_is_said(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    for root in (tmp_path / "store", tmp_path / "store" / "inner"):
        with pytest.raises(StoreUnusable, match=r"store: cannot use .*store.*: a file is in the place of a folder"):
            Store(root)


def test_a_file_in_the_place_of_a_room_is_said(store: Store) -> None:
    (store.local / "scores").write_text("")
    with pytest.raises(StoreUnusable, match="a file is in the place of a folder"):
        store.put_scores(KEY, {})
    with pytest.raises(StoreUnusable, match="a file is in the place of a folder"):
        store.scores(KEY)


def test_a_folder_in_the_place_of_a_record_is_said(store: Store) -> None:
    (store.local / "scores" / KEY[:2] / f"{KEY}.json").mkdir(parents=True)
    with pytest.raises(StoreUnusable, match="a folder is in the place of a file"):
        store.scores(KEY)
    with pytest.raises(StoreUnusable, match="a folder is in the place of a file"):
        store.put_scores(KEY, {})


REFUSALS = [
    (errno.ENOSPC, "the disk is full"),
    (errno.EDQUOT, "the disk quota is used up"),
    (errno.EROFS, "the file system is read-only"),
    (errno.EACCES, "permission denied"),
    (errno.EIO, os.strerror(errno.EIO)),
]


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize(("code", "words"), REFUSALS)
def test_a_refused_write_is_one_sentence_and_leaves_no_trace(
    store: Store, monkeypatch: pytest.MonkeyPatch, call: str, code: int, words: str
) -> None:
    store.put_scores(KEY, {"values": [1.0]})

    def refusing(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refusing)
    with pytest.raises(StoreUnusable, match=words) as caught:
        store.put_scores(KEY, {"values": [2.0]})
    with pytest.raises(StoreUnusable, match=words):
        store.put_image(KEY, PNG, {})
    monkeypatch.undo()
    message = str(caught.value)
    assert str(store.local) in message
    assert "\n" not in message
    assert message.endswith(".")
    assert store.scores(KEY) == {"values": [1.0]}
    assert store.image(KEY) is None
    assert not list(store.local.glob("**/*.tmp"))


def test_an_image_whose_record_could_not_be_written_was_never_made(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def full_for_records(source: Path, target: Path) -> None:
        if target.suffix == ".json":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full_for_records)
    with pytest.raises(StoreUnusable):
        store.put_image(KEY, PNG, {})
    assert list(store.local.glob("blobs/*/*.png"))
    assert store.image(KEY) is None


def test_an_interrupted_write_leaves_no_trace(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.put_scores(KEY, {})
    assert not list(store.local.glob("scores/*/*"))


def test_a_file_system_that_cannot_sync_folders_is_good_enough(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def files_only(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    store.put_scores(KEY, {"values": [1.0]})
    assert store.scores(KEY) == {"values": [1.0]}


def test_records_are_canonical_json_with_their_own_check(store: Store) -> None:
    store.put_scores(KEY, {"values": [1.0]})
    content = json.loads(only(store, "scores/*/*.json").read_text())
    assert content == {
        "key": KEY,
        "record": {"values": [1.0]},
        "check": digest({"key": KEY, "record": {"values": [1.0]}}),
    }
