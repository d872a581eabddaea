"""The `judge` of a profile as a SPEC: a Qwen3-VL folder, and a host that lists log-probabilities."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from endpoints.hosts import Asked, Sent, serving
from judges.tiny_qwen3_vl import save_tiny_qwen3_vl

from aes_audit.judges.guideline import Guideline, note_guideline
from plugin.live import THRESHOLDS, LiveProject
from plugin.recorded import write_audits, write_thresholds

MINE = '[clarity]\nlevels = [[1, "Sharp", "Crisp."], [-1, "Soft", "Blurred."]]\n'
MODEL = "--model=./model"
DIGEST = Guideline.read().digest


def judged_by(live: LiveProject, spec: str) -> None:
    """The tiny project with another judge, asked for the shift of the selected dimensions."""
    for file in live.root.glob("test_*.py"):
        file.unlink()
    write_audits(live.pytester, "dimension_shift")
    text = THRESHOLDS.replace('judge = "tiny/judge"', f'judge = "{spec}"').replace("quality_shift", "dimension_shift")
    write_thresholds(live.root, text)


def results(live: LiveProject) -> dict[str, Any]:
    """The results file."""
    return dict(json.loads((live.root / "out.json").read_text()))


def test_a_folder_judges_a_run_and_its_guideline_is_said_and_recorded(live: LiveProject, tmp_path: Path) -> None:
    folder = save_tiny_qwen3_vl(live.root / "qwen")
    (tmp_path / "mine.toml").write_text(MINE)
    note_guideline(folder, Guideline.read(tmp_path / "mine.toml"))
    judged_by(live, "./qwen[size=32]")
    run = live.run(MODEL, "--audit-json=out.json")
    assert run.ret == pytest.ExitCode.OK
    run.stdout.fnmatch_lines(
        [
            f"  judge: ./qwen[[]size=32] (????????????), guideline shipped ({DIGEST[:12]})",
            "  warning: judge ./qwen[[]size=32] was trained on another guideline than the shipped one*",
        ]
    )
    found = results(live)
    (entry,) = found["measurements"]
    assert (entry["metric"], entry["n"]) == ("dimension_shift", 5)
    identity = found["run"]["models"]["./qwen[size=32]"]["identity"]
    assert identity["kind"] == "vision-language-judge"
    assert identity["guideline"] == {"sha256": DIGEST}
    assert any("another guideline" in said for said in found["run"]["warnings"])


@pytest.mark.heavy
def test_a_host_judges_a_run_is_paid_and_asked_once(live: LiveProject, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(asked: Asked) -> Sent:
        top = [{"token": str(level), "logprob": math.log(share)} for level, share in enumerate((0.2, 0.3, 0.5))]
        choice = {"index": 0, "message": {"content": "2"}, "logprobs": {"content": [{**top[2], "top_logprobs": top}]}}
        return Sent({"choices": [choice], "usage": {"cost": 0.01}})

    monkeypatch.setenv("AES_AUDIT_127_0_0_1_KEY", "a-secret-for-the-judge")
    with serving(answer) as host:
        spec = f"openai:m@{host.url}/v1[size=32,price=0.01]"
        judged_by(live, spec)
        stopped = live.run(MODEL, "--audit-budget=0.5")
        stopped.stdout.fnmatch_lines(
            ["  judge: openai:m@*, guideline shipped (*), asked at 127.0.0.1, 11 questions per image at $0.01 each"]
        )
        stopped.stdout.fnmatch_lines(["*the budget of $0.50 is spent*"])
        # Four images are whole, and what was paid for the fifth is lost.
        assert len(host.asked) == 50
        run = live.run(MODEL, "--audit-json=out.json", "--audit-budget=0.7")
        assert run.ret == pytest.ExitCode.OK
        assert len(host.asked) == 50 + 6 * 11
    assert results(live)["run"]["spending"] == {"budget_usd": 0.7, "spent_usd": 0.66}
    assert live.run(MODEL).ret == pytest.ExitCode.OK
