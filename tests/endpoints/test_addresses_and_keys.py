"""Addresses that hold no secret, and keys that go to one host only."""

from __future__ import annotations

import pytest

from aes_audit.endpoints.address import GEMINI, OPENAI, read_address
from aes_audit.endpoints.keys import ApiKey, find_key
from aes_audit.errors import UsageError

SECRET = "sk-sentinel-0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "url", "variable"),
    [
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1", "AES_AUDIT_OPENROUTER_AI_KEY"),
        ("https://openrouter.ai/api/v1/", "https://openrouter.ai/api/v1", "AES_AUDIT_OPENROUTER_AI_KEY"),
        ("HTTPS://Gpu-Box.lan:8000/v1", "https://gpu-box.lan:8000/v1", "AES_AUDIT_GPU_BOX_LAN_KEY"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", "AES_AUDIT_127_0_0_1_KEY"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1", "AES_AUDIT_1_KEY"),
    ],
)
def test_every_host_has_a_variable_of_its_own(text: str, url: str, variable: str) -> None:
    address = read_address(text)
    assert (address.url, address.variables) == (url, (variable,))


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{SECRET}@host/v1",
        f"https://{SECRET}@host/v1",
        f"https://host/v1?key={SECRET}",
        f"https://host/v1#{SECRET}",
    ],
)
def test_an_address_with_a_key_in_it_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UsageError, match="environment variable") as refused:
        read_address(text)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "openrouter.ai/api", "ftp://host", "https://", "https://a b/v1", "http://host:x/"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="http"):
        read_address(text)


def test_the_key_of_one_host_is_not_given_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    assert find_key(OPENAI).secret == SECRET
    with pytest.raises(UsageError, match="AES_AUDIT_OPENROUTER_AI_KEY"):
        find_key(read_address("https://openrouter.ai/api/v1"))
    assert find_key(read_address("http://localhost:8000/v1")).secret == ""


def test_a_missing_key_is_one_sentence_that_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in GEMINI.variables:
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UsageError, match=r"needs a key: set .* GEMINI_API_KEY or GOOGLE_API_KEY\."):
        find_key(GEMINI)
    monkeypatch.setenv("GOOGLE_API_KEY", SECRET + "\n")
    assert find_key(GEMINI) == ApiKey("GOOGLE_API_KEY", SECRET)


def test_a_key_that_would_break_a_header_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{SECRET}\n{SECRET}")
    with pytest.raises(UsageError, match="OPENAI_API_KEY holds characters") as refused:
        find_key(OPENAI)
    assert SECRET not in str(refused.value)


def test_a_key_does_not_show_itself() -> None:
    key = ApiKey("OPENAI_API_KEY", SECRET)
    assert not any(SECRET in shown for shown in (repr(key), str(key), f"{key}", f"{key!s:>60}", repr([key])))
    assert key.redacted(f"Incorrect API key provided: {SECRET}.") == "Incorrect API key provided: [key]."
    assert ApiKey(None).redacted("as it is") == "as it is"
