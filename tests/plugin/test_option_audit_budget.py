"""--audit-budget: what a run may spend on hosted models; what it cannot pay is inconclusive, never a regression."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from endpoints.hosts import Host, Sent, images_answer, picture, serving

from plugin.live import FILE, LiveProject

SECRET = "sk-sentinel-0123456789abcdef"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host that draws; its key is a sentinel."""
    monkeypatch.setenv("AES_AUDIT_127_0_0_1_KEY", SECRET)
    with serving(lambda asked: images_answer(picture(asked.prompt, side=32))) as host:
        yield host


def _model(host: Host, *options: str) -> str:
    chosen = ",".join(options)
    return f"--model=openai:drawer@{host.url}/v1" + (f"[{chosen}]" if chosen else "")


def _measured(live: LiveProject) -> dict[str, Any]:
    (found,) = json.loads((live.root / "out.json").read_text())["measurements"]
    return dict(found)


def test_a_spent_budget_is_inconclusive(live: LiveProject, host: Host) -> None:
    model = _model(host, "price=0.05", "concurrency=2")
    result = live.run(model, "--audit-budget=0.30", "--audit-json=out.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*10 images to make at $0.05 each cost up to $0.50, and up to $1.50 if every answer *; budget $0.30",
            "*inconclusive, not measured: the budget of $0.30 is spent: the next call costs $0.05 and $0.00 are left*",
        ]
    )
    found = _measured(live)
    assert (found["verdict"], found["estimate"], found["details"]["budget"]) == ("inconclusive", None, "spent")
    spending = json.loads((live.root / "out.json").read_text())["run"]["spending"]
    assert spending == {"budget_usd": 0.3, "spent_usd": 0.3}
    assert len(host.asked) == 6


@pytest.mark.heavy
def test_the_next_run_goes_on_and_the_one_after_needs_no_money(live: LiveProject, host: Host) -> None:
    model = _model(host, "price=0.05", "concurrency=2")
    live.run(model, "--audit-budget=0.30")
    assert live.run(model, "--audit-budget=0.30", "--audit-json=out.json").ret == pytest.ExitCode.OK
    assert len(set(host.prompts)) == len(host.asked) == 10
    assert _measured(live)["verdict"] == "pass"
    host.server.server_close()
    last = live.run(model, "--audit-budget=0")
    last.stdout.fnmatch_lines(["*every image is in the store; budget $0.00"])
    assert last.ret == pytest.ExitCode.OK


def test_the_inconclusive_policy_decides_about_a_spent_budget(live: LiveProject, host: Host) -> None:
    live.run(_model(host, "price=1"), "--audit-budget=2", "--audit-inconclusive=skip").assert_outcomes(skipped=1)


def test_a_spent_budget_cannot_be_blessed(live: LiveProject, host: Host) -> None:
    result = live.run(_model(host, "price=1"), "--audit-budget=3", "--snapshot-update", "--audit-bless=new")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*not blessed, because its verdict is inconclusive*"])
    assert not list((live.root / "baselines").rglob("*.json"))
    assert not (live.root / FILE).exists()


def test_a_price_that_nobody_knows_is_asked_for_before_anything_is_sent(live: LiveProject, host: Host) -> None:
    result = live.run(_model(host), "--audit-budget=5")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--audit-budget needs to know what an image costs: append [[]price=USD]*"])
    assert host.asked == []


@pytest.mark.heavy
def test_workers_share_one_budget(live: LiveProject, host: Host) -> None:
    models = [_model(host, "price=0.1", f"size={size}") for size in (32, 64)]
    result = live.run(*models, "--audit-budget=0.7", "-n", "2", "--audit-json=out.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert len(host.asked) == 7
    spending = json.loads((live.root / "out.json").read_text())["run"]["spending"]
    assert spending["spent_usd"] == pytest.approx(0.7)


def test_a_host_that_fails_is_an_error_and_not_a_spent_budget(live: LiveProject, host: Host) -> None:
    host.answer = lambda asked: Sent({"error": {"message": f"bad key {SECRET}"}}, 401)
    result = live.run(_model(host, "price=1"), "--audit-budget=50", "--audit-json=out.json", "-l", "--tb=long")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = _measured(live)
    assert found["verdict"] == "error"
    assert "HTTP 401: bad key [key]" in found["reason"]
    assert _places_with_the_secret(live.root, result) == []


@pytest.mark.heavy
def test_a_key_is_in_nothing_that_a_run_leaves_behind(live: LiveProject, host: Host) -> None:
    def echo(prompt: str) -> Sent:
        sent = images_answer(picture(prompt, side=32), model=SECRET, system_fingerprint=f"fp {SECRET}")
        sent.body["data"][0]["revised_prompt"] = f"{prompt} {SECRET}"
        return sent

    host.answer = lambda asked: echo(asked.prompt) if asked.number % 4 else images_answer(f"broken {SECRET}")
    result = live.run(_model(host), "--audit-json=out.json", "-o", "log_cli=true", "-o", "log_cli_level=DEBUG")
    result.stdout.fnmatch_lines(["*10 images to make at an unknown price; no --audit-budget"])
    assert host.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    assert _places_with_the_secret(live.root, result) == []
    records = list((live.root / ".aes_audit" / "images").rglob("*.json"))
    assert any("[key]" in record.read_text() for record in records)
    run = json.loads((live.root / "out.json").read_text())["run"]
    assert run["spending"]["budget_usd"] is None
    (identity,) = [model["identity"] for name, model in run["models"].items() if name.startswith("openai:")]
    assert identity["seed"] == "none"


def test_the_key_is_asked_for_before_anything_is_sent(live: LiveProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = live.run("--model=openai:gpt-image-2", "--audit-budget=5")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*api.openai.com needs a key: set the environment variable OPENAI_API_KEY.*"])


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "five", ""])
def test_a_budget_that_is_no_amount_is_refused(judged: Any, value: str) -> None:
    result = judged(f"--audit-budget={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--audit-budget*invalid value '{value}': give US dollars*"])


def test_the_ini_twin_is_read_and_refused_alike(judged: Any, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naudit_budget = a lot")
    result = judged()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*ini key audit_budget: invalid value 'a lot': give US dollars*"])


def _places_with_the_secret(root: Path, result: pytest.RunResult) -> list[str]:
    files = [str(file) for file in root.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    return files + [
        name for name, text in (("stdout", result.stdout), ("stderr", result.stderr)) if SECRET in str(text)
    ]
