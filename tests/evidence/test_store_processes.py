"""Many processes, dying processes and real full disks: the store holds whole objects only."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from evidence.stored_places import Bucket, Folder, assert_whole
from filelock import FileLock, Timeout
from object_servers import S3Service

from aes_audit.errors import StoreUnusable
from aes_audit.evidence.keys import digest
from aes_audit.evidence.store import Store

PRELUDE = """
import hashlib, itertools, random, sys
from pathlib import Path
from aes_audit.errors import StoreUnusable
from aes_audit.evidence.keys import digest
from aes_audit.evidence.store import Store
store, me = Store(sys.argv[1]), int(sys.argv[2])
"""

WRITER = """
for number in range(int(sys.argv[3])):
    shared, own = digest({"shared": number}), digest({"own": [me, number]})
    content = random.Random(number).randbytes(20_000)
    store.put_image(shared, content, {"number": number})
    store.put_scores(shared, {"number": number, "filler": [me] * 500})
    store.put_scores(own, {"me": me})
    found = store.image(shared)
    assert store.read_image(found) == content
    assert store.scores(shared)["number"] == number
"""

ENDLESS = """
print("started", flush=True)
for number in itertools.count():
    key = digest({"writer": me, "number": number % 50})
    store.put_image(key, random.randbytes(200_000), {"number": number % 50})
    store.put_scores(key, {"number": number % 50, "filler": list(range(2000))})
"""

COUNTER = """
path = Path(sys.argv[3])
for _ in range(20):
    with store.lock("counter"):
        path.write_text(str(int(path.read_text()) + 1))
"""

HOLDER = """
with store.lock("held"):
    print("held", flush=True)
    sys.stdin.read()
"""

FULL = """
content = bytes(100_000)
try:
    for number in range(100):
        store.put_image(digest({"number": number}), content + bytes([number]), {})
except StoreUnusable as error:
    print(error)
for number in itertools.count():
    found = store.image(digest({"number": number}))
    if found is None:
        break
    assert store.read_image(found) == content + bytes([number])
print(number, "images are whole;", len(list(store.local.glob("**/*.tmp"))), "temporary files")
"""

READ_ONLY = """
key = digest({"number": 1})
print(store.scores(key))
for put in (lambda: store.put_scores(key, {}), lambda: store.lock("x").__enter__()):
    try:
        put()
    except StoreUnusable as error:
        print(error)
try:
    Store(Path(sys.argv[1]).parent / "other")
except StoreUnusable as error:
    print(error)
"""


def start(script: str, address: Path | str, me: int = 0, *arguments: str) -> subprocess.Popen[str]:
    """A process that runs the script on the store at `address`."""
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script, str(address), str(me), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    """What the process printed; fails with its traceback."""
    told, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    return told


def test_sixteen_processes_that_write_the_same_keys_lose_and_tear_nothing(tmp_path: Path) -> None:
    root = tmp_path / "store"
    writers = [start(WRITER, root, me, "12") for me in range(16)]
    for writer in writers:
        finish(writer)
    assert_whole(Folder(root))
    store = Store(root)
    for number in range(12):
        assert store.image(digest({"shared": number})).record["number"] == number  # type: ignore[union-attr]
        for me in range(16):
            assert store.scores(digest({"own": [me, number]})) == {"me": me}
    assert not list(root.glob("**/*.tmp"))
    rooms = ["blobs", "images", "scores", "unfinished"]
    assert sorted(path.name for path in root.iterdir()) == [".gitignore", "CACHEDIR.TAG", *rooms]


def test_killed_writers_leave_whole_objects_and_what_they_leave_is_swept(tmp_path: Path) -> None:
    root = tmp_path / "store"
    rng = random.Random(0)
    for me in range(6):
        writer = start(ENDLESS, root, me)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "started\n"
        time.sleep(rng.uniform(0, 0.12))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert_whole(Folder(root))
    assert list(root.glob("scores/*/*.json"))
    left = list(root.glob("**/*.tmp"))
    for path in left:
        os.utime(path, (time.time() - 7200,) * 2)
    Store(root)
    assert not list(root.glob("**/*.tmp"))
    assert_whole(Folder(root))


def test_processes_that_write_into_one_bucket_lose_and_tear_nothing(s3: str, s3_service: S3Service) -> None:
    _write_together(s3, s3_service, writers=2, each=4)


@pytest.mark.heavy
def test_sixteen_processes_that_write_into_one_bucket_lose_and_tear_nothing(s3: str, s3_service: S3Service) -> None:
    _write_together(s3, s3_service, writers=16, each=12)


def _write_together(address: str, service: S3Service, *, writers: int, each: int) -> None:
    started = [start(WRITER, address, me, str(each)) for me in range(writers)]
    for writer in started:
        finish(writer)
    place, store = Bucket(address, service.client), Store(address)
    assert_whole(place)
    assert len(place.contents()) == each * (3 + writers)
    own = [digest({"own": [me, number]}) for me in range(writers) for number in range(each)]
    assert list(store.all_scores(own)) == [{"me": me} for me in range(writers) for _ in range(each)]


@pytest.mark.heavy
def test_writers_that_are_killed_leave_whole_objects_in_a_bucket(s3: str, s3_service: S3Service) -> None:
    place, rng = Bucket(s3, s3_service.client), random.Random(0)
    for me in range(8):
        writer = start(ENDLESS, s3, me)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "started\n"
        time.sleep(rng.uniform(0, 1))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert_whole(place)
    assert place.contents()


def test_a_lock_lets_one_process_in_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    for counter in [start(COUNTER, tmp_path / "store", me, str(tmp_path / "counter")) for me in range(4)]:
        finish(counter)
    assert (tmp_path / "counter").read_text() == "80"


@pytest.mark.heavy
def test_processes_of_one_machine_wait_for_each_other_also_with_a_bucket(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "counter").write_text("0")
    for counter in [start(COUNTER, s3, me, str(tmp_path / "counter")) for me in range(4)]:
        finish(counter)
    assert (tmp_path / "counter").read_text() == "80"


def test_the_lock_of_a_bucket_is_a_file_of_this_machine(
    s3: str, s3_service: S3Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = Store(s3)
    with store.lock("a model"):
        (held,) = (store.local / "locks").iterdir()
        assert held.is_relative_to(tmp_path / "aes_audit" / "stores")
        with pytest.raises(Timeout):
            FileLock(held, is_singleton=False).acquire(timeout=0)
    FileLock(held).acquire(timeout=0)
    assert not Bucket(s3, s3_service.client).contents()


def test_a_killed_holder_lets_go_of_its_lock(tmp_path: Path) -> None:
    holder = start(HOLDER, tmp_path / "store")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with Store(tmp_path / "store").lock("held"):
        pass


def test_locks_of_different_names_do_not_wait_for_each_other_and_an_error_inside_releases(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.lock("one"), store.lock("two/../../odd name\n"):
        assert len(list((store.local / "locks").iterdir())) == 2
    with pytest.raises(OSError, match="from inside"), store.lock("one"):
        raise OSError("from inside")
    with store.lock("one"):
        pass


def in_small_file_system(commands: str, *arguments: str) -> str:
    """Run shell commands where `$DISK` is a real file system of 1 MB, in a namespace that vanishes with the shell."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare to make a small file system with")
    run = [
        unshare,
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-ec",
        f'mount -t tmpfs -o size=1m none "$DISK"\n{commands}',
        "sh",
    ]
    result = subprocess.run(
        [*run, *arguments], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHON": sys.executable},
    )  # fmt: skip
    if result.returncode and ("unshare" in result.stderr or "mount" in result.stderr):
        pytest.skip(f"no namespaces here: {result.stderr.strip()}")
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "disk").mkdir()
    monkeypatch.setenv("DISK", str(tmp_path / "disk"))
    return tmp_path / "disk"


def test_a_really_full_disk_is_said_and_what_fitted_is_whole(disk: Path) -> None:
    told = in_small_file_system('"$PYTHON" -c "$1" "$DISK/store" 0', PRELUDE + FULL).splitlines()
    assert told[0].startswith(f"store: cannot use {disk / 'store'}")
    assert "the disk is full" in told[0]
    whole, _, rest = told[1].partition(" ")
    assert 5 <= int(whole) <= 10
    assert rest == "images are whole; 0 temporary files"


def test_a_really_read_only_store_is_read_and_says_that_it_cannot_be_written(disk: Path) -> None:
    fill = PRELUDE + 'store.put_scores(digest({"number": 1}), {"values": [1.0]})'
    commands = '"$PYTHON" -c "$1" "$DISK/store" 0\nmount -o remount,ro "$DISK"\n"$PYTHON" -c "$2" "$DISK/store" 0'
    told = in_small_file_system(commands, fill, PRELUDE + READ_ONLY).splitlines()
    assert told[0] == "{'values': [1.0]}"
    assert len(told) == 4
    assert all("read only" in line.replace("read-only", "read only") for line in told[1:])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnusable, match="permission denied"):
        Store(tmp_path / "store")
