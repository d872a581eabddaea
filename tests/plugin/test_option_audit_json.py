"""--audit-json: the results file."""

from __future__ import annotations

import json

import pytest

from plugin.conftest import Run

FIELDS = {
    "audit", "metric", "model", "base_model", "set", "scorer", "group", "n", "missing", "estimate", "interval",
    "confidence", "statistic", "p_value", "effect_r", "rank_biserial", "threshold", "baseline", "verdict",
}  # fmt: skip


def test_the_file_is_written_even_when_audits_fail(judged: Run, pytester: pytest.Pytester) -> None:
    result = judged("--audit-json=deep/er/out.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    written = json.loads((pytester.path / "deep/er/out.json").read_text())
    assert written["schema"] == 1
    assert {entry["verdict"] for entry in written["measurements"]} == {"pass", "fail", "inconclusive"}
    assert all(set(entry) >= FIELDS for entry in written["measurements"])
    assert written["run"]["libraries"]["scipy"]


def test_a_file_that_cannot_be_written_is_said_in_one_line(judged: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "file").write_text("in the way")
    result = judged("--model=good", "--audit-json=file/out.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: results file *file/out.json cannot be written*"])


def test_workers_report_to_the_controller(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--audit-json=one.json", "-n0")
    judged("--audit-json=two.json", "-n2")
    one, two = (json.loads((pytester.path / name).read_text())["measurements"] for name in ("one.json", "two.json"))
    assert sorted(one, key=str) == sorted(two, key=str)
    assert len(one) == 3
