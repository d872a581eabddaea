"""What `--judge` may say: models behind endpoints, the judges of the paper by name, and their options."""

from __future__ import annotations

from pathlib import Path

import pytest

from aes_audit.endpoints.address import OPENAI
from aes_audit.errors import UnknownName, UsageError
from aes_audit.judges.image_preference import HostedPreference
from aes_audit.judges.image_preference_price import TOKENS_IN, TOKENS_OUT
from aes_audit.judges.image_preference_spec import NAMED, URL_VARIABLE
from aes_audit.judges.registry import resolve_preference
from aes_audit.live.judges import PreferencePanel
from aes_audit.pinning import hosted_warning
from aes_audit.report.published import published
from aes_audit.spending import Spending

URL = "http://127.0.0.1:8000/v1"


def resolved(spec: str) -> HostedPreference:
    """The judge of a SPEC, which must be one that looks."""
    judge = resolve_preference(spec)
    assert isinstance(judge, HostedPreference)
    return judge


@pytest.fixture
def spending(tmp_path: Path) -> Spending:
    """No limit."""
    return Spending(None, "run", tmp_path)


def test_a_model_and_its_address_make_a_judge_named_after_the_model() -> None:
    judge = resolved(f"openai:Qwen/Qwen3-VL-4B-Instruct@{URL}")
    assert (judge.name, judge.model) == ("preference/Qwen3-VL-4B-Instruct", "Qwen/Qwen3-VL-4B-Instruct")
    assert judge.address.url == URL
    assert (judge.temperature, judge.orders, judge.schema, judge.price) == (0.3, "both", True, None)


def test_without_an_address_it_is_openais_own() -> None:
    assert resolved("openai:gpt-5-chat-latest").address == OPENAI


def test_options_are_read() -> None:
    judge = resolved(
        f"openai:a/b@{URL}[name=mine,temperature=0,orders=one,schema=off,max_tokens=20,price=0.01,rpm=30,concurrency=2,"
        "timeout=9,attempts=2]"
    )
    assert (judge.name, judge.temperature, judge.orders, judge.schema) == ("preference/mine", 0.0, "one", False)
    assert (judge.max_tokens, judge.batch_size) == (20, 2)
    assert judge.price is not None
    assert judge.price.question == 0.01
    assert (judge.limits.per_minute, judge.limits.timeout, judge.limits.attempts) == (30.0, 9.0, 2)
    assert resolved(f"openai:a@{URL}[temperature=default]").temperature is None


def test_token_prices_set_aside_what_a_question_may_cost() -> None:
    price = resolved(f"openai:a@{URL}[price_in=0.2,price_out=1]").price
    assert price is not None
    assert price.question == pytest.approx((TOKENS_IN * 0.2 + TOKENS_OUT * 1) / 1e6)
    assert price.of(1_000_000, 0) == pytest.approx(0.2)


@pytest.mark.parametrize("spec", ["qwen3-vl-235b", "preference/qwen3-vl-235b"])
def test_the_papers_judge_has_a_name_and_takes_its_endpoint_from_the_environment(
    spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_VARIABLE, URL)
    judge = resolved(spec)
    assert (judge.name, judge.model) == ("preference/qwen3-vl-235b", "Qwen/Qwen3-VL-235B-A22B-Instruct")
    assert judge.address.url == URL
    assert resolved("qwen3-vl-235b@https://router.example/v1[orders=one]").address.host == "router.example"
    assert published("flux-dev", None, "success_rate", judge.name, None) is not None


def test_a_named_judge_without_an_endpoint_says_how_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with pytest.raises(UsageError, match=f"write glm-4.5v@URL, or set the environment variable {URL_VARIABLE}"):
        resolve_preference("glm-4.5v")
    assert resolved("gpt-5-chat").address == OPENAI


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("openai:", "names no model"),
        (f"openai:a b@{URL}", "names no model"),
        ("openai:a@ftp://host", "is no URL"),
        ("openai:a@https://key@host/v1", "a user, a query or a fragment"),
        (f"openai:a@{URL}[orders=three]", "option orders=three: choose both, one"),
        (f"openai:a@{URL}[temperature=-1]", "option temperature=-1"),
        (f"openai:a@{URL}[temperature=nan]", "option temperature=nan"),
        (f"openai:a@{URL}[max_tokens=0]", "option max_tokens=0"),
        (f"openai:a@{URL}[price_in=1]", "go together"),
        (f"openai:a@{URL}[price=free]", "option price=free"),
        (f"openai:a@{URL}[name=a/b]", "must consist of letters"),
        (f"openai:a@{URL}[size=512]", "unknown option of a preference judge 'size'"),
        (f"openai:a@{URL}[orders=one,orders=both]", "twice"),
        (f"openai:a@{URL}+lora=x", "takes nothing after a '+'"),
        ("qwen3-vl-235", "Did you mean"),
    ],
)
def test_what_makes_no_sense_is_refused(spec: str, complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolve_preference(spec)
    assert complaint in str(raised.value)


def test_an_unknown_judge_lists_all_that_have_names() -> None:
    with pytest.raises(UnknownName) as raised:
        resolve_preference("nobody")
    assert all(name in str(raised.value) for name in [*NAMED, "preference/control-clip", "openai:MODEL@URL"])


def test_two_judges_cannot_share_a_name(spending: Spending) -> None:
    with pytest.raises(UsageError, match=r"both preference/b in the evidence: append \[name=...\]"):
        PreferencePanel.of([f"openai:x/b@{URL}", f"openai:y/b@{URL}"], spending)
    panel = PreferencePanel.of(["control-clip", "preference/control-clip", f"openai:b@{URL}"], spending)
    assert [judge.name for judge in panel.all] == ["preference/control-clip", "preference/b"]
    assert [judge.name for judge in panel.onlookers] == ["preference/b"]
    assert panel.name(f"openai:b@{URL}") == "preference/b"


def test_nobody_can_pin_them(tmp_path: Path) -> None:
    said = hosted_warning(["control/faithful"], tmp_path, ["preference/b"])
    assert said == "preference/b: hosted, so that no revision can be pinned."
