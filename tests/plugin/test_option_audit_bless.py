"""--audit-bless: no baseline without a reason, and none from a measurement that does not deserve it."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from plugin.conftest import Run
from plugin.live import FILE as LIVE_FILE
from plugin.live import LiveProject
from plugin.recorded import THRESHOLDS, rows_of, write_audits, write_evidence, write_thresholds

FILE = "baselines/good/success_rate.json"
BLESS = ("--snapshot-update", "--audit-bless=the first release")
NEEDED = 'ERROR: --snapshot-update would write baselines of audits: say why with --audit-bless "reason".'


@pytest.mark.parametrize("how", [(), ("-n2",), ("--snapshot-update-new-only",)])
def test_baselines_are_not_written_without_a_reason(
    judged: Run, pytester: pytest.Pytester, how: tuple[str, ...]
) -> None:
    update = how if "--snapshot-update-new-only" in how else ("--snapshot-update", *how)
    result = judged("--model=good", *update)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([NEEDED])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "passed" not in result.stdout.str()
    assert not (pytester.path / "baselines").exists()


def test_workers_that_find_audits_unasked_measure_and_write_nothing(judged: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naudit_evidence = table.csv\naudit_model = good")
    result = pytester.runpytest("--snapshot-update", "-n1")
    assert result.ret != pytest.ExitCode.OK
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*--snapshot-update of an audit needs --audit-bless*"])
    assert not (pytester.path / "baselines").exists()


def test_other_tests_update_their_snapshots_without_a_reason(judged: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_words="def test_words(snapshot):\n    assert snapshot == 'words'\n")
    judged("--snapshot-update", "test_words.py").assert_outcomes(passed=1)
    judged("--snapshot-update", "-k", "words").assert_outcomes(passed=1, deselected=3)
    assert (pytester.path / "__snapshots__").is_dir()
    judged("test_words.py").assert_outcomes(passed=1)


@pytest.mark.parametrize("reason", ["", "  "])
def test_an_empty_reason_is_none(judged: Run, reason: str) -> None:
    result = judged("--snapshot-update", f"--audit-bless={reason}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--audit-bless: invalid value*say in a few words why*"])


def test_a_reason_alone_blesses_nothing(judged: Run) -> None:
    result = judged("--audit-bless=new weights")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --audit-bless blesses nothing without --snapshot-update."])


def test_the_file_says_what_was_measured_on_what_by_whom_and_why(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", *BLESS).assert_outcomes(passed=1)
    text = (pytester.path / FILE).read_text()
    (kept,) = json.loads(text).values()
    assert (kept["subject"], kept["metric"], kept["scorer"]) == ("good", "success_rate", "preference/judge")
    assert (kept["n"], kept["planned"]) == (100, 100)
    assert sum(kept["items"]["values"]) == 80
    # People review the change: a hundred values are one line of it.
    assert len(text.splitlines()) < 60
    provenance = kept["provenance"]
    assert provenance["reason"] == "the first release"
    assert provenance["by"]
    assert provenance["command"][0] == "pytest"
    assert "--audit-bless=the first release" in provenance["command"]
    assert datetime.fromisoformat(provenance["date"])
    assert provenance["aes_audit"]
    assert provenance["evidence"].endswith("table.csv")


def test_a_blessing_replaces_the_reason_of_the_one_before(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", *BLESS)
    judged("--model=good", "--snapshot-update", "--audit-bless=new weights").assert_outcomes(passed=1)
    (kept,) = json.loads((pytester.path / FILE).read_text()).values()
    assert kept["provenance"]["reason"] == "new weights"


@pytest.mark.parametrize("policy", ["fail", "warn", "skip"])
def test_failing_and_inconclusive_measurements_are_refused_one_line_each(
    judged: Run, pytester: pytest.Pytester, policy: str
) -> None:
    result = judged(*BLESS, f"--audit-inconclusive={policy}")
    result.assert_outcomes(passed=1, failed=2)
    lines = result.stdout.str().splitlines()
    for verdict in ("fail", "inconclusive"):
        assert len([line for line in lines if line.startswith(f"not blessed, because its verdict is {verdict}.")]) == 1
    assert [path.name for path in (pytester.path / "baselines").iterdir()] == ["good"]


def test_an_error_is_refused_and_leaves_the_old_baseline(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", *BLESS)
    before = (pytester.path / FILE).read_bytes()
    rows = [dict(row) for row in rows_of("good", success=0.8, shift=-2.0)]
    for row in [row for row in rows if row["scorer"] == "preference/judge"][:30]:
        row.update(value=None, error="out of memory")
    write_evidence(pytester.path / "table.csv", rows)
    result = judged("--model=good", "--snapshot-update", "--audit-bless=new weights")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not blessed, because its verdict is error.*30 of 100 items are missing*"])
    assert (pytester.path / FILE).read_bytes() == before


def test_a_measurement_with_a_missing_item_is_refused(judged: Run, pytester: pytest.Pytester) -> None:
    rows = [dict(row) for row in rows_of("good", success=0.8, shift=-2.0)]
    next(row for row in rows if row["scorer"] == "preference/judge").update(value=None, error="black image")
    write_evidence(pytester.path / "table.csv", rows)
    result = judged("--model=good", *BLESS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not blessed, because 1 of 100 items are missing.*"])


def test_another_prompt_set_needs_the_old_file_removed(judged: Run, pytester: pytest.Pytester) -> None:
    judged("--model=good", *BLESS)
    before = (pytester.path / FILE).read_bytes()
    write_evidence(pytester.path / "table.csv", rows_of("good", success=0.8, shift=-2.0, items=90))
    result = judged("--model=good", "--snapshot-update", "--audit-bless=new prompts")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["not blessed, because the prompt set is not that of the old baseline; if that is meant, remove *good*json*"]
    )
    assert (pytester.path / FILE).read_bytes() == before
    (pytester.path / FILE).unlink()
    judged("--model=good", "--snapshot-update", "--audit-bless=new prompts").assert_outcomes(passed=1)


def test_two_subjects_whose_names_make_one_folder_do_not_overwrite_each_other(
    judged: Run, pytester: pytest.Pytester
) -> None:
    write_evidence(
        pytester.path / "table.csv",
        rows_of("a/b", success=0.8, shift=-2.0),
        rows_of("a-b", success=0.9, shift=-2.0),
    )
    judged("--model=a/b", *BLESS).assert_outcomes(passed=1)
    result = judged("--model=a-b", *BLESS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not blessed, because *a-b/success_rate.json holds the baseline of subject 'a/b'*"])
    result = judged("--model=a-b")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not comparable with its baseline: subject was a/b, is a-b*"])


def test_a_report_only_gate_is_compared_and_stays_green(judged: Run, pytester: pytest.Pytester) -> None:
    write_thresholds(pytester.path, THRESHOLDS.replace("at_least = 0.5", "at_least = 0.5\nadvisory = true"))
    judged("--model=good", *BLESS).assert_outcomes(passed=1)
    write_evidence(pytester.path / "table.csv", rows_of("good", success=0.2, shift=-2.0))
    judged("--model=good", "--audit-json=results.json").assert_outcomes(passed=1)
    (entry,) = json.loads((pytester.path / "results.json").read_text())["measurements"]
    assert (entry["verdict"], entry["baseline"]["verdict"]) == ("advisory", "fail")


def test_a_run_of_fewer_pairs_than_planned_is_refused_and_a_whole_one_names_its_instruments(live: LiveProject) -> None:
    result = live.run("--audit-pairs=4", *BLESS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not blessed, because the run is partial: 4 pairs, profile 'tiny' plans 5.*"])
    live.run(*BLESS).assert_outcomes(passed=1)
    (kept,) = json.loads((live.root / LIVE_FILE).read_text()).values()
    assert kept["prompts"]["pairs"] == 5
    assert list(kept["instruments"]) == ["tiny/clip"]
    assert set(kept["provenance"]["models"]) == {"./model", "tiny/clip"}
    assert kept["provenance"]["device"].startswith("cpu (")
    assert kept["provenance"]["libraries"]["torch"]
    assert len(kept["provenance"]["seeds"]["images"]) == 64

    # Another scorer revision measures something else.
    settings = live.root / "clip" / "preprocessor_config.json"
    settings.write_text(settings.read_text().replace("0.5", "0.4"))
    result = live.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not comparable with its baseline: instruments tiny/clip was *, is *"])


def test_early_stopping_is_off_while_blessing_and_where_a_baseline_waits(live: LiveProject) -> None:
    write_audits(live.pytester, "success_rate")
    gate = live.root / "audits" / "thresholds.toml"
    # Looks happen every 16 pairs: whole batches of every stage.
    promise = gate.read_text().replace('"quality_shift"', '"success_rate"').replace("at_most = 1000", "at_least = 0")
    gate.write_text(promise.replace("pairs = 5", "pairs = 20"))
    audit = "test_success_rate.py"

    live.run(audit, "--audit-json=results.json").assert_outcomes(passed=1)
    (entry,) = json.loads((live.root / "results.json").read_text())["measurements"]
    assert entry["details"]["early_stop"]
    result = live.run(audit, "--audit-early-stop=curtail", *BLESS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not blessed, because it was stopped early at 16 of 20 items; run it whole*"])

    live.run(audit, *BLESS).assert_outcomes(passed=1)
    live.run(audit, "--audit-json=results.json").assert_outcomes(passed=1)
    (entry,) = json.loads((live.root / "results.json").read_text())["measurements"]
    assert "early_stop" not in entry["details"]
    assert entry["n"] == 20
    assert entry["baseline"]["verdict"] == "pass"
