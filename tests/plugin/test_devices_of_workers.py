"""-n: which workers there are, which device each of them sees, and who gets which cases."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import execnet
import pytest
from driver_folder import A100, H100, UUIDS, write_driver

from aes_audit import device, workers
from aes_audit.accelerators import VISIBLE, installed_gpus
from aes_audit.workers import THREADS, Workers, auto_workers
from plugin.live import CONFTEST, LiveProject

Install = Callable[..., None]

SAYING = """
import json, os, sys

def say(**said):
    with (HERE / "said.jsonl").open("a") as file:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        file.write(json.dumps({"worker": os.environ.get("PYTEST_XDIST_WORKER"), "sees": seen, **said}) + "\\n")

say(torch="torch" in sys.modules)
"""

AUDIT = """
import os

import pytest
from conftest import say

@pytest.mark.audit("quality_shift")
def test_shift(audit):
    say(subject=audit.case.subject)

@pytest.mark.audit("success_rate")
def test_success(audit):
    if audit.case.subject == "./third":
        say(dies=True)
        os._exit(1)
    say(subject=audit.case.subject)

@pytest.mark.audit("image_faults")
def test_faults(audit):
    say(subject=audit.case.subject)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make this a machine of eight processors with these devices."""
    for name in (VISIBLE, THREADS, "PYTEST_XDIST_AUTO_NUM_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(workers, "_processors", lambda: 8)

    def install(*models: str) -> None:
        driver = write_driver(tmp_path / "nvidia", models) if models else tmp_path / "none"
        monkeypatch.setattr(device, "DRIVER", driver)
        for module in (device, workers):
            monkeypatch.setattr(module, "installed_gpus", partial(installed_gpus, driver))

    return install


@pytest.mark.parametrize(
    ("models", "typed", "visible", "count"),
    [
        ([A100, H100], ("audits/",), None, 2),
        ([H100, H100], ("--model=control/faithful",), UUIDS[1], 1),
        ([H100, H100], ("audits/", "--audit-device=cpu"), None, 1),
        ([H100, H100], ("audits/",), "", 1),
        ([H100, H100], ("audits/", "--audit-device=cuda"), "", 1),
        ([H100, H100], ("tests/",), None, None),
        ([H100, H100], ("audits/", "--evidence=table.csv"), None, None),
        # An engine that spreads every model by itself needs no workers.
        ([H100, H100], ("audits/", "--engine=ray[actors=2]"), None, 0),
        ([], ("audits/",), None, 1),
        ([], ("audits/", "--audit-device=cuda"), None, 1),
        ([], ("audits/", "--audit-device=mps"), None, 1),
    ],
)
def test_auto_is_one_worker_per_device_that_audits_may_use(
    pytester: pytest.Pytester,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    models: list[str],
    typed: tuple[str, ...],
    visible: str | None,
    count: int | None,
) -> None:
    install(*models)
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    for folder in ("audits", "tests"):
        pytester.mkdir(folder)
    assert auto_workers(pytester.parseconfig("-n", "auto", *typed)) == count


def test_what_xdist_is_told_by_its_own_variable_counts(
    pytester: pytest.Pytester, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(H100, H100)
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "7")
    assert auto_workers(pytester.parseconfig("-n", "auto", "--model=control/faithful")) is None


def test_an_engine_that_spreads_every_model_is_not_started_by_every_worker(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--model=control/faithful", "--engine=ray[actors=2]", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--engine=ray?actors=2? spreads every model over its own processes*drop -n."])


def _given(count: int, where: str = "cuda", subjects: int = 8) -> list[dict[str, str | bool]]:
    specs = [execnet.XSpec("popen") for _ in range(count)]
    Workers.of(count, where, subjects).equip(specs)
    return [dict(spec.env) for spec in specs]


def test_more_workers_than_devices_take_turns_on_them(install: Install) -> None:
    install(A100, H100)
    assert [given[VISIBLE] for given in _given(5)] == [UUIDS[0], UUIDS[1], UUIDS[0], UUIDS[1], UUIDS[0]]
    assert Workers.of(5, "cuda", 5).header == "  workers: 5 on 2 devices, which they share"
    assert Workers.of(1, "cuda", 5).header == "  workers: 1 of 2 devices, one worker each"


def test_workers_stay_within_the_devices_that_the_user_has_chosen(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(H100, H100, H100, H100)
    monkeypatch.setenv(VISIBLE, "3,1")
    assert [given[VISIBLE] for given in _given(3)] == ["3", "1", "3"]


@pytest.mark.parametrize(("count", "subjects", "threads"), [(4, 8, "2"), (4, 2, "4"), (16, 20, "1"), (2, 0, "8")])
def test_workers_with_a_subject_share_the_processors(install: Install, count: int, subjects: int, threads: str) -> None:
    install()
    assert _given(count, "cpu", subjects) == [{THREADS: threads}] * count


def test_who_sets_the_number_of_threads_keeps_it(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    monkeypatch.setenv(THREADS, "3")
    assert _given(2, "cpu") == [{}, {}]
    assert Workers.of(2, "cpu", 2).header == "  workers: 2 on cpu"


def test_a_device_per_worker_from_its_start_also_for_who_replaces_it_and_a_model_in_one_place(
    live: LiveProject, install: Install
) -> None:
    install(A100, H100)
    for name in ("second", "third"):
        shutil.copytree(live.root / "model", live.root / name)
    live.pytester.makeconftest(CONFTEST + SAYING)
    (live.root / "test_quality_shift.py").write_text(AUDIT)
    models = [f"--model=./{name}" for name in ("model", "second", "third")]
    result = live.run(*models, "--audit-device=cuda", "-n", "auto")
    result.stdout.fnmatch_lines(["*workers: 2 devices, one worker each"])
    result.assert_outcomes(passed=8, failed=1)

    said = [json.loads(line) for line in (live.root / "said.jsonl").read_text().splitlines()]
    started = {each["worker"]: each for each in said if "torch" in each and each["worker"]}
    (dead,) = (each for each in said if "dies" in each)
    assert {name: started[name]["sees"] for name in ("gw0", "gw1")} == {"gw0": UUIDS[0], "gw1": UUIDS[1]}
    assert started["gw2"]["sees"] == dead["sees"], "who takes the place of a dead worker has its device"
    assert not any(each["torch"] for each in started.values()), "the device is chosen before torch is imported"
    places = {(each["subject"], each["worker"]) for each in said if each.get("subject") in ("./model", "./second")}
    assert sorted(places) in ([("./model", a), ("./second", b)] for a, b in (("gw0", "gw1"), ("gw1", "gw0")))
    assert sum(each.get("subject") == "./third" for each in said) == 2
    assert VISIBLE not in os.environ
