"""--audit-report: the run folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from aes_audit.report.run_folder import RunFolder
from plugin.conftest import Run
from plugin.live import LiveProject


def test_the_folder_is_whole_also_when_audits_fail_and_its_evidence_gives_the_same_numbers(
    judged: Run, pytester: pytest.Pytester
) -> None:
    result = judged("--audit-report=deep/report", "--audit-json=out.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["report: *deep/report/index.html"])
    run = RunFolder.read(pytester.path / "deep/report")
    assert run.results == json.loads((pytester.path / "out.json").read_text())
    assert run.run["interrupted"] is False
    html = (run.path / "index.html").read_text()
    assert "FAIL: bad is aesthetically over-aligned" in html
    assert "recorded evidence, which holds scores and no pictures" in html
    assert "<img" not in html

    pytester.runpytest("--evidence=deep/report/evidence.parquet", "--audit-json=again.json", "-p", "no:cacheprovider")
    again = RunFolder.read(pytester.path / "again.json")
    for one, two in zip(run.measurements, again.measurements, strict=True):
        assert (one["subject"], one["estimate"], one["interval"]) == (two["subject"], two["estimate"], two["interval"])


def test_a_run_that_is_stopped_leaves_what_there_is(judged: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_zz="import pytest\n\ndef test_stop():\n    pytest.exit('enough')\n")
    assert judged("--audit-report=report").ret == pytest.ExitCode.INTERRUPTED
    run = RunFolder.read(pytester.path / "report")
    assert run.run["interrupted"] is True
    assert len(run.measurements) == 3
    assert "<strong>Interrupted.</strong>" in (run.path / "index.html").read_text()


def test_a_place_that_cannot_be_written_ends_the_run_with_one_sentence(judged: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "mine").mkdir()
    (pytester.path / "mine/notes.txt").write_text("years of work")
    result = judged("--audit-report=mine")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --audit-report *mine holds other files*name a new folder."])
    assert (pytester.path / "mine/notes.txt").read_text() == "years of work"


@pytest.mark.parametrize("option", ["--audit-json=report/out.json", "--junitxml=report/junit.xml"])
def test_a_file_inside_of_the_report_ends_the_run_before_it_begins(judged: Run, option: str) -> None:
    result = judged("--audit-report=report", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {option.partition('=')[0]} *lies in --audit-report *"])


def test_a_run_that_is_judged_again_is_not_replaced_by_one_without_pictures(
    judged: Run, pytester: pytest.Pytester
) -> None:
    judged("--audit-report=report", "--model=good")
    before = (pytester.path / "report/index.html").read_bytes()
    result = pytester.runpytest("--evidence=report/evidence.parquet", "--audit-report=report")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --evidence *lies in --audit-report *name another place."])
    assert (pytester.path / "report/index.html").read_bytes() == before


def test_a_place_that_is_lost_on_the_way_is_said_in_one_sentence(judged: Run, pytester: pytest.Pytester) -> None:
    block = "import pathlib\n\ndef test_block():\n    pathlib.Path('report').write_text('in the way')\n"
    pytester.makepyfile(test_aa=block)
    result = judged("--audit-report=report", "--model=good")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["ERROR: report *report cannot be written: *Give another --audit-report."])


def test_the_ini_twin_writes_it_too(judged: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naudit_report = from-ini\n")
    judged("--model=good")
    assert RunFolder.read(pytester.path / "from-ini").measurements


@pytest.mark.heavy
def test_workers_hand_their_evidence_to_the_controller(live: LiveProject, tmp_path: Path) -> None:
    live.run("--audit-report=one", "-n0")
    live.run("--audit-report=two", "-n2")
    one, two = (RunFolder.read(live.root / name) for name in ("one", "two"))
    assert one.evidence() == two.evidence() is not None
    assert [entry["estimate"] for entry in one.measurements] == [entry["estimate"] for entry in two.measurements]
    assert not list((live.root / ".aes_audit/locks").glob("evidence-*"))
    pictures = [sorted(file.name for file in (run.path / "images").iterdir()) for run in (one, two)]
    assert pictures[0] == pictures[1] != []


@pytest.mark.heavy
def test_what_a_worker_cannot_hand_over_is_said_once_every_audit_is_done(live: LiveProject) -> None:
    refuse = """
import os

from aes_audit.errors import UsageError
from aes_audit.report.handover import Handover

def give(self, tables):
    raise UsageError("evidence for the report cannot be kept: no space left.")

if "PYTEST_XDIST_WORKER" in os.environ:
    Handover.give = give
"""
    conftest = live.root / "conftest.py"
    conftest.write_text(conftest.read_text() + refuse)
    live.pytester.makepyfile(test_zz="def test_after():\n    pass\n")
    result = live.run("--audit-report=report", "-n1")
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["ERROR: evidence for the report cannot be kept: no space left."])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


@pytest.mark.heavy
def test_a_picture_that_left_the_store_is_shown_as_missing(live: LiveProject) -> None:
    live.run("--audit-report=report")
    whole = (live.root / "report/index.html").read_text()
    assert "not in the store any more" not in whole
    lose = "\n\ndef pytest_runtest_logfinish():\n    next((HERE / '.aes_audit/blobs').rglob('*.png')).unlink()\n"
    conftest = live.root / "conftest.py"
    conftest.write_text(conftest.read_text() + lose)
    result = live.run("--audit-report=report")
    assert result.ret == pytest.ExitCode.OK
    told = re.search(
        r"(\d+) of (\d+) pictures are not in the store any more", (live.root / "report/index.html").read_text()
    )
    assert told is not None
    assert told[1] == "1"
