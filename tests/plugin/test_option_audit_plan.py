"""--audit-plan: what a run would do, said before it does it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

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
            "who * does * total * stored * to do * passes * device time * bytes * USD",
            "./model * draws * 10 * 0 * 10 * 20 * unknown * unknown * -",
            "tiny/clip * scores, 20 answers * 10 * 0 * 10 * 20 * unknown * -",
            "tiny/judge * scores, 110 answers * 10 * 0 * 10 * 110 * unknown * -",
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
        assert step["device_seconds"] == pytest.approx(step["run"] / step["per_second"])
    files = [path.stat().st_size for path in (store / "blobs").rglob("*.png")]
    assert drawn["bytes"] == pytest.approx(4 * sum(files) / len(files))


def test_a_plan_goes_by_what_the_run_will_put_through_the_models(live: LiveProject) -> None:
    store, results = live.root / ".aes_audit", live.root / "plan.json"
    options = ("--audit-batch-size=4", "--audit-pairs=5")
    live.run("--audit-batch-size=4", "--audit-pairs=3").assert_outcomes(passed=1)
    # Of the plan's first batch one image is lost; those of five pairs are other batches than those of three.
    live.run(*options).assert_outcomes(passed=1)
    sorted((store / "images").rglob("*.json"))[0].unlink()
    for scores in sorted((store / "scores").rglob("*.json"))[:3]:
        scores.unlink()

    plan = live.run("--audit-plan", f"--audit-json={results}", *options)
    plan.stdout.fnmatch_lines(["./model * draws * 10 * 9 * 1, 4 run * 8 * -", "run: so many go through the model*"])
    steps = json.loads(results.read_text())["plan"]["steps"]
    before = timed(store)
    live.run(*options).assert_outcomes(passed=1)
    after = timed(store)
    run = sorted(step["run"] for step in steps)
    assert sorted(items - before[key] for key, items in after.items()) == run
    assert max(run) > max(step["left"] for step in steps)
    answers = {"./model": 2, "tiny/clip": 2, "tiny/judge": 11}
    for step in steps:
        assert step["forward_passes"] == step["run"] * answers[step["who"]]
        assert step["device_seconds"] == pytest.approx(step["run"] / step["per_second"])


def timed(store: Path) -> dict[str, int]:
    """Images that went through each model so far."""
    records = {file.stem: json.loads(file.read_text())["record"] for file in (store / "rates").rglob("*.json")}
    return {key: sum(rate["items"] for rate in record["devices"].values()) for key, record in records.items()}


def test_a_store_that_cannot_be_used_is_refused_as_a_run_refuses_it(live: LiveProject) -> None:
    (live.root / "notes.md").write_text("no store")
    refused = [
        live.run("--model=./model", *options, "--audit-store=notes.md").stderr.str().strip().splitlines()
        for options in ([], ["--audit-plan"])
    ]
    assert refused[0] == refused[1]
    assert len(refused[0]) == 1
    assert live.run("--model=./model", "--audit-plan", "--audit-store=notes.md").ret == pytest.ExitCode.USAGE_ERROR

    # What goes wrong only while things are looked up is one sentence too.
    live.run("--audit-pairs=3").assert_outcomes(passed=1)
    scores = live.root / ".aes_audit" / "scores"
    shutil.rmtree(scores)
    scores.write_text("a file where records should be")
    result = live.run("--audit-plan")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: store: cannot use *a file is in the place of the folder*"])
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


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
