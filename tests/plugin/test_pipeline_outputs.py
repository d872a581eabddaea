"""What a pipeline reads besides the exit code: summary, annotations, JUnit properties; by the controller of xdist."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from plugin.conftest import Run
from plugin.recorded import rows_of, write_audits, write_evidence, write_thresholds


@pytest.fixture
def on_github(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a step."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))


@pytest.mark.usefixtures("on_github")
def test_a_run_with_workers_writes_one_summary_one_annotation_per_gate_and_properties(
    judged: Run, pytester: pytest.Pytester
) -> None:
    result = judged("-n1", "--junitxml=junit.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    summary = (pytester.path / "summary.md").read_text()
    assert summary.count("### aes_audit: fail") == 1
    assert len(re.findall(r"^\| \w+ \| success", summary, flags=re.MULTILINE)) == 3
    commands = [text.split(" ")[0] for text in result.outlines if text.startswith("::")]
    assert commands == ["::error", "::warning"]
    cases = ET.parse(pytester.path / "junit.xml").iter("testcase")
    told = [{each.attrib["name"]: each.attrib["value"] for each in case.iter("property")} for case in cases]
    assert sorted((each["subject"], each["estimate"], each["verdict"]) for each in told) == [
        ("bad", "0.2", "fail"),
        ("good", "0.8", "pass"),
        ("middling", "0.5", "inconclusive"),
    ]
    assert all(len(value) < 200 for each in told for value in each.values()), "no property holds a whole result"
    result.stdout.fnmatch_lines(["next, look at the pairs: pytest --evidence=table.csv -n1*-k '*bad' --audit-report=*"])


@pytest.mark.usefixtures("on_github")
def test_a_name_forges_no_line_under_the_table(pytester: pytest.Pytester) -> None:
    write_audits(pytester, "image_faults")
    write_thresholds(pytester.path)
    name = "evil\x1b[2J\n::error::forged"
    lost = {"model": name, "set": "pairs", "item": "lost", "prompt": "wide", "scorer": "quality", "error": "black"}
    whole = rows_of(name, success=0.8, shift=-1.0)
    write_evidence(pytester.path / "table.csv", whole, [{**lost, "image": image} for image in ("original", "wide")])
    shown = pytester.runpytest("--evidence=table.csv").outlines
    (note,) = (text for text in shown if text.startswith("images of evil"))
    assert "missing" in note
    assert not any("\x1b" in text or text.startswith("::error::forged") for text in shown)


@pytest.mark.usefixtures("on_github")
def test_a_summary_that_cannot_be_written_does_not_pass_silently(judged: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "summary.md").mkdir()
    result = judged("--model=good")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["good*pass", "ERROR: step summary *summary.md cannot be written*"])


def test_quiet_shows_what_failed_in_colour_and_the_counts(judged: Run) -> None:
    shown = judged("-q", "--tb=no", "--color=yes").outlines
    table = [text for text in shown if re.match(r"\x1b\[\d+m\w+ +success_rate", text)]
    assert [re.findall(r"\x1b\[(\d+)m(\w+) ", text)[0] for text in table] == [("31", "bad"), ("33", "middling")]
    assert "\x1b[31m3 measurements: 1 fail, 1 inconclusive, 1 pass\x1b[0m" in shown
    assert not any(text.startswith("next") for text in shown)
