"""A run that somebody stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from evidence.process_tree import wait_for
from evidence.troubled_service import Trouble, troubled
from object_servers import S3Service

from plugin.conftest import Run
from plugin.live import LiveProject

STOP = "import pytest\n\ndef test_stop():\n    pytest.exit('enough')\n"


def test_it_says_that_the_same_command_goes_on_and_where_its_images_are(live: LiveProject) -> None:
    live.pytester.makepyfile(test_aa=STOP)
    result = live.run("--model=./model")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["interrupted: the same command goes on with what is kept in *.aes_audit"])


def test_recorded_evidence_keeps_nothing_to_go_on_with(judged: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_zz=STOP)
    judged().stdout.no_fnmatch_line("interrupted: *")


@pytest.fixture
def trouble(s3: str, s3_service: S3Service) -> Iterator[Trouble]:
    with troubled(s3_service.url) as trouble:
        yield trouble


def _begin(live: LiveProject, address: str, trouble: Trouble) -> subprocess.Popen[str]:
    """A run, up to the first request that is not answered."""
    options = (
        "--profile=tiny",
        "--model=./model",
        "--audit-device=cpu",
        "--audit-health=off",
        "-p",
        "no:cacheprovider",
    )
    environment = {"AWS_ENDPOINT_URL": trouble.url, "XDG_CACHE_HOME": str(live.root / "cache")}
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, f"--audit-store={address}", "--audit-json=results.json"],
        cwd=live.root, env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: trouble.happened or run.poll() is not None)
    # Until everybody waits.
    time.sleep(1)
    return run


@pytest.mark.heavy
def test_a_run_whose_images_cannot_be_written_is_stopped_within_seconds_and_leaves_its_results(
    live: LiveProject, s3: str, trouble: Trouble
) -> None:
    # The probes and a few images pass; then a thread waits that writes them while others are drawn.
    trouble.method, trouble.how, trouble.after, trouble.times = "PUT", "hang", 8, 1000
    run = _begin(live, s3, trouble)
    asked_at = time.monotonic()
    run.send_signal(signal.SIGINT)
    told, complaint = run.communicate(timeout=100)
    assert time.monotonic() - asked_at < 15
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert not complaint
    assert f"interrupted: the same command goes on with what is kept in {s3}" in told
    results = json.loads((live.root / "results.json").read_text())
    assert results["run"]["interrupted"]
    assert results["run"]["changed_images"] == 0


@pytest.mark.heavy
def test_whoever_stops_a_run_twice_reads_a_sentence_and_no_traceback(
    live: LiveProject, s3: str, trouble: Trouble
) -> None:
    trouble.method, trouble.how, trouble.after, trouble.times = "GET", "hang", 6, 1000
    run = _begin(live, s3, trouble)
    before = trouble.happened
    run.send_signal(signal.SIGINT)
    # For its results the run asks what has changed, and waits again.
    wait_for(lambda: trouble.happened > before or run.poll() is not None, 10)
    run.send_signal(signal.SIGINT)
    told, complaint = run.communicate(timeout=100)
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert not complaint
    assert "ERROR: stopped before all that was asked for was written: the same command writes it." in told
