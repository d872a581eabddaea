"""Processes, nodes and drivers that die, of clusters of every kind: the evidence is that of an undisturbed run."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from evidence.process_tree import alive, descendants, wait_for
from evidence.toy_stage import ToyOperator, kept_by, toy

from aes_audit.errors import EngineUnreachable, InfrastructureError
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.engines.ray_engine import RayEngine
from aes_audit.evidence.engines.spec import RaySettings
from aes_audit.evidence.store import Store

pytestmark = pytest.mark.heavy

PROMPTS = [f"p{number}" for number in range(90)]

DRIVER = """
import sys
from pathlib import Path
from evidence.process_tree import alive, descendants, wait_for
from evidence.toy_stage import ToyOperator, toy
from aes_audit.evidence.engines.ray_engine import RayEngine
from aes_audit.evidence.engines.spec import RaySettings
from aes_audit.evidence.store import Store
engine = RayEngine(settings=RaySettings(actors=2, cpus=0.5))
operator = ToyOperator(seconds=0.2, log=Path(sys.argv[2]))
try:
    engine.run(toy([f"p{number}" for number in range(90)], operator), Store(sys.argv[1]))
finally:
    engine.close()
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """What the local engine makes."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    LocalEngine().run(toy(PROMPTS), store)
    return kept_by(toy(PROMPTS), store)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty one."""
    return Store(tmp_path / "store")


@pytest.fixture
def engine() -> Iterator[RayEngine]:
    """Two processes on a cluster of this machine."""
    engine = RayEngine(settings=RaySettings(actors=2, cpus=0.5))
    yield engine
    engine.close()


def begun(log: Path) -> list[tuple[int, list[str]]]:
    """Process and prompts of every batch that was begun."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(process.partition("/")[0]), prompts) for process, *prompts in map(str.split, lines)]


def start_driver(store: Store, log: Path) -> subprocess.Popen[str]:
    """A driver with a cluster of its own, at work on PROMPTS."""
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, store.address, str(log)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_process_that_dies_is_replaced_and_its_task_made(
    engine: RayEngine, store: Store, tmp_path: Path, undisturbed: Mapping[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    log, deaths = tmp_path / "log", tmp_path / "deaths"
    deaths.mkdir()
    for prompt in ("p10", "p44", "p80"):
        (deaths / prompt).touch()
    engine.run(toy(PROMPTS, ToyOperator(deaths=deaths, log=log)), store)
    assert not list(deaths.iterdir())
    assert kept_by(toy(PROMPTS), store) == undisturbed
    assert len({process for process, _ in begun(log)}) >= 4
    # Two batches are lost with a process, and what it had kept is not made again.
    assert len(begun(log)) <= 30 + 3 * 2
    assert capfd.readouterr() == ("", "")


def test_a_batch_that_ends_every_process_is_given_up_and_named_and_all_others_are_made(
    engine: RayEngine, store: Store, tmp_path: Path, undisturbed: Mapping[str, bytes]
) -> None:
    stage = toy([*PROMPTS[:49], "poison", *PROMPTS[50:]], ToyOperator(log=tmp_path / "log"))
    with pytest.raises(
        InfrastructureError, match="4 times the process died that was to make 'p48', 'poison', 'p50'; Ray"
    ):
        engine.run(stage, store)
    lost = {"p48", "p49", "p50"}
    assert kept_by(stage, store) == {prompt: image for prompt, image in undisturbed.items() if prompt not in lost}
    assert sum("poison" in prompts for _, prompts in begun(tmp_path / "log")) == 4


def test_a_driver_that_is_killed_leaves_no_process_and_the_next_one_goes_on(
    store: Store, tmp_path: Path, undisturbed: Mapping[str, bytes]
) -> None:
    log = tmp_path / "log"
    driver = start_driver(store, log)
    wait_for(lambda: len(begun(log)) >= 8)
    family, working = descendants(driver.pid), {process for process, _ in begun(log)}
    assert working <= family.keys()
    driver.kill()
    driver.communicate()
    wait_for(lambda: not any(map(alive, working)), 20)
    kept = kept_by(toy(PROMPTS), store)
    assert 0 < len(kept) < len(PROMPTS)
    again = start_driver(store, tmp_path / "again")
    assert again.communicate(timeout=120) == ("", "")
    assert again.returncode == 0
    assert kept_by(toy(PROMPTS), store) == undisturbed
    made_again = {prompt for _, prompts in begun(tmp_path / "again") for prompt in prompts}
    assert made_again == undisturbed.keys() - kept.keys()
    # Two agents of Ray tell the head, which is dead, for a minute that its node is.
    wait_for(lambda: not any(map(alive, family)), 90)


def test_a_driver_that_is_interrupted_ends_at_once_and_keeps_what_was_made(
    store: Store, tmp_path: Path, undisturbed: Mapping[str, bytes]
) -> None:
    driver = start_driver(store, tmp_path / "log")
    wait_for(lambda: len(begun(tmp_path / "log")) >= 8)
    family, began = descendants(driver.pid), time.monotonic()
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert said.rstrip().endswith("KeyboardInterrupt")
    wait_for(lambda: not any(map(alive, family)), 20)
    kept = kept_by(toy(PROMPTS), store)
    assert 0 < len(kept) < len(PROMPTS)
    assert kept.items() <= undisturbed.items()
    assert not list((store.local / "locks").glob("ray-*"))


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The address of a cluster that somebody else has started on this machine."""
    with pytest.MonkeyPatch.context() as patch, _head() as address:
        # Whether this machine has a token for clusters is no part of these tests.
        patch.setenv("RAY_AUTH_MODE", "disabled")
        # The head answers before its node does.
        time.sleep(3)
        yield address


@contextmanager
def _head(**tokens: str) -> Iterator[str]:
    # Names of sockets must be short.
    folder = Path(tempfile.mkdtemp(prefix="aes-ray-", dir="/tmp"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--node-ip-address=127.0.0.1"]
    place = [f"--port={port}", f"--temp-dir={folder}", "--object-store-memory=200000000"]
    options = ["--num-cpus=2", "--num-gpus=2", "--include-dashboard=false", "--disable-usage-stats", "--block"]
    started = subprocess.Popen(
        [*command, *place, *options], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "RAY_AUTH_MODE": "disabled", **tokens},
    )  # fmt: skip
    address = f"127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(address))
        yield address
    finally:
        family = descendants(started.pid)
        started.terminate()
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            started.kill()
        for process in filter(alive, family):
            os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(head: str) -> bool:
    host, _, port = head.partition(":")
    with socket.socket() as line:
        return line.connect_ex((host, int(port))) == 0


def test_a_cluster_that_runs_already_is_joined_and_left_running(
    head: str, store: Store, undisturbed: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = RayEngine(settings=RaySettings(address=head, gpus=0, cpus=0.5))
    engine.run(toy(PROMPTS[:45]), store)
    assert engine.workers == 4
    engine.close()
    engine.close()
    assert _answers(head)
    monkeypatch.setenv("RAY_ADDRESS", head)
    # Names of files may be relative to where the driver is.
    monkeypatch.chdir(tmp_path)
    engine = RayEngine(settings=RaySettings(cpus=0.5))
    engine.run(toy(PROMPTS, ToyOperator(log=Path("log"))), Store("store"))
    engine.close()
    assert len(begun(tmp_path / "log")) == 15
    assert kept_by(toy(PROMPTS), store) == undisturbed
    assert _answers(head)


def test_a_cluster_without_a_token_is_joined_after_one_of_this_process_that_asked_for_one(
    head: str, engine: RayEngine, store: Store, undisturbed: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE")
    engine.run(toy(PROMPTS[:6]), store)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    engine.close()
    assert "RAY_AUTH_MODE" not in os.environ
    joined = RayEngine(settings=RaySettings(address=head, gpus=0, cpus=0.5))
    joined.run(toy(PROMPTS), store)
    joined.close()
    assert kept_by(toy(PROMPTS), store) == undisturbed


def test_a_cluster_that_asks_for_a_token_says_so_to_who_has_none(
    store: Store, undisturbed: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "5" * 64
    with _head(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token) as address:
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        engine = RayEngine(settings=RaySettings(address=address, gpus=0, cpus=0.5))
        with pytest.raises(EngineUnreachable, match="it asks for a token, which is missing or another one: set RAY_AU"):
            engine.run(toy(PROMPTS), store)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        engine = RayEngine(settings=RaySettings(address=address, gpus=0, cpus=0.5))
        engine.run(toy(PROMPTS), store)
        engine.close()
    assert kept_by(toy(PROMPTS), store) == undisturbed


def test_processes_share_gpus_as_they_are_told_and_see_no_others(
    head: str, store: Store, tmp_path: Path, undisturbed: Mapping[str, bytes]
) -> None:
    log = tmp_path / "log"
    engine = RayEngine(settings=RaySettings(address=head, cpus=0.25, gpus=1, reward_gpus=0.5))
    assert engine.workers == 2
    engine.run(toy(PROMPTS[:45], ToyOperator(seconds=1.5, log=log)), store)
    assert {line.split()[0].partition("/")[2] for line in log.read_text().splitlines()} == {"0", "1"}
    assert len({process for process, _ in begun(log)}) == 2
    log.unlink()
    engine.run(toy(PROMPTS, ToyOperator(seconds=1.5, log=log, draws=False)), store)
    assert {line.split()[0].partition("/")[2] for line in log.read_text().splitlines()} == {"0", "1"}
    # The fourth may begin when the others have done it all.
    assert len({process for process, _ in begun(log)}) > 2
    engine.close()
    assert kept_by(toy(PROMPTS), store) == undisturbed


def test_a_node_that_is_lost_takes_nothing_with_it(
    store: Store, tmp_path: Path, undisturbed: Mapping[str, bytes]
) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 << 20})
    second = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    log = tmp_path / "log"
    engine = RayEngine(settings=RaySettings(address=cluster.address))

    def lose() -> None:
        wait_for(lambda: len({process for process, _ in begun(log)}) == 2)
        wait_for(lambda: len(begun(log)) >= 8)
        cluster.remove_node(second, allow_graceful=False)

    losing = threading.Thread(target=lose)
    losing.start()
    try:
        assert engine.workers == 2
        engine.run(toy(PROMPTS, ToyOperator(seconds=0.8, log=log)), store)
        losing.join()
        wait_for(lambda: engine.workers == 1)
        assert kept_by(toy(PROMPTS), store) == undisturbed
    finally:
        engine.close()
        cluster.shutdown()
