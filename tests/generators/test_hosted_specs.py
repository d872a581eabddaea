"""What a SPEC says about a hosted model: read without client libraries, refused in one sentence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest

from aes_audit.endpoints import extras
from aes_audit.endpoints.address import GEMINI, OPENAI
from aes_audit.endpoints.budget import Budget
from aes_audit.endpoints.caller import Limits
from aes_audit.errors import UsageError
from aes_audit.evidence.keys import digest
from aes_audit.generators.hosted import resolve_hosted
from aes_audit.generators.hosted.model import HostedModel
from aes_audit.generators.hosted.painters import INSTRUCTION


def _resolved(base: str, **options: str) -> HostedModel:
    return resolve_hosted(base, name="as typed", options=options)


def test_a_spec_names_service_model_and_address() -> None:
    gemini, openai = _resolved("gemini:gemini-2.5-flash-image"), _resolved("openai:gpt-image-2")
    router = _resolved("openai:google/gemini-2.5-flash-image@https://openrouter.ai/api/v1", api="chat")
    assert [(model.api, model.address) for model in (gemini, openai)] == [("gemini", GEMINI), ("images", OPENAI)]
    assert (router.api, router.model) == ("chat", "google/gemini-2.5-flash-image")
    assert router.address.url == "https://openrouter.ai/api/v1"
    assert [model.name for model in (gemini, openai, router)] == ["as typed"] * 3


def test_what_changes_an_image_is_in_the_identity_and_what_does_not_is_not() -> None:
    base = "openai:drawer@https://host/v1"
    plain = digest(_resolved(base).identity)
    for options in ({"size": "512"}, {"quality": "low"}, {"seed": "sent"}, {"api": "chat"}):
        assert digest(_resolved(base, **options).identity) != plain
    same = {"price": "1", "timeout": "5", "rpm": "3", "concurrency": "9", "attempts": "2"}
    assert digest(_resolved(base, **same).identity) == plain
    assert digest(_resolved("openai:drawer@https://other/v1").identity) != plain


def test_the_instruction_is_part_of_what_identifies_an_image() -> None:
    assert _resolved("gemini:drawer").identity["instruction"] == INSTRUCTION
    assert _resolved("openai:drawer").identity["instruction"] is None
    assert INSTRUCTION.count(".") == 1


def test_options_set_the_limits() -> None:
    found = _resolved("gemini:drawer", timeout="7.5", rpm="90", concurrency="8", attempts="2")
    assert found.limits == Limits(timeout=7.5, per_minute=90, concurrency=8, attempts=2)
    assert (found.batch_size, found.independent) == (8, True)


@pytest.mark.parametrize(
    ("base", "options", "price"),
    [
        ("gemini:gemini-2.5-flash-image", {}, 0.039),
        ("gemini:gemini-2.5-flash-image-preview", {}, 0.039),
        ("gemini:gemini-3-pro-image", {"size": "4K"}, 0.24),
        ("gemini:gemini-2.5-flash-image", {"size": "4K"}, None),
        ("gemini:gemini-2.5-flash-image@https://gateway/x", {}, None),
        ("openai:gpt-image-2", {}, 0.211),
        ("openai:gpt-image-2", {"quality": "low", "size": "1024"}, 0.006),
        ("openai:gpt-image-2", {"quality": "low", "size": "2048"}, None),
        ("openai:somebody-s", {}, None),
        ("openai:somebody-s", {"price": "0.5"}, 0.5),
        ("openai:gpt-image-2", {"price": "0"}, 0.0),
    ],
)
def test_a_price_is_the_list_s_or_the_user_s_or_unknown(
    base: str, options: Mapping[str, str], price: float | None
) -> None:
    assert _resolved(base, **options).price == price


def test_an_unknown_price_and_a_limited_budget_do_not_go_together() -> None:
    with pytest.raises(UsageError, match=r"as typed: --audit-budget needs .* append \[price=USD\]"):
        _resolved("openai:somebody-s").paid_from(Budget(5.0))
    assert _resolved("openai:somebody-s").paid_from(Budget()).price is None


@pytest.mark.parametrize(
    ("base", "options", "complaint"),
    [
        ("gemini:", {}, "names no hosted model: write gemini:MODEL"),
        ("openai:a b", {}, "names no hosted model"),
        ("azure:x", {}, "unknown hosted service 'azure'"),
        ("openai:x@nowhere", {}, "endpoint 'nowhere' is no URL"),
        ("openai:x@", {}, "is no URL"),
        ("openai:x", {"steps": "4"}, "unknown option of a hosted model 'steps'"),
        ("openai:x", {"api": "telex"}, "option api=telex: choose images, chat"),
        ("gemini:x", {"api": "chat"}, "gemini models are asked in one way"),
        ("gemini:x", {"quality": "low"}, "quality=low is one of the images API"),
        ("gemini:x", {"size": "17"}, "option size=17: choose 512, 1K, 2K, 4K"),
        ("openai:x", {"size": "large"}, "give the pixels as N or WxH"),
        ("openai:x", {"seed": "yes"}, "choose none, sent"),
        ("openai:x", {"price": "-1"}, "option price=-1: give US dollars"),
        ("openai:x", {"price": "nan"}, "option price=nan"),
        ("openai:x", {"rpm": "0"}, "option rpm=0: give calls per minute"),
        ("openai:x", {"timeout": "0"}, "option timeout=0: give seconds"),
        ("openai:x", {"concurrency": "0"}, "a whole number from 1 to 64"),
        ("openai:x", {"concurrency": "²"}, "a whole number from 1 to 64"),
        ("openai:x", {"attempts": "21"}, "a whole number from 1 to 20"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(base: str, options: Mapping[str, str], complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        _resolved(base, **options)
    assert complaint in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(("base", "extra"), [("gemini:drawer", "gemini"), ("openai:drawer", "openai")])
def test_a_missing_client_library_is_answered_with_the_command(
    base: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (*GEMINI.variables, *OPENAI.variables):
        monkeypatch.setenv(variable, "sk-sentinel-0123456789abcdef")
    library = {"gemini": "google.genai", "openai": "openai"}[extra]
    monkeypatch.setitem(sys.modules, f"aes_audit.endpoints.{extra}_session", None)
    with pytest.raises(UsageError, match=rf"pip install 'aes-audit\[{extra}\]'"):
        _resolved(base).load()
    monkeypatch.setattr(extras, "find_spec", lambda module: None if module == library else object())
    with pytest.raises(UsageError, match=rf"through {library}, which is not installed: pip install 'aes-audit\["):
        _resolved(base).refuse_unready()


def test_naming_a_hosted_model_imports_neither_torch_nor_a_client_library() -> None:
    script = (
        "import sys; from aes_audit.generators.hosted import resolve_hosted; "
        "resolve_hosted('gemini:x', name='x', options={}).identity; "
        "heavy = {'torch', 'diffusers', 'transformers', 'openai', 'google', 'httpx2', 'pandas'}; "
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
