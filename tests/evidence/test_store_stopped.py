"""Ctrl-C while a bucket is silent: the run ends within seconds, and says what is kept."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from evidence.process_tree import wait_for
from evidence.silent_service import Silent, silent
from object_servers import gs_environment, s3_environment

from aes_audit.errors import StoreUnusable
from aes_audit.evidence.keys import digest
from aes_audit.evidence.storage.threads import Threads
from aes_audit.evidence.store import ChangedImageWarning, CorruptObject, Store

KEY = digest({"key": 1})

WAITING = """
import sys
from aes_audit.evidence.keys import digest
from aes_audit.evidence.storage.objects import ObjectStorage
from aes_audit.evidence.store import Store
store = Store.__new__(Store)
store.storage = ObjectStorage(sys.argv[1])
keys = [digest({"number": number}) for number in range(40)]
try:
    store.scores(keys[0]) if sys.argv[2] == "one" else list(store.all_scores(keys))
finally:
    # What a run does that was stopped.
    print(len(store.storage.names("changed")))
"""


@pytest.fixture
def service() -> Iterator[Silent]:
    with silent() as service:
        yield service


@pytest.mark.parametrize(
    ("scheme", "asked"),
    [
        ("s3", "many"),
        pytest.param("s3", "one", marks=pytest.mark.heavy),
        pytest.param("gs", "one", marks=pytest.mark.heavy),
        pytest.param("gs", "many", marks=pytest.mark.heavy),
    ],
)
def test_a_process_that_waits_for_a_silent_bucket_is_stopped_within_seconds(
    service: Silent, scheme: str, asked: str
) -> None:
    environment = s3_environment(service.url) if scheme == "s3" else gs_environment(service.url)
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, f"{scheme}://bucket/store", asked],
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: service.accepted >= (1 if asked == "one" else 8), 30)
    asked_at = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert time.monotonic() - asked_at < 8
    assert "the service does not answer (the run was stopped" in complaint
    assert process.returncode == 1


def test_what_a_store_knows_of_changes_is_said_when_it_does_not_answer_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.put_image(KEY, b"not really a picture", {})
    (blob,) = tmp_path.glob("blobs/*/*")
    blob.write_bytes(b"x" * 20)
    with pytest.warns(ChangedImageWarning), pytest.raises(CorruptObject):
        store.read_image(store.image(KEY))  # type: ignore[arg-type]
    assert store.changed == 1
    monkeypatch.setattr(type(store.storage), "names", _refuse)
    assert store.changed == 1


def _refuse(*_: object) -> None:
    raise StoreUnusable("the service does not answer.")


def _named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def test_threads_are_started_as_needed_and_end_with_their_owner() -> None:
    name = "test-threads-of-a-store"
    threads = Threads(3, name)
    assert not _named(name)
    assert threads.submit(str, 1).result() == "1"
    assert len(_named(name)) == 1
    assert [each.result() for each in [threads.submit(abs, -number) for number in range(20)]] == list(range(20))
    assert len(_named(name)) <= 3
    with pytest.raises(ValueError, match="invalid literal"):
        threads.submit(int, "x").result()
    del threads
    gc.collect()
    wait_for(lambda: not _named(name), 10)


def test_what_is_cancelled_before_it_begins_is_not_done() -> None:
    threads, free, done = Threads(1, "test-cancelled"), threading.Event(), list[int]()
    first = threads.submit(lambda _: free.wait(30), 0)
    second = threads.submit(done.append, 1)
    assert second.cancel()
    free.set()
    assert first.result()
    threads.submit(done.append, 2).result()
    assert done == [2]
