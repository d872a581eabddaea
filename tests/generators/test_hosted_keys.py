"""Keys of hosted models: sent in one header, and shown by nothing, whatever goes wrong."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from endpoints.hosts import Asked, FakeTime, Sent, chat_answer, gemini_answer, images_answer, picture, serving

from aes_audit.errors import AesAuditError
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.store import Store
from aes_audit.generators.hosted import resolve_hosted
from aes_audit.generators.hosted.model import HostedModel
from aes_audit.generators.protocol import ImageRequest

SECRET = "sk-sentinel-0123456789abcdef"

ECHOES: dict[str, Callable[[], Sent]] = {
    "success": Sent,
    "refused": lambda: Sent({"error": {"message": f"{SECRET} asked", "code": "moderation_blocked"}}, 400),
    "unauthorized": lambda: Sent({"error": {"message": f"Incorrect API key provided: {SECRET}"}}, 401),
    "broken": lambda: Sent(f"<html>{SECRET}</html>", 502, {"x-echo": SECRET}),
    "no json": lambda: Sent(f"{SECRET} is not json"),
    "redirect": lambda: Sent("", 307, {"Location": f"http://127.0.0.1:9/?key={SECRET}"}),
    "closed": lambda: Sent(SECRET, cut=3),
    "silent": lambda: Sent(SECRET, after=0.6),
}


def _echo(asked: Asked) -> Sent:
    """A picture with the key in every other field."""
    if "contents" in asked.body:
        return gemini_answer(picture(), text=SECRET, responseId=SECRET, usageMetadata={SECRET: 1})
    if "messages" in asked.body:
        return chat_answer(picture(), text=SECRET, provider=SECRET, system_fingerprint=SECRET)
    sent = images_answer(picture(), model=SECRET)
    sent.body["data"][0]["revised_prompt"] = SECRET
    return sent


def _model(api: str, url: str) -> HostedModel:
    base = f"gemini:drawer@{url}" if api == "gemini" else f"openai:drawer@{url}/v1"
    options = {"attempts": "2", "timeout": "0.3", **({} if api == "gemini" else {"api": api})}
    model = resolve_hosted(base, name="m", options=options)
    object.__setattr__(model, "clock", FakeTime().clock)
    return model


@pytest.mark.parametrize("trouble", ECHOES)
@pytest.mark.parametrize("api", ["gemini", "images", "chat"])
def test_no_message_record_log_or_traceback_with_locals_holds_the_key(
    api: str, trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AES_AUDIT_127_0_0_1_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    job, shown = ImageJob("p", "wide", ImageRequest("a cat", 1)), []
    with serving(_echo if trouble == "success" else lambda asked: ECHOES[trouble]()) as host:
        model = _model(api, host.url)
        loaded = model.load()
        try:
            (record,) = generate_images(model, [job], Store(tmp_path), LocalEngine(), load=lambda: loaded)
            shown += [repr(record), repr(loaded.prompt_notes("a cat"))]
        except AesAuditError as error:
            whole = traceback.TracebackException.from_exception(error, capture_locals=True)
            shown += [str(error), repr(error), *whole.format()]
        assert any(SECRET in value for value in host.asked[0].headers.values())
    shown += [repr(model), repr(loaded), repr(vars(loaded)), caplog.text]
    shown += [file.read_text("latin-1") for file in tmp_path.rglob("*") if file.is_file()]
    assert len(shown) > 4
    assert not any(SECRET in text for text in shown)
