"""Collecting in processes of their own: killed at any moment, or two at the same work."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pandas as pd
import pytest
from evidence.tallied_audit import TalliedAudit
from evidence.tiny_audit import TinyAudit, collect_to, contents

from aes_audit.evidence.table import Evidence

KILLS = 6


@pytest.fixture(scope="module")
def audit(tiny_pipeline: Path, tiny_clip: Path, tiny_judge: Path) -> TinyAudit:
    """The tiny models."""
    return TinyAudit(tiny_pipeline, tiny_clip, tiny_judge)


@pytest.fixture(scope="module")
def undisturbed(audit: TinyAudit, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Path]:
    """What a run finds that nobody disturbs, and its store."""
    root = tmp_path_factory.mktemp("undisturbed")
    return audit.collect(root), root


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServerContext]:
    """Starts processes that have imported torch already: a kill then hits the work and not the imports."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system has no fork server")
    with pytest.MonkeyPatch.context() as patch:
        here = str(Path(__file__).resolve().parents[1])
        patch.setenv("PYTHONPATH", os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])]))
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["evidence.tallied_audit"])
        yield context


def test_killed_at_random_moments_a_run_still_ends_where_an_undisturbed_one_does(
    processes: ForkServerContext, audit: TinyAudit, undisturbed: tuple[Evidence, Path], tmp_path: Path
) -> None:
    result = tmp_path / "timed.parquet"
    worker = processes.Process(target=collect_to, args=(audit, tmp_path / "timed", result))
    worker.start()
    worker.join()
    started = time.monotonic()
    worker = processes.Process(target=collect_to, args=(audit, tmp_path / "timed again", result))
    worker.start()
    worker.join()
    whole = time.monotonic() - started
    moments, store = random.Random(0), tmp_path / "store"
    ends = []
    for number in range(KILLS):
        worker = processes.Process(target=collect_to, args=(audit, store, tmp_path / "killed.parquet"))
        worker.start()
        assert worker.pid
        worker.join(moments.uniform(number, number + 1) / KILLS * whole)
        if worker.is_alive():
            os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        ends.append(worker.exitcode)
    assert set(ends) <= {0, -signal.SIGKILL}
    assert ends[0] == -signal.SIGKILL, "the first kill comes long before the end"
    assert audit.collect(store) == undisturbed[0]
    assert contents(store) == contents(undisturbed[1])


def test_two_runs_at_once_find_the_same_and_leave_one_result(
    processes: ForkServerContext, audit: TinyAudit, undisturbed: tuple[Evidence, Path], tmp_path: Path
) -> None:
    results = [tmp_path / f"{number}.parquet" for number in range(2)]
    workers = [processes.Process(target=collect_to, args=(audit, tmp_path / "store", result)) for result in results]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert all(Evidence(pd.read_parquet(result)) == undisturbed[0] for result in results)
    assert contents(tmp_path / "store") == contents(undisturbed[1])


@pytest.mark.heavy
def test_killed_twenty_times_a_run_draws_nothing_again_but_what_was_in_flight_and_leaves_no_stray_file(
    processes: ForkServerContext, audit: TinyAudit, tmp_path: Path
) -> None:
    expected = TalliedAudit(audit, tmp_path / "undisturbed.txt")
    started = time.monotonic()
    whole = expected.collect(tmp_path / "undisturbed")
    seconds = time.monotonic() - started
    killed, store = TalliedAudit(audit, tmp_path / "killed.txt"), tmp_path / "store"
    moments, ends = random.Random(1), list[int | None]()
    killed.tally.touch()
    while ends.count(-signal.SIGKILL) < 20:
        worker = processes.Process(target=killed.collect_to, args=(store, tmp_path / "killed.parquet"))
        worker.start()
        assert worker.pid
        worker.join(moments.uniform(0, seconds / 3))
        if worker.is_alive():
            os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        ends.append(worker.exitcode)
        if ends[-1] == 0:
            # It ended before the kill: begin anew, so that all kills hit a run that has work to do.
            shutil.rmtree(store)
            killed.tally.write_text("")
    assert set(ends) <= {0, -signal.SIGKILL}
    assert killed.collect(store) == whole
    assert contents(store) == contents(tmp_path / "undisturbed")
    assert not list(store.rglob("*.tmp"))
    by_process = list(killed.begun().values())
    assert by_process, "something was drawn"
    for number, prompts in enumerate(by_process):
        for later in by_process[number + 1 :]:
            # One image may be drawn and another one on its way to the disk when the process is killed.
            assert not set(prompts[:-2]) & set(later)
