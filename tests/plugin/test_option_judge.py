"""--judge: judges that look at images, through a whole run: header, verdicts, results, budget, resuming, refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from endpoints.hosts import Host, Sent
from judges.lookers import answer, brighter, lookers_host

from plugin.live import THRESHOLDS, LiveProject
from plugin.recorded import write_audits, write_evidence, write_thresholds

MODEL = "--model=painter:Painter"
SECRET = "sk-sentinel-0123456789abcdef"
GATED = (
    THRESHOLDS
    + """
[[gates]]
profile = "tiny"
metric = "success_rate"
scorer = "preference/looker"
kind = "contractual"
at_least = 0.0
"""
)
PAINTER = """
import random

from PIL import Image


class Painter:
    # Noise, and the brighter the longer the text: a wide prompt is always longer than its original.
    revision, batch_size, independent = "1", 10, True

    def __init__(self, name, device):
        self.name, self.identity = name, {"kind": "painter"}

    def load(self):
        return self

    def generate(self, requests):
        return [self.painted(f"{one.prompt}{one.seed}", len(one.prompt)) for one in requests]

    def painted(self, seed, length):
        noise = Image.frombytes("RGB", (16, 16), random.Random(seed).randbytes(768))
        return noise.point(lambda value: min(255, value // 8 + length))
"""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A judge that really decodes what it is shown."""
    monkeypatch.setenv("AES_AUDIT_127_0_0_1_KEY", SECRET)
    with lookers_host(brighter) as host:
        yield host


@pytest.fixture
def looked(live: LiveProject) -> LiveProject:
    """The tiny project, asked for success rates and the agreement of its judges."""
    for file in live.root.glob("test_*.py"):
        file.unlink()
    write_audits(live.pytester, "success_rate", "preference_agreement")
    write_thresholds(live.root, GATED)
    (live.root / "painter.py").write_text(PAINTER)
    return live


def judge(host: Host, *options: str) -> str:
    """The option that names it."""
    return f"--judge=openai:looker@{host.url}/v1[{','.join(options) or 'price=0'}]"


def results(live: LiveProject) -> dict[str, Any]:
    """The results file."""
    return dict(json.loads((live.root / "out.json").read_text()))


def test_a_run_asks_the_judge_and_reports_success_bias_and_agreement(looked: LiveProject, host: Host) -> None:
    run = looked.run(MODEL, judge(host), "--audit-json=out.json")
    assert run.ret == pytest.ExitCode.OK
    run.stdout.fnmatch_lines(
        [
            "*preference/looker: looker at 127.0.0.1, both orders; 10 questions to ask at about $0.00 each cost up to "
            "$0.00, and up to $0.00 if every answer must be repeated; no --audit-budget",
            "*preference_agreement*tiny and looker*advisory",
            "preference/looker on painter:Painter: the orders disagreed on 0 of 5 pairs (0 by position); *",
        ]
    )
    found = results(looked)
    rates = {entry["scorer"]: entry for entry in found["measurements"] if entry["metric"] == "success_rate"}
    assert (rates["preference/looker"]["verdict"], rates["preference/looker"]["estimate"]) == ("pass", 1.0)
    assert rates["preference/looker"]["details"]["position"]["both_orders"] == 5
    (agreement,) = [entry for entry in found["measurements"] if entry["metric"] == "preference_agreement"]
    assert (agreement["n"], agreement["verdict"]) == (5, "advisory")
    told = found["run"]["preference_judges"]["preference/looker"]
    assert (told["orders"], told["identity"]["temperature"]) == ("both", 0.3)
    assert told["identity"]["instruction_sha256"] == found["run"]["preference_instruction"]["sha256"]
    assert found["run"]["spending"] == {"budget_usd": None, "spent_usd": 0.0}
    assert len(host.asked) == 10
    assert SECRET not in "".join(path.read_text(errors="ignore") for path in looked.root.rglob("*") if path.is_file())
    host.server.server_close()
    again = looked.run(MODEL, judge(host), "--audit-json=out.json")
    again.stdout.fnmatch_lines(["*preference/looker: looker at 127.0.0.1, both orders; every answer is in the store"])
    assert results(looked)["measurements"] == found["measurements"]


@pytest.mark.heavy
def test_a_judge_that_names_a_place_is_shown_to(looked: LiveProject, host: Host) -> None:
    host.answer = lambda asked: answer(0)
    run = looked.run(MODEL, judge(host))
    run.stdout.fnmatch_lines(
        [
            "preference/looker on painter:Painter: the orders disagreed on 5 of 5 pairs (5 by position); "
            "the first image was chosen in 100.0% [[]47.8%, 100.0%] of answers"
        ]
    )


@pytest.mark.heavy
def test_a_spent_budget_is_inconclusive_and_the_next_run_goes_on(looked: LiveProject, host: Host) -> None:
    paid = judge(host, "price=0.01", "concurrency=2")
    first = looked.run(MODEL, paid, "--audit-budget=0.06", "--audit-json=out.json")
    first.stdout.fnmatch_lines(["*10 questions to ask at about $0.01 each cost up to $0.10, *; budget $0.06"])
    verdicts = {entry["verdict"] for entry in results(looked)["measurements"]}
    assert verdicts == {"inconclusive"}
    assert len(host.asked) == 6
    second = looked.run(MODEL, paid, "--audit-budget=0.06", "--audit-json=out.json")
    assert second.ret == pytest.ExitCode.OK
    second.stdout.fnmatch_lines(["*4 questions to ask at about $0.01 each cost up to $0.04, *"])
    assert len(host.asked) == 10
    assert results(looked)["run"]["spending"] == {"budget_usd": 0.06, "spent_usd": 0.04}


@pytest.mark.heavy
def test_the_profile_may_name_one_as_its_truth(looked: LiveProject, host: Host) -> None:
    spec = f"openai:looker@{host.url}/v1"
    text = GATED.replace('preferences = ["preference/tiny"]', f'preferences = ["{spec}"]')
    write_thresholds(looked.root, text.replace('truth = "preference/tiny"', f'truth = "{spec}"'))
    run = looked.run(MODEL, "--audit-json=out.json")
    assert run.ret == pytest.ExitCode.OK
    (rate,) = results(looked)["measurements"]
    assert (rate["metric"], rate["scorer"], rate["n"]) == ("success_rate", "preference/looker", 5)


@pytest.mark.heavy
def test_a_host_that_fails_is_an_error_and_shows_no_key(looked: LiveProject, host: Host) -> None:
    host.answer = lambda asked: Sent({"error": {"message": f"bad key {SECRET}"}}, 401)
    run = looked.run(MODEL, judge(host), "--audit-json=out.json", "--tb=long", "-l")
    assert run.ret == pytest.ExitCode.TESTS_FAILED
    assert {entry["verdict"] for entry in results(looked)["measurements"]} == {"error"}
    assert "HTTP 401: bad key [key]" in results(looked)["measurements"][0]["reason"]
    assert SECRET not in str(run.stdout)


@pytest.mark.heavy
def test_a_real_vision_language_model_judges_a_whole_run(looked: LiveProject, tmp_path_factory: Any) -> None:
    from judges.served_model import serving_model
    from judges.tiny_qwen3_vl import save_tiny_qwen3_vl

    with serving_model(save_tiny_qwen3_vl(tmp_path_factory.mktemp("qwen"))) as host:
        run = looked.run(MODEL, judge(host, "name=looker"), "--audit-json=out.json")
        assert run.ret == pytest.ExitCode.OK
        assert len(host.asked) == 10
    (rate,) = [e for e in results(looked)["measurements"] if e["scorer"] == "preference/looker" and e["n"] == 5][:1]
    assert rate["missing"] == 0


def test_require_pinned_warns_that_nobody_can_pin_it(looked: LiveProject, host: Host) -> None:
    run = looked.run(MODEL, judge(host), "--audit-require-pinned=on", "--collect-only")
    run.stdout.fnmatch_lines(["*warning: preference/looker: hosted, so that no revision can be pinned."])
    assert host.asked == []


def test_what_is_missing_is_said_before_anything_is_asked(
    looked: LiveProject, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    priceless = looked.run(MODEL, judge(host, "orders=one"), "--audit-budget=1", "--collect-only")
    assert priceless.ret == pytest.ExitCode.USAGE_ERROR
    priceless.stderr.fnmatch_lines(["*preference/looker: --audit-budget needs to know what a question costs*"])
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    keyless = looked.run(MODEL, "--judge=gpt-5-chat", "--collect-only")
    keyless.stderr.fnmatch_lines(["*api.openai.com needs a key: set the environment variable OPENAI_API_KEY.*"])
    unknown = looked.run(MODEL, "--judge=gpt-5-chap", "--collect-only")
    unknown.stderr.fnmatch_lines(["*unknown judge 'gpt-5-chap'. Did you mean 'gpt-5-chat'?*"])
    assert host.asked == []


def test_recorded_answers_of_several_judges_are_held_against_each_other(pytester: pytest.Pytester) -> None:
    write_audits(pytester, "success_rate", "preference_agreement")
    write_thresholds(pytester.path)
    rows: list[dict[str, Any]] = []
    for number in range(40):
        common = {
            "model": "m",
            "set": "pairs",
            "item": f"{number:02}",
            "image": "pair",
            "prompt": "wide",
            "error": None,
        }
        for name, value in (("a", 1.0), ("b", float(number % 4 > 0)), ("c", 0.5 * (number % 3))):
            rows.append({**common, "scorer": f"preference/{name}", "value": value})
    write_evidence(Path("table.csv"), rows)
    result = pytester.runpytest("--evidence=table.csv", "--audit-json=out.json")
    found = json.loads(Path("out.json").read_text())["measurements"]
    compared = [entry["details"]["judges"] for entry in found if entry["metric"] == "preference_agreement"]
    assert sorted(compared) == [[f"preference/{one}", f"preference/{other}"] for one, other in ("ab", "ac", "bc")]
    result.stdout.fnmatch_lines(["*preference_agreement*b and c*advisory"])
