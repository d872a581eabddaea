"""--audit-plan: what a run would do, said before it does it."""

from __future__ import annotations

import json

import pytest

from plugin.live import THRESHOLDS, LiveProject
from plugin.recorded import write_audits, write_thresholds


def test_a_plan_counts_what_the_store_lacks_and_does_nothing(live: LiveProject) -> None:
    store, results = live.root / ".aes_audit", live.root / "plan.json"
    result = live.run("--audit-plan", f"--audit-json={results}", "--audit-report=page", "-n0")
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes()
    result.stdout.fnmatch_lines(
        [
            "who * does * total * stored * to do * device time * bytes * USD",
            "./model * draws * 10 * 0 * 10 * unknown * unknown * -",
            "tiny/clip * scores, 20 answers * 10 * 0 * 10 * unknown * -",
            "tiny/judge * scores, 110 answers * 10 * 0 * 10 * unknown * -",
            "budget: no --audit-budget",
            "early stopping (curtail): every pair is needed",
        ]
    )
    assert not store.exists()
    assert not (live.root / "page").exists()
    assert json.loads(results.read_text())["plan"]["steps"][0]["device_seconds"] is None

    # Three of the five pairs are made for real; then they are known, and so is how long the others take.
    live.run("--audit-pairs=3").assert_outcomes(passed=1)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    assert live.run("--audit-plan", f"--audit-json={results}").ret == pytest.ExitCode.OK
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before
    drawn, scored, judged = json.loads(results.read_text())["plan"]["steps"]
    assert (drawn["total"], drawn["stored"]) == (10, 6)
    for step in (drawn, scored, judged):
        assert step["left"] == 4
        assert step["device_seconds"] == pytest.approx(4 / step["per_second"])
    files = [path.stat().st_size for path in (store / "blobs").rglob("*.png")]
    assert drawn["bytes"] == pytest.approx(4 * sum(files) / len(files))


def test_a_plan_says_what_early_stopping_may_save(live: LiveProject) -> None:
    rate = """
[[gates]]
profile = "tiny"
metric = "success_rate"
kind = "contractual"
at_least = 0.5
"""
    write_thresholds(live.root, THRESHOLDS + rate)
    write_audits(live.pytester, "success_rate")
    result = live.run("--audit-plan", "-k", "success_rate")
    result.stdout.fnmatch_lines(
        [
            "early stopping (curtail) of ./model: 5 of 5 pairs expected if its success rate is the threshold 0.5, "
            "5 if every pair fails"
        ]
    )


@pytest.mark.parametrize("option", ["--evidence=table.csv", "--snapshot-update"])
def test_a_plan_of_nothing_is_refused(live: LiveProject, option: str) -> None:
    result = live.run("--audit-plan", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --audit-plan*{option.partition('=')[0]}*"])
