"""A run folder is read back, and what is none is said in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugin.recorded import rows_of

from aes_audit.errors import UsageError
from aes_audit.evidence.table import Evidence
from aes_audit.report.run_folder import (
    EVIDENCE,
    PAGE,
    RESULTS,
    RunFolder,
    prepare_folder,
    refuse_within,
    replaced_folder,
)

RUN = {"schema": 1, "run": {"profile": "control"}, "measurements": [{"metric": "success_rate"}]}


def test_a_folder_gives_results_and_evidence(tmp_path: Path) -> None:
    (tmp_path / RESULTS).write_text(json.dumps(RUN))
    table = Evidence.from_rows(rows_of("good", success=0.8, shift=-1.0, items=3))
    table.to_parquet(tmp_path / EVIDENCE)
    run = RunFolder.read(tmp_path)
    assert run.run == RUN["run"]
    assert run.measurements == RUN["measurements"]
    assert run.evidence() == table


def test_a_results_file_alone_is_a_run_without_evidence(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text(json.dumps(RUN))
    Evidence.from_rows(rows_of("good", success=0.8, shift=-1.0, items=3)).to_parquet(tmp_path / EVIDENCE)
    assert RunFolder.read(tmp_path / "out.json").evidence() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "run": {}}', "[" * 100_000])
def test_what_is_no_run_is_said_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / RESULTS).write_text(text)
    with pytest.raises(UsageError, match=r"is no run: .* Give a folder that --audit-report wrote"):
        RunFolder.read(tmp_path)
    with pytest.raises(UsageError, match=r"absent.* cannot be read: No such file"):
        RunFolder.read(tmp_path / "absent")


def test_a_run_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    target = tmp_path / "report"
    for text in ("first", "second"):
        with replaced_folder(target) as folder:
            assert not (target / PAGE).exists() or (target / PAGE).read_text() == "first"
            (folder / PAGE).write_text(text)
            (folder / RESULTS).write_text(json.dumps(RUN))
    with pytest.raises(UsageError, match="cannot be written"), replaced_folder(target):
        raise OSError(28, "No space left on device")
    assert (target / PAGE).read_text() == "second"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(UsageError, match="holds other files"):
        prepare_folder(tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        prepare_folder(tmp_path / "thesis.tex")


def test_a_run_with_other_files_beside_it_is_not_replaced(tmp_path: Path) -> None:
    for name in (PAGE, RESULTS, EVIDENCE, ".DS_Store"):
        (tmp_path / name).write_text("")
    prepare_folder(tmp_path)
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(UsageError, match="holds other files"):
        prepare_folder(tmp_path)


def test_a_link_to_a_run_stays_one(tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(tmp_path / "there")
    for text in ("first", "second"):
        with replaced_folder(tmp_path / "here") as folder:
            (folder / PAGE).write_text(text)
            (folder / RESULTS).write_text(json.dumps(RUN))
    assert (tmp_path / "there" / PAGE).read_text() == "second"
    assert {path.name for path in tmp_path.iterdir()} == {"here", "there"}


def test_nothing_else_is_written_into_a_folder_that_is_replaced(tmp_path: Path) -> None:
    report = tmp_path / "report"
    refuse_within(report, {"--audit-json": tmp_path / "report.json", "--junitxml": None})
    for inside in ("report/out.json", "report", "other/../report/deep/out.json"):
        with pytest.raises(UsageError, match=r"--audit-json .* lies in --audit-report .*report, which is replaced"):
            refuse_within(report, {"--audit-json": tmp_path / inside})
