"""`aes-audit collect` on every engine, disturbed and undisturbed: one table, and the same files in the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from evidence.process_tree import alive, descendants, wait_for
from evidence.tiny_audit import contents

from aes_audit.evidence.reading import read_evidence

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ("--model=control/faithful", "--audit-device=cpu", "--audit-health=off")
FOUR_PARTS = "--audit-pairs=49"
FEW = "--audit-pairs=17"
RAY = "--engine=ray[actors=2,cpus=0.5]"
COMMAND = "import sys; from aes_audit.command.main import main; sys.exit(main(sys.argv[1:]))"


def start(*arguments: object) -> subprocess.Popen[str]:
    """`aes-audit` with these arguments, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    """What it said on its way to exit code 0."""
    told, complaint = process.communicate(timeout=1500)
    assert process.returncode == 0, complaint
    return told + complaint


def collect(store: Path, *options: str) -> str:
    """Collect into a store, and leave the table beside it."""
    return finish(start("collect", *OPTIONS, FEW, f"--audit-store={store}", f"--output={store}.parquet", *options))


def table(store: Path) -> pd.DataFrame:
    """Everything the table of a store says, in an order of its own."""
    frame = read_evidence(Path(f"{store}.parquet")).frame
    return frame.astype(str).sort_values(list(frame.columns)).reset_index(drop=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The store of the local engine, with its table beside it, of so many pairs."""

    @cache
    def collected(pairs: str) -> Path:
        store = tmp_path_factory.mktemp("local") / "store"
        collect(store, pairs, "--engine=local")
        return store

    return collected


def assert_equal(one: Path, other: Path) -> None:
    """Every cell of the table, every image and every score are the same."""
    pd.testing.assert_frame_equal(table(one), table(other))
    assert contents(one) == contents(other)


def working(driver: int) -> list[int]:
    """The processes of the pool of a driver."""
    return [process for process, command in descendants(driver).items() if command.startswith("ray::MapWorker")]


def images(store: Path) -> int:
    """How many a store has."""
    return len(list((store / "images").rglob("*.json")))


def test_ray_and_four_shards_merged_make_what_the_local_engine_makes(
    tmp_path: Path, undisturbed: Callable[[str], Path]
) -> None:
    collect(tmp_path / "ray", FOUR_PARTS, RAY)
    assert_equal(tmp_path / "ray", undisturbed(FOUR_PARTS))
    shards = [tmp_path / str(number) for number in range(1, 5)]
    for number, shard in enumerate(shards, 1):
        finish(start("collect", *OPTIONS, FOUR_PARTS, f"--audit-store={shard}", f"--shard={number}/4"))
    finish(start("merge", *shards, "--into", tmp_path / "merged"))
    collect(tmp_path / "merged", FOUR_PARTS)
    assert_equal(tmp_path / "merged", undisturbed(FOUR_PARTS))


def test_a_process_killed_while_it_draws_changes_nothing(tmp_path: Path, undisturbed: Callable[[str], Path]) -> None:
    store = tmp_path / "store"
    driver = start("collect", *OPTIONS, FEW, f"--audit-store={store}", f"--output={store}.parquet", RAY)
    wait_for(lambda: images(store) >= 8, 300)
    victim = working(driver.pid)[0]
    os.kill(victim, signal.SIGKILL)
    finish(driver)
    assert not alive(victim)
    assert_equal(store, undisturbed(FEW))


@pytest.mark.parametrize("engine", [RAY, "--engine=local"])
def test_a_driver_killed_while_it_draws_goes_on_with_any_engine(
    engine: str, tmp_path: Path, undisturbed: Callable[[str], Path]
) -> None:
    store = tmp_path / "store"
    driver = start("collect", *OPTIONS, FEW, f"--audit-store={store}", RAY)
    wait_for(lambda: images(store) >= 8, 300)
    pool = working(driver.pid)
    assert pool
    driver.kill()
    driver.communicate()
    wait_for(lambda: not any(map(alive, pool)), 30)
    assert images(store) < images(undisturbed(FEW))
    collect(store, FEW, engine)
    assert_equal(store, undisturbed(FEW))
