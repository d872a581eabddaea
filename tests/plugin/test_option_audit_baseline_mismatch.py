"""--audit-baseline-mismatch: what a baseline of other hardware or library versions means."""

from __future__ import annotations

import json

import pytest

from plugin.conftest import Run
from plugin.live import FILE, LiveProject


def test_a_baseline_of_other_hardware_is_named_and_handled_by_the_policy(live: LiveProject) -> None:
    live.run("--snapshot-update", "--audit-bless=first release").assert_outcomes(passed=1)
    result = live.run()
    result.assert_outcomes(passed=1)
    assert "other circumstances" not in result.stdout.str()

    file = live.root / FILE
    entries = json.loads(file.read_text())
    (entry,) = entries.values()
    entry["provenance"]["device"] = "cuda (NVIDIA H100 80GB HBM3)"
    entry["provenance"]["libraries"]["torch"] = "2.7.0"
    file.write_text(json.dumps(entries))
    result = live.run()
    result.assert_outcomes(passed=1)
    circumstances = "*device was cuda (NVIDIA H100 80GB HBM3), is cpu (*); libraries torch was 2.7.0, is *"
    result.stdout.fnmatch_lines([f"baseline of ./model: quality_shift by tiny/clip: blessed under {circumstances}"])

    result = live.run("--audit-baseline-mismatch=error")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*not comparable with its baseline, which was blessed under {circumstances}"])

    entry["estimate"] -= 1.0
    entry["items"]["values"] = [value - 1.0 for value in entry["items"]["values"]]
    file.write_text(json.dumps(entries))
    for policy, outcome in (("compare", {"failed": 1}), ("warn", {"passed": 1, "warnings": 1})):
        result = live.run(f"--audit-baseline-mismatch={policy}")
        result.assert_outcomes(**outcome)
        result.stdout.fnmatch_lines([f"*worse than its baseline: old *, new *, tolerance 0.001*{circumstances}"])


def test_a_policy_that_does_not_exist_is_refused_with_the_choices(judged: Run) -> None:
    result = judged("--audit-baseline-mismatch=ignore")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--audit-baseline-mismatch: invalid value 'ignore': choose compare, warn, error"])


def test_the_ini_file_may_hold_the_policy(judged: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naudit_baseline_mismatch = ignore")
    result = judged()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: ini key audit_baseline_mismatch: invalid value 'ignore'*"])
