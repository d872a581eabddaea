"""The real client libraries against a local host: every way to fail becomes one kind of failure, and keys stay put."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

import pytest
from endpoints.hosts import Asked, Host, Sent, chat_answer, gemini_answer, images_answer, serving

from aes_audit.endpoints import transport
from aes_audit.endpoints.address import Address
from aes_audit.endpoints.failures import CallFailed
from aes_audit.endpoints.gemini_session import GeminiSession
from aes_audit.endpoints.keys import ApiKey
from aes_audit.endpoints.openai_session import OpenAISession
from aes_audit.endpoints.payload import Payload, dig

SECRET = "sk-sentinel-0123456789abcdef"
KEY = ApiKey("SOME_KEY", SECRET)

Call: TypeAlias = Callable[[], Payload]
Served: TypeAlias = AbstractContextManager[tuple[Host, Call]]


@pytest.fixture(params=["gemini", "images", "chat"])
def served(request: pytest.FixtureRequest) -> Callable[..., Served]:
    """A host with a given answer, and a call to it in each of the protocols."""

    @contextmanager
    def serve(sent: Sent | Callable[[Asked], Sent], timeout: float = 20.0) -> Iterator[tuple[Host, Call]]:
        with serving(sent if callable(sent) else lambda asked: sent) as host:
            yield host, _call(request.param, host, timeout)

    return serve


def _call(api: str, host: Host, timeout: float) -> Call:
    if api == "gemini":
        gemini = GeminiSession(Address(host.url, ()), KEY, timeout)
        return lambda: gemini.generate("drawer", "a cat", seed=7)
    session = OpenAISession(Address(f"{host.url}/v1", ()), KEY, timeout)
    if api == "images":
        return lambda: session.images("drawer", "a cat", n=1)
    return lambda: session.chat("drawer", [{"role": "user", "content": "a cat"}], temperature=0)


def _failure(call: Call) -> CallFailed:
    with pytest.raises(CallFailed) as failed:
        call()
    assert SECRET not in str(failed.value)
    assert failed.value.__suppress_context__ or failed.value.__context__ is None
    return failed.value


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_a_busy_host_is_asked_once_and_left_to_our_rule(served: Callable[..., Served], status: int) -> None:
    with served(Sent({"error": {"message": "busy"}}, status, {"Retry-After": "3"})) as (host, call):
        failed = _failure(call)
    assert (failed.passing, failed.billed, failed.status, failed.wait) == (True, False, status, 3)
    assert len(host.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_request_that_is_wrong_stays_wrong(served: Callable[..., Served], status: int) -> None:
    with served(Sent({"error": {"message": f"key {SECRET} is wrong"}}, status)) as (_, call):
        failed = _failure(call)
    assert (failed.passing, failed.billed, failed.status) == (False, False, status)
    assert "key [key] is wrong" in str(failed)


def test_a_silent_host_is_given_up_in_time(served: Callable[..., Served]) -> None:
    with served(Sent("{}", after=1.5), timeout=0.3) as (_, call):
        started = time.monotonic()
        failed = _failure(call)
        assert time.monotonic() - started < 1.2
    assert (failed.passing, failed.billed) == (True, True)
    assert "within 0.3 s" in str(failed)


def test_a_host_that_sends_byte_by_byte_is_given_up_in_time(served: Callable[..., Served]) -> None:
    with served(Sent("{" + " " * 100 + "}", drip=0.03), timeout=0.3) as (_, call):
        started = time.monotonic()
        failed = _failure(call)
        assert time.monotonic() - started < 1.2
    assert (failed.passing, failed.billed) == (True, True)


@pytest.mark.parametrize("cut", [0, 5])
def test_a_closed_connection_may_be_tried_again(served: Callable[..., Served], cut: int) -> None:
    with served(Sent('{"some": "json"}', cut=cut)) as (_, call):
        failed = _failure(call)
    assert (failed.passing, failed.billed) == (True, True)
    assert "connection broke" in str(failed)


def test_a_host_that_is_not_there_costs_nothing(served: Callable[..., Served]) -> None:
    with served(Sent("{}")) as (_, call):
        pass
    failed = _failure(call)
    assert (failed.passing, failed.billed) == (True, False)
    assert "no connection" in str(failed)


def test_an_answer_without_end_is_dropped(served: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    small = lambda timeout: transport.http_client(timeout, largest=10_000)  # noqa: E731
    monkeypatch.setattr("aes_audit.endpoints.gemini_session.http_client", small)
    monkeypatch.setattr("aes_audit.endpoints.openai_session.http_client", small)
    with served(Sent("x" * 100_000)) as (_, call):
        failed = _failure(call)
    assert (failed.passing, failed.billed) == (False, True)
    assert "more than 10000 bytes" in str(failed)


def test_an_answer_that_would_unfold_is_not_unpacked(served: Callable[..., Served]) -> None:
    with served(Sent(gzip.compress(b"0" * 10**6), headers={"content-encoding": "gzip"})) as (host, call):
        failed = _failure(call)
    assert host.asked[0].headers["accept-encoding"] == "identity"
    assert "compressed" in str(failed)


@pytest.mark.parametrize("body", ["", "no json", "[1]", "null", '{"cut": ', b"\xff\xfe"])
def test_an_answer_that_is_no_object_may_be_tried_again(served: Callable[..., Served], body: str | bytes) -> None:
    with served(Sent(body)) as (_, call):
        failed = _failure(call)
    assert (failed.passing, failed.billed) == (True, True)


def test_a_redirect_does_not_carry_the_key_elsewhere(served: Callable[..., Served]) -> None:
    with (
        serving(lambda asked: Sent("{}")) as thief,
        served(Sent("", 307, {"Location": f"{thief.url}/v1"})) as (_, call),
    ):
        failed = _failure(call)
    assert thief.asked == []
    assert (failed.passing, failed.status) == (False, 307)


def test_the_key_goes_into_one_header_and_the_environment_s_own_names_nowhere(
    served: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(variable, "another-secret-of-the-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    with served(Sent('{"candidates": [], "choices": [], "data": []}')) as (host, call):
        call()
    (asked,) = host.asked
    holding = [name for name, value in asked.headers.items() if SECRET in value]
    assert holding == (["x-goog-api-key"] if "contents" in asked.body else ["authorization"])
    assert not any("another-secret" in value for value in asked.headers.values())
    assert SECRET not in asked.path


def test_a_key_that_the_host_repeats_is_taken_out_of_the_answer(served: Callable[..., Served]) -> None:
    with served(Sent({"choices": [{}], "candidates": [{}], "echo": f"you are {SECRET}"})) as (_, call):
        assert call()["echo"] == "you are [key]"


def test_a_failure_that_came_as_a_success_is_one() -> None:
    with serving(lambda asked: Sent({"error": {"message": "upstream is busy", "code": 429}})) as host:
        failed = _failure(_call("chat", host, 5))
        assert (failed.passing, failed.status) == (True, 429)
        host.answer = lambda asked: Sent({"error": {"message": "no", "code": "odd"}})
        assert _failure(_call("images", host, 5)).status == 500


def test_a_chat_in_words_with_fields_of_one_s_own_works_too() -> None:
    with serving(lambda asked: chat_answer(None, text='{"choice": "first"}')) as host:
        session = OpenAISession(Address(f"{host.url}/v1", ()), KEY, 5)
        wanted = {"type": "json_object"}
        payload = session.chat("judge", [{"role": "user", "content": "?"}], response_format=wanted, min_p=0.1)
    assert dig(payload, "choices", 0, "message", "content") == '{"choice": "first"}'
    (asked,) = host.asked
    assert (asked.path, asked.body["model"]) == ("/v1/chat/completions", "judge")
    assert (asked.body["response_format"], asked.body["min_p"]) == (wanted, 0.1)


def test_the_protocols_are_those_of_the_services() -> None:
    with serving(lambda asked: gemini_answer("aa")) as host:
        _call("gemini", host, 5)()
        host.answer = lambda asked: images_answer("aa")
        _call("images", host, 5)()
    gemini, images = host.asked
    assert gemini.path.endswith("/models/drawer:generateContent")
    assert gemini.body["generationConfig"]["seed"] == 7
    assert images.path == "/v1/images/generations"
    assert images.body == {"model": "drawer", "prompt": "a cat", "n": 1}
