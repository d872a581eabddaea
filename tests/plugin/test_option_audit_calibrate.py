"""--audit-calibrate: the audit is repeated, its mean becomes the baseline and its noise the tolerance."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from aes_audit.evidence.store import Store
from aes_audit.statistics.repeatability import tolerance_factor
from plugin.conftest import Run
from plugin.live import FILE, LiveProject

BLESS = ("--snapshot-update", "--audit-bless=first release")


def kept_by(live: LiveProject) -> dict[str, Any]:
    """The only entry of the baseline."""
    (entry,) = json.loads((live.root / FILE).read_text()).values()
    assert isinstance(entry, dict)
    return entry


def test_a_worker_calibrates_as_one_process_does(live: LiveProject) -> None:
    live.run("--audit-calibrate=regenerate:2", "-n1", *BLESS).assert_outcomes(passed=1)
    distributed = kept_by(live)["calibration"]
    live.run("--audit-calibrate=regenerate:2", *BLESS).assert_outcomes(passed=1)
    assert kept_by(live)["calibration"] == distributed


def test_new_seeds_show_a_noise_that_becomes_the_tolerance(live: LiveProject) -> None:
    live.run("--audit-calibrate=regenerate:3", *BLESS).assert_outcomes(passed=1)
    kept = kept_by(live)
    estimates = kept["calibration"]["estimates"]
    assert len(set(estimates)) == 3
    assert kept["estimate"] == pytest.approx(statistics.fmean(estimates))
    assert kept["tolerance"] == pytest.approx(tolerance_factor(3) * statistics.stdev(estimates))
    assert kept["tolerance"] > 0.001
    # Five pairs of images for each of three seeds; the first of the three are those of an ordinary run.
    assert len(list((live.root / ".aes_audit" / "images").rglob("*.json"))) == 30
    assert statistics.fmean(kept["items"]["values"]) == pytest.approx(estimates[0], rel=1e-4)
    live.run().assert_outcomes(passed=1)
    # A later blessing keeps the noise: it belongs to the instruments and the items.
    live.run(*BLESS).assert_outcomes(passed=1)
    again = kept_by(live)
    assert again["estimate"] == estimates[0]
    assert again["tolerance"] == pytest.approx(kept["tolerance"])


def test_rescoring_asks_the_scorers_again_about_the_stored_images(live: LiveProject) -> None:
    result = live.run("--audit-json=results.json")
    result.assert_outcomes(passed=1)
    estimate = json.loads((live.root / "results.json").read_text())["measurements"][0]["estimate"]
    images = contents(live.root / ".aes_audit" / "images")
    store = Store(live.root / ".aes_audit")
    for file in contents(store.local / "scores"):
        record = store.scores(file.stem)
        assert record is not None
        if record["scorer"]["kind"] != "clip":
            continue
        # Answers of another time: a repeat must not read them.
        values = [value + 3.0 * number for number, value in enumerate(record["values"])]
        store.put_scores(file.stem, {**record, "values": values})
    stored = contents(live.root / ".aes_audit" / "scores")
    live.run("--audit-calibrate=rescore:2", *BLESS).assert_outcomes(passed=1)
    kept = kept_by(live)
    assert kept["calibration"]["estimates"] == pytest.approx([estimate] * 2, abs=1e-4)
    assert kept["tolerance"] >= 0.001
    assert contents(live.root / ".aes_audit" / "images") == images
    assert contents(live.root / ".aes_audit" / "scores") == stored


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder."""
    return {file: file.read_bytes() for file in folder.rglob("*.json")}


@pytest.mark.parametrize("value", ["5", "rescore", "rescore:1", "regenerate:x", "again:5", "rescore:-3"])
def test_what_is_not_a_mode_and_a_number_is_refused(judged: Run, value: str) -> None:
    result = judged(f"--audit-calibrate={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*invalid value '{value}': give rescore:R or regenerate:R*2 or more*"])


def test_it_writes_baselines_and_so_needs_a_reason(judged: Run) -> None:
    result = judged("--audit-calibrate=rescore:5")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --audit-calibrate writes baselines: add --snapshot-update --audit-bless*"])


def test_recorded_evidence_cannot_be_repeated(judged: Run) -> None:
    result = judged("--audit-calibrate=rescore:5", *BLESS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --audit-calibrate runs the models again*drop --evidence."])
