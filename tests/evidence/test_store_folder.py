"""The store in a folder: who looks in finds whole files, and what an operating system refuses is said."""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aes_audit.errors import StoreUnusable
from aes_audit.evidence.keys import digest
from aes_audit.evidence.store import Store

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
KEY = digest({"key": 1})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def only(store: Store, pattern: str) -> Path:
    """The one file of the store that matches."""
    (path,) = store.local.glob(pattern)
    return path


def test_a_lookup_reads_one_small_file_and_never_the_image(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_image(KEY, PNG, {})
    opened: list[str] = []

    def watched(file: str | Path, *arguments: Any, **options: Any) -> object:
        opened.append(Path(file).suffix)
        return io.open(file, *arguments, **options)  # noqa: UP020

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "open", watched)
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
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.tex", "draft.tmp", "blobs", "images", "unfinished"}


def test_opening_a_store_removes_what_dead_writers_left_and_nothing_younger(store: Store) -> None:
    store.put_scores(KEY, {"values": [1.0]})
    folder = only(store, "unfinished")
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
from aes_audit.evidence.store import Store
files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
Store(sys.argv[1]).put_scores(sys.argv[2], {"values": [0.0]})
"""
    killed = subprocess.run([sys.executable, "-c", script, str(store.local), KEY], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = store.local.glob("**/*.tmp")
    alive = left.with_name(left.name.replace(f".{left.name.split('.')[-3]}.", f".{os.getpid()}."))
    alive.write_bytes(b"half")
    Store(store.local)
    assert list(store.local.glob("**/*.tmp")) == [alive]


def test_opening_a_store_looks_at_no_object_in_it(store: Store) -> None:
    for number in range(3):
        store.put_scores(digest({"number": number}), {"values": [1.0]})
    looked: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in ("os.scandir", "os.listdir", "open"):
            looked.append(str(arguments[0]))

    sys.addaudithook(watch)
    Store(store.local)
    watching = False
    assert str(store.local) in looked
    assert not [path for path in looked if path.startswith(str(store.local / "scores"))]


def test_a_room_that_is_a_link_to_another_disk_is_written_there(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large disk").mkdir()
    (store.local / "blobs").symlink_to(tmp_path / "large disk")
    replace = os.replace

    def replaced(source: Path, target: Path) -> None:
        if target.parent.resolve().is_relative_to(tmp_path / "large disk") and source.parent != target.parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    store.put_image(KEY, PNG, {})
    found = store.image(KEY)
    assert found is not None
    assert store.read_image(found) == PNG
    assert len(list((tmp_path / "large disk").glob("*/*.png"))) == 1
    assert not list(tmp_path.glob("**/*.tmp"))


@pytest.mark.parametrize("what", ["a file", "a link to nothing", "another user's"])
def test_a_store_is_written_where_its_unfinished_files_can_lie_beside_their_places_only(
    store: Store, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    workshop = store.local / "unfinished"
    if what == "a file":
        workshop.write_text("a novel")
    elif what == "a link to nothing":
        workshop.symlink_to(store.local / "nothing" / "there")
    else:
        monkeypatch.setattr(builtins, "open", _forbidding(workshop))
    store.put_image(KEY, PNG, {})
    found = store.image(KEY)
    assert found is not None
    assert store.read_image(found) == PNG
    assert not store.read_only
    assert not list(store.local.glob("**/*.tmp"))
    assert what != "a file" or workshop.read_text() == "a novel"


def _forbidding(folder: Path) -> Callable[..., object]:
    def opened(file: str | Path, *arguments: Any, **options: Any) -> object:
        if Path(file).parent == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return io.open(file, *arguments, **options)  # noqa: UP020

    return opened


def test_what_dead_writers_left_is_removed_while_living_ones_finish_theirs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.local / "unfinished"
    folder.mkdir()
    for number in range(10):
        path = folder / f"{KEY}.json.{number + 1}.{number:032x}.tmp"
        path.write_text("half")
        os.utime(path, (0, 0))
    scandir = os.scandir

    @contextmanager
    def overtaken(path: Path) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(path) as found:
            entries = list(found)
        if path == folder:
            # Its writer has just renamed it.
            os.unlink(entries[0].path)
        yield entries

    monkeypatch.setattr(os, "scandir", overtaken)
    store.storage.prepare(())
    assert not list(folder.iterdir())


def test_a_file_in_the_place_of_the_store_is_said(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    for root in (tmp_path / "store", tmp_path / "store" / "inner", tmp_path / "store" / "inner" / "most"):
        with pytest.raises(StoreUnusable) as caught:
            Store(root)
        said = f"a file is in the place of the folder {tmp_path / 'store'}; remove it, or name another folder."
        assert str(caught.value) == f"store: cannot use {root}: {said}"


def test_a_file_in_the_place_of_a_room_is_said(store: Store) -> None:
    (store.local / "scores").write_text("")
    said = f"a file is in the place of the folder {store.local / 'scores'}; "
    with pytest.raises(StoreUnusable, match=said):
        store.put_scores(KEY, {})
    with pytest.raises(StoreUnusable, match=said):
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
