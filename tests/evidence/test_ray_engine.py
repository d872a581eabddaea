"""The engine of clusters over a toy stage: equal to the local one, whatever fails."""

from __future__ import annotations

import logging
import os
import pickle
import socketserver
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from evidence.toy_stage import ToyHands, ToyOperator, ToyStage, kept_by, toy
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.errors import EngineUnreachable, InfrastructureError, UsageError
from aes_audit.evidence.engines import ray_engine, ray_head
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.engines.ray_actor import (
    THREADS,
    Assignment,
    Outcome,
    Performer,
    library_versions,
    outcomes,
    task_of,
)
from aes_audit.evidence.engines.ray_cluster import RayCluster, _fitting
from aes_audit.evidence.engines.ray_engine import RayEngine
from aes_audit.evidence.engines.ray_pool import _unheard
from aes_audit.evidence.engines.spec import RaySettings
from aes_audit.evidence.rates import Rate, known_rate
from aes_audit.evidence.store import ChangedImageWarning, CorruptObject, Store

PROMPTS = [f"p{number}" for number in range(60)]


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """Two processes on a cluster of this machine, which is started with the first test that needs it."""
    engine = RayEngine(settings=RaySettings(actors=2, cpus=0.5))
    yield engine
    engine.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty one."""
    return Store(tmp_path / "store")


def alone(stage: ToyStage, folder: Path) -> dict[str, bytes]:
    """What the local engine makes of a stage."""
    store = Store(folder)
    LocalEngine().run(stage, store)
    return dict(kept_by(stage, store))


def assignment(operator: ToyOperator, store: Store, versions: dict[str, str] | None = None) -> Assignment:
    """As a driver on this machine would send it."""
    store.storage.write("locks/probe", b"probe")
    found = library_versions() if versions is None else versions
    return Assignment(pickle.dumps(operator), store.address, "locks/probe", os.getcwd(), (), found)


def performed(work: Assignment, stage: ToyStage, store: Store, *, task: int = 100) -> Sequence[Outcome]:
    """What one process says of tasks of so many batches, without a cluster."""
    left, performer = stage.left(store), Performer(work)
    tables = [performer(task_of(left[start : start + task])) for start in range(0, len(left), task)]
    return [outcome for table in tables for outcome in outcomes(table)]


def test_a_task_tells_key_and_error_of_what_was_wanted_and_sends_no_image(store: Store) -> None:
    stage = toy(["a", "b", "c", "d"])
    LocalEngine().run(toy(["b"]), store)
    found = performed(assignment(stage.operator, store), stage, store)
    assert [(each.key, each.error) for each in found] == [(stage.entries[n][0], None) for n in (0, 2, 3)]
    first, *others = [each.told for each in found]
    assert first is not None
    assert not any(others)
    assert (first.device, first.timed, first.error, first.unfit) == ("cpu (toy)", Rate(4, 1.0), None, False)
    assert len(pickle.dumps(found)) < 2000
    assert len(kept_by(stage, store)) == 4


@pytest.mark.parametrize(("drivers", "found"), [("3", "3"), ("", None), (None, "5")])
def test_kernels_have_the_threads_that_they_would_have_in_the_driver(
    store: Store, monkeypatch: pytest.MonkeyPatch, drivers: str | None, found: str | None
) -> None:
    monkeypatch.setenv(THREADS, "5")
    stage = toy(["a"])
    performed(replace(assignment(stage.operator, store), threads=drivers), stage, store)
    assert os.environ.get(THREADS) == found


def test_what_is_in_the_store_is_not_made_again_when_a_task_is_given_out_again(store: Store, tmp_path: Path) -> None:
    stage = toy(PROMPTS[:6], ToyOperator(log=tmp_path / "log"))
    left = stage.left(store)
    LocalEngine().run(toy(PROMPTS[:3]), store)
    [told] = [each.told for each in outcomes(Performer(assignment(stage.operator, store))(task_of(left))) if each.told]
    assert told.error is None
    assert (tmp_path / "log").read_text().split()[1:] == ["p3", "p4", "p5"]


def test_an_error_is_told_of_what_is_not_made_and_what_came_before_it_is_kept(store: Store) -> None:
    stage = toy(["a", "b", "c", "foreign", "d", "e"])
    found = performed(assignment(stage.operator, store), stage, store)
    assert [each.error for each in found] == [None] * 3 + ["ZeroDivisionError: foreign"] * 3
    assert found[0].told is not None
    error = found[0].told.error
    assert isinstance(error, ZeroDivisionError)
    assert "toy_stage.py" in error.__notes__[0]
    assert f"process {os.getpid()}" in error.__notes__[0]


def test_a_model_that_does_not_load_is_loaded_three_times_and_no_more(store: Store, tmp_path: Path) -> None:
    stage = toy(PROMPTS[:18], ToyOperator(broken=True, log=tmp_path / "log"))
    found = performed(assignment(stage.operator, store), stage, store, task=1)
    assert {each.error for each in found} == {"RuntimeError: the weights are not what they were"}
    assert len(found) == 18
    assert len((tmp_path / "log").read_text().splitlines()) == 3


class Untimed(ToyHands):
    """Nobody's rate, as with the rewards of a bench."""

    @property
    def timed(self) -> Rate:
        """Nothing."""
        return Rate(0, 0.0)


class UntimedOperator(ToyOperator):
    """Draws noise."""

    def start(self, store: Store) -> ToyHands:
        """Begin."""
        return Untimed(self, store)


@pytest.mark.parametrize("bad", [range(4), range(3, 7)], ids=["from the first one", "later"])
def test_batches_that_fail_each_in_its_own_way_end_no_other_one(store: Store, bad: range) -> None:
    prompts = [f"foreign{n}" if n in bad else f"p{n}" for n in range(10)]
    stage = replace(toy(prompts, UntimedOperator()), batch=1)
    found = performed(assignment(stage.operator, store), stage, store, task=1)
    assert [each.error for each in found] == [
        f"ZeroDivisionError: {prompt}" if prompt.startswith("foreign") else None for prompt in prompts
    ]


def test_a_machine_unlike_the_drivers_makes_nothing(store: Store, tmp_path: Path) -> None:
    stage = toy(["a"])
    found = performed(assignment(stage.operator, store, {**library_versions(), "torch": "1.0"}), stage, store)
    assert found[0].told is not None
    assert found[0].told.unfit
    assert "has torch 2." in str(found[0].told.error)
    assert "and the driver torch 1.0: images and scores could differ" in str(found[0].told.error)
    elsewhere = Assignment(pickle.dumps(stage.operator), str(tmp_path / "none"), "locks/x", "/", (), {})
    told = performed(elsewhere, stage, store)[0].told
    assert told is not None
    assert told.unfit
    assert f"does not see the store {tmp_path / 'none'}: give --audit-store a folder on a file system" in str(
        told.error
    )
    assert not (tmp_path / "none").exists()
    assert not kept_by(stage, store)


def test_batches_are_handed_out_whole_in_tasks_for_all_processes(store: Store) -> None:
    plan = RayEngine(settings=RaySettings(actors=3)).plan(toy([f"p{n}" for n in range(100)]), store)
    assert plan.workers == 3
    assert plan.wanted == 100
    assert [len(task) for task in plan.tasks] == [2] * 17
    assert [request.prompt for _, request in plan.tasks[0][1].entries] == ["p3", "p4", "p5"]
    few = RayEngine(settings=RaySettings(actors=8)).plan(toy(PROMPTS[:4]), store)
    assert (few.workers, [len(task) for task in few.tasks]) == (2, [1, 1])


@given(cpus=st.integers(1, 1024), gpus=st.integers(0, 16), share=st.sampled_from([0, 0.1, 0.25, 0.4, 1, 2]))
def test_a_node_has_room_for_as_many_as_fit_and_for_one_that_takes_all_of_it(
    cpus: int, gpus: int, share: float
) -> None:
    node = {"CPU": float(cpus), "GPU": float(gpus)}
    assert _fitting(node, {"CPU": float(cpus), "GPU": 0}) == 1
    assert _fitting(node, {"CPU": cpus + 0.01, "GPU": 0}) == 0
    assert _fitting(node, {"CPU": 0.5, "GPU": 0}) == 2 * cpus
    on_gpus = {0: cpus, 0.1: 10 * gpus, 0.25: 4 * gpus, 0.4: 2 * gpus, 1: gpus, 2: gpus // 2}[share]
    assert _fitting(node, {"CPU": 1, "GPU": share}) == min(cpus, on_gpus)


@pytest.mark.heavy
def test_here_as_many_processes_work_as_were_asked_for_and_none_waits_for_room_that_never_comes(
    store: Store, tmp_path: Path
) -> None:
    engine = RayEngine(settings=RaySettings(actors=3))
    try:
        engine.run(toy(PROMPTS, ToyOperator(seconds=0.5, log=tmp_path / "log")), store)
    finally:
        engine.close()
    begun = (tmp_path / "log").read_text().splitlines()
    assert len({line.partition("/")[0] for line in begun}) == 3
    engine = RayEngine(settings=RaySettings(actors=1, cpus=4096))
    try:
        with pytest.raises(InfrastructureError, match=r"no node of the cluster has 4096 CPUs .* set cpus= and gpus=\."):
            engine.run(toy(["one more"]), store)
    finally:
        engine.close()


def test_lines_of_ray_reach_its_own_files_and_nobody_else_while_a_pool_is_at_work() -> None:
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logger, listener = logging.getLogger("ray.data"), Listener()
    logger.addHandler(listener)
    try:
        with _unheard():
            logging.getLogger("ray.data._internal").error("within")
        logging.getLogger("ray.data._internal").error("after")
    finally:
        logger.removeHandler(listener)
    assert heard == ["after"]


def test_what_is_complete_or_must_stay_here_needs_no_cluster(store: Store) -> None:
    stage = toy(PROMPTS[:4])
    LocalEngine().run(stage, store)
    engine = RayEngine(settings=RaySettings(address="127.0.0.1:1"))
    engine.run(stage, store)
    engine.run(toy(PROMPTS[4:8], ToyOperator(portable=False)), store)
    assert len(kept_by(toy(PROMPTS), store)) == 8
    with pytest.raises(
        InfrastructureError, match=r"nothing answers at address '127\.0\.0\.1:1' .*HOST:PORT of the head"
    ):
        engine.run(toy(PROMPTS), store)


@pytest.fixture(params=[None, b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silent", "speaks HTTP"])
def listener(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that is no head of a cluster."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(100)
            if request.param is None:
                # Until who asked has given up.
                self.request.recv(1)
            else:
                self.request.sendall(request.param)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_server_that_is_no_head_of_a_cluster_is_told_in_seconds(
    listener: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_head, "_REACHED_WITHIN", 0.5)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    began = time.monotonic()
    with pytest.raises(EngineUnreachable, match=f"what listens at address '{listener}' is no head of a Ray cluster: g"):
        RayCluster(listener)
    assert time.monotonic() - began < 5


def test_a_cluster_that_was_not_reached_is_not_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    engine = RayEngine(settings=RaySettings(address="127.0.0.1:1"))
    with pytest.raises(EngineUnreachable, match="nothing answers"):
        engine.run(toy(PROMPTS), store)
    monkeypatch.delattr("socket.create_connection")
    with pytest.raises(InfrastructureError, match="cannot be reached, as was said of the first case"):
        engine.run(toy(PROMPTS), store)


@pytest.mark.parametrize(
    ("address", "error", "cause", "said"),
    [
        (
            "auto",
            "Could not find any running Ray instance. Set `--address`.",
            None,
            "'auto': this machine belongs to none",
        ),
        (
            "auto",
            "Failed to connect",
            "InvalidAuthToken: token is missing. RAY_AUTH_MODE is",
            "set RAY_AUTH_MODE=token, w",
        ),
        ("local", "one\nNo room left", None, "cannot start a cluster on this machine: No room left"),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_told_with_the_way_out(
    address: str, error: str, cause: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise ConnectionError(error) from (RuntimeError(cause) if cause else None)

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", refuse)
    with pytest.raises(InfrastructureError, match=said):
        RayCluster(address)


def test_an_installation_of_ray_that_is_broken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(InfrastructureError, match=r"Ray cannot be imported .*pip install 'aes-audit\[ray\]'"):
        RayCluster("local")


def test_without_ray_the_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'aes-audit\[ray\]'"):
        RayEngine()


def test_on_a_cluster_an_error_costs_its_batch_alone_and_is_raised_as_it_was(
    engine: RayEngine, store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stage = toy([*PROMPTS[:20], "changed", *PROMPTS[21:40], "foreign", *PROMPTS[41:]])
    with pytest.warns(ChangedImageWarning, match="changed"), pytest.raises(CorruptObject, match="changed") as raised:
        engine.run(stage, store)
    assert "toy_stage.py" in raised.value.__notes__[0]
    undisturbed = alone(toy(PROMPTS), tmp_path / "alone")
    failed = {*PROMPTS[18:21], *PROMPTS[39:42]}
    assert kept_by(stage, store) == {prompt: image for prompt, image in undisturbed.items() if prompt not in failed}
    rate = known_rate(store, stage.operator.identity, "cpu (toy)")
    assert rate is not None
    assert rate.items >= 54
    assert not list((store.local / "locks").glob("ray-*"))
    assert capfd.readouterr() == ("", "")
