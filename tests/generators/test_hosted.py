"""Hosted generators: the real client libraries, a local host that speaks their protocols, and everything it may do."""

from __future__ import annotations

import io
import re
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from endpoints.hosts import (
    Asked,
    FakeTime,
    Host,
    Sent,
    chat_answer,
    gemini_answer,
    images_answer,
    picture,
    serving,
)
from PIL import Image

from aes_audit.endpoints.budget import Budget
from aes_audit.errors import BudgetSpent, InfrastructureError
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.store import Store
from aes_audit.generators.hosted import resolve_hosted
from aes_audit.generators.hosted.model import HostedModel
from aes_audit.generators.hosted.painters import INSTRUCTION
from aes_audit.generators.protocol import ImageRequest, MissingImage, NotAttempted

APIS = ("gemini", "images", "chat")
ANSWERS: dict[str, Callable[..., Sent]] = {"gemini": gemini_answer, "images": images_answer, "chat": chat_answer}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own keys stay out of it."""
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest) -> str:
    """Each way to ask."""
    return str(request.param)


def hosted(api: str, host: Host, **options: str) -> HostedModel:
    """A model of this host, on a clock that nobody waits for."""
    if api == "gemini":
        model = resolve_hosted(f"gemini:drawer@{host.url}", name="m", options=options)
    else:
        model = resolve_hosted(f"openai:drawer@{host.url}/v1", name="m", options={"api": api, **options})
    return replace(model, clock=FakeTime().clock)


def requests(*prompts: str) -> list[ImageRequest]:
    """One request per text, with seeds of 63 bits."""
    return [ImageRequest(prompt, 2**62 + number) for number, prompt in enumerate(prompts)]


def drawn(api: str, answer: Sent | Callable[[Asked], Sent], *prompts: str, **options: str) -> tuple[list[Any], Host]:
    """What a model of one host makes of some prompts."""
    with serving(answer if callable(answer) else lambda asked: answer) as host:
        return hosted(api, host, **options).load().generate(requests(*(prompts or ("a cat",)))), host


def faithful(api: str) -> Callable[[Asked], Sent]:
    """A host that draws what it is asked for."""
    return lambda asked: ANSWERS[api](picture(asked.prompt))


class TestPictures:
    """Answers that hold one."""

    def test_each_request_gets_its_own_picture_in_order(self, api: str) -> None:
        prompts = [f"picture {number}" for number in range(6)]

        def answer(asked: Asked) -> Sent:
            return replace(faithful(api)(asked), after=0.05 * (asked.number % 2))

        answers, host = drawn(api, answer, *prompts)
        instruction = "" if api == "images" else f"{INSTRUCTION}\n\n"
        assert sorted(host.prompts) == sorted(instruction + prompt for prompt in prompts)
        for prompt, image in zip(prompts, answers, strict=True):
            expected = Image.open(io.BytesIO(picture(instruction + prompt)))
            assert image.mode == "RGB"
            assert np.array_equal(np.asarray(image), np.asarray(expected))

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
    def test_the_bytes_decide_about_the_format(self, format: str) -> None:
        (image,), _ = drawn("gemini", gemini_answer(picture(format=format), mime="image/png"))
        assert (image.size, image.mode) == ((8, 8), "RGB")

    def test_transparent_parts_become_white(self) -> None:
        file = io.BytesIO()
        Image.new("RGBA", (4, 4), (200, 10, 10, 0)).save(file, "PNG")
        (image,), _ = drawn("images", images_answer(file.getvalue()))
        assert set(image.get_flattened_data()) == {(255, 255, 255)}

    def test_a_thinking_model_s_drafts_are_not_its_picture(self) -> None:
        final = gemini_answer(picture("final")).body
        draft = gemini_answer(picture("draft")).body["candidates"][0]["content"]["parts"][0]
        final["candidates"][0]["content"]["parts"].insert(0, {**draft, "thought": True})
        (image,), _ = drawn("gemini", Sent(final))
        assert np.array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(picture("final")))))

    @pytest.mark.parametrize("place", ["content parts", "in the text"])
    def test_a_chat_may_put_the_picture_elsewhere(self, place: str) -> None:
        body = chat_answer(picture("x"), text="here").body
        message = body["choices"][0]["message"]
        (part,) = message.pop("images")
        url = part["image_url"]["url"]
        message["content"] = (
            [{"type": "text", "text": "here"}, part] if place == "content parts" else f"![]({url}) done"
        )
        (image,), _ = drawn("chat", Sent(body))
        assert image.size == (8, 8)

    def test_size_quality_and_seed_are_sent_where_they_are_wanted(self) -> None:
        _, host = drawn("images", faithful("images"), size="512", quality="low", seed="sent")
        wanted = {"size": "512x512", "quality": "low", "seed": 2**62 % 2**31, "response_format": "b64_json"}
        assert wanted.items() <= host.asked[0].body.items()
        _, host = drawn("gemini", faithful("gemini"), size="2048", seed="sent")
        config = host.asked[0].body["generationConfig"]
        assert (config["imageConfig"], config["seed"]) == ({"imageSize": "2K"}, 2**62 % 2**31)
        _, host = drawn("chat", faithful("chat"), size="1K")
        assert host.asked[0].body["image_config"] == {"image_size": "1K"}
        assert "seed" not in host.asked[0].body


class TestMissing:
    """Answers without a picture are missing, with the reason and never with a stand-in."""

    @pytest.mark.parametrize("api", ["gemini", "chat"])
    def test_text_instead_of_an_image_is_asked_about_again_and_then_missing(self, api: str) -> None:
        (answer,), host = drawn(api, ANSWERS[api](None, text="I would rather\nwrite " + "about it " * 100))
        assert isinstance(answer, MissingImage)
        assert answer.kind == "text_only"
        assert answer.reason.startswith("text instead of an image: I would rather write about it")
        assert answer.reason.endswith("... (3 answers)")
        assert len(answer.reason) < 300
        assert len(host.asked) == 3

    def test_a_picture_after_some_words_is_a_picture(self) -> None:
        def answer(asked: Asked) -> Sent:
            return gemini_answer(picture()) if asked.number == 2 else gemini_answer(None, text="One moment.")

        (image,), host = drawn("gemini", answer)
        assert isinstance(image, Image.Image)
        assert len(host.asked) == 3

    @pytest.mark.parametrize(
        ("api", "sent"),
        [
            ("gemini", Sent({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "drawer-001"})),
            ("gemini", Sent({"candidates": [{"finishReason": "IMAGE_SAFETY", "finishMessage": "not this"}]})),
            (
                "images",
                Sent({"error": {"message": "not safe", "code": "moderation_blocked"}}, 400),
            ),
            ("images", Sent({"error": {"message": "no", "type": "x", "code": "content_policy_violation"}}, 400)),
            ("chat", Sent({"error": {"message": "flagged by moderation", "code": 403}}, 403)),
            ("chat", Sent({"choices": [{"message": {"refusal": "I will not."}, "finish_reason": "stop"}]})),
            ("chat", Sent({"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]})),
        ],
    )
    def test_a_refusal_is_taken_at_its_word(self, api: str, sent: Sent) -> None:
        (answer,), host = drawn(api, sent)
        assert isinstance(answer, MissingImage)
        assert answer.kind == "refused"
        assert answer.reason.startswith("refused: ")
        assert len(host.asked) == 1

    @pytest.mark.parametrize(
        ("image", "mime", "reason"),
        [
            (picture()[:-60], "image/png", "cut off or damaged"),
            (picture(side=64)[:4000], "image/png", "cut off or damaged"),
            ("iVBORw0KGgo", "image/png", "base64 text is broken or cut off"),
            ("@@@@", "image/png", "base64 text is broken or cut off"),
            (b"<html>busy</html>", "image/png", "17 bytes are no PNG, JPEG or WebP"),
            (b"\x89PNG\r\n\x1a\n", "image/png", "8 bytes are no PNG, JPEG or WebP"),
            (b"GIF89a\x01\x00\x01\x00", "image/gif", "no PNG, JPEG or WebP"),
            (picture(), "application/pdf", "of type 'application/pdf'"),
        ],
    )
    def test_a_broken_image_is_asked_for_again_and_then_missing(self, image: Any, mime: str, reason: str) -> None:
        for api in ("gemini", "chat"):
            (answer,), host = drawn(api, ANSWERS[api](image, mime=mime))
            assert isinstance(answer, MissingImage)
            assert answer.kind == "failed"
            assert len(host.asked) == 3
            assert reason in answer.reason

    @pytest.mark.parametrize("side", [(9000, 1), (1, 9000), (60_000, 60_000)])
    def test_a_huge_image_is_refused_before_it_is_unpacked(self, side: tuple[int, int]) -> None:
        (answer,), _ = drawn("images", images_answer(_png_header(*side)))
        assert isinstance(answer, MissingImage)
        assert "pixels" in answer.reason

    @pytest.mark.parametrize("body", [{}, {"data": []}, {"choices": []}, {"candidates": [{"content": None}]}])
    def test_an_answer_that_holds_nothing_is_missing(self, api: str, body: dict[str, Any]) -> None:
        (answer,), _ = drawn(api, Sent(body))
        assert answer == MissingImage("the answer holds neither image nor text (3 answers)", "failed")


class TestFailures:
    """What the host cannot help is no property of the model: raised, and free to pass."""

    def test_a_host_that_recovers_is_waited_for(self, api: str) -> None:
        troubles = [Sent({"error": {"message": "slow"}}, 429, {"Retry-After": "7"}), Sent("", 500), Sent("{}", cut=0)]

        def answer(asked: Asked) -> Sent:
            return troubles[asked.number] if asked.number < len(troubles) else faithful(api)(asked)

        fake = FakeTime()
        with serving(answer) as host:
            model = replace(hosted(api, host), clock=fake.clock)
            (image,) = model.load().generate(requests("a cat"))
        assert isinstance(image, Image.Image)
        assert fake.slept == [7, 2, 4]

    @pytest.mark.parametrize(
        ("sent", "reason"),
        [
            (Sent({"error": {"message": "slow"}}, 429), r"m: HTTP 429: slow \(2 attempts\)\."),
            (Sent("", 500), r"m: HTTP 500: no explanation \(2 attempts\)\."),
            (Sent("", cut=0), r"m: the connection broke: .* \(2 attempts\)\."),
            (Sent("{}", after=1.0), r"m: no answer within 0.25 s \(2 attempts\)\."),
            (Sent({"error": {"message": "who?"}}, 401), r"m: HTTP 401: who\?\."),
        ],
    )
    def test_a_host_that_does_not_is_an_infrastructure_failure(self, api: str, sent: Sent, reason: str) -> None:
        (answer,), _ = drawn(api, sent, attempts="2", timeout="0.25")
        assert isinstance(answer, NotAttempted)
        assert answer.failed
        assert re.fullmatch(reason, answer.reason)

    def test_a_link_is_not_followed(self) -> None:
        with serving(lambda asked: Sent("{}")) as elsewhere:
            images = [{"image_url": {"url": f"{elsewhere.url}/picture.png"}}]
            for (answer,), _ in (
                drawn("images", Sent({"data": [{"url": f"{elsewhere.url}/picture.png"}]})),
                drawn("chat", Sent({"choices": [{"message": {"images": images}}]})),
            ):
                assert isinstance(answer, NotAttempted)
                assert "links are not followed" in answer.reason
        assert elsewhere.asked == []


class TestLimits:
    """How hard a host is pressed."""

    def test_calls_are_under_way_at_once_up_to_the_limit(self, api: str) -> None:
        def answer(asked: Asked) -> Sent:
            return replace(faithful(api)(asked), after=0.1)

        started = time.monotonic()
        answers, host = drawn(api, answer, *map(str, range(12)), concurrency="6")
        assert host.most_at_once == 6
        # One after the other, the waiting alone would take 1.2 s.
        assert time.monotonic() - started < 1.1
        assert len(answers) == 12

    def test_the_rate_is_kept(self) -> None:
        fake = FakeTime()
        with serving(faithful("images")) as host:
            model = replace(hosted("images", host, rpm="30", concurrency="1"), clock=fake.clock)
            model.load().generate(requests(*map(str, range(5))))
        assert fake.slept == [2.0] * 4

    def test_a_budget_is_never_exceeded_and_the_rest_is_not_attempted(self, api: str) -> None:
        with serving(faithful(api)) as host:
            budget = Budget(0.35)
            model = hosted(api, host, price="0.05", concurrency="4").paid_from(budget)
            answers = model.load().generate(requests(*map(str, range(10))))
        assert len(host.asked) == 7
        assert sum(isinstance(answer, Image.Image) for answer in answers) == 7
        assert sum(isinstance(answer, NotAttempted) for answer in answers) == 3
        assert budget.spent_usd == pytest.approx(0.35)

    def test_repeated_questions_and_refusals_are_charged_as_the_host_does(self) -> None:
        budget = Budget()
        refused = Sent({"error": {"message": "no", "code": "moderation_blocked"}}, 400)
        with serving(lambda asked: refused) as host:
            hosted("images", host, price="0.05").paid_from(budget).load().generate(requests("a"))
            assert budget.spent_usd == 0
            host.answer = lambda asked: images_answer("@@")
            hosted("images", host, price="0.05").paid_from(budget).load().generate(requests("a"))
            assert budget.spent_usd == pytest.approx(0.15)
            host.answer = lambda asked: chat_answer(picture(), usage={"prompt_tokens": 3, "cost": 0.0123})
            hosted("chat", host, price="0.05").paid_from(budget).load().generate(requests("a"))
        assert budget.spent_usd == pytest.approx(0.1623)


class TestStore:
    """Through the harness: what is kept, and what a later run asks for."""

    def test_finished_images_are_not_asked_for_again(self, api: str, tmp_path: Path) -> None:
        jobs = [ImageJob(f"p{n}", "original", request) for n, request in enumerate(requests(*"abcdefgh"))]
        with serving(faithful(api)) as host:
            model = hosted(api, host, price="0.1", concurrency="2")
            with pytest.raises(BudgetSpent, match=r"budget of \$0\.50 is spent"):
                generate_images(model.paid_from(Budget(0.5)), jobs, Store(tmp_path), LocalEngine())
            assert len(host.asked) == 5
            records = generate_images(model.paid_from(Budget(0.5)), jobs, Store(tmp_path), LocalEngine())
            assert len(host.asked) == len({*host.prompts}) == 8
            assert generate_images(model, jobs, Store(tmp_path), LocalEngine()) == records
        assert all(record.sha256 for record in records)

    def test_a_failure_of_the_host_is_not_kept_and_a_refusal_is(self, tmp_path: Path) -> None:
        store, jobs = Store(tmp_path), [ImageJob("p", "wide", *requests("a"))]
        with serving(lambda asked: Sent("", 503)) as host:
            model = hosted("gemini", host, attempts="2")
            with pytest.raises(InfrastructureError):
                generate_images(model, jobs, store, LocalEngine())
            host.answer = lambda asked: Sent({"promptFeedback": {"blockReason": "SAFETY"}})
            (record,) = generate_images(model, jobs, store, LocalEngine())
            assert (record.sha256, record.error) == (None, "refused: SAFETY")
            asked = len(host.asked)
            assert generate_images(model, jobs, store, LocalEngine()) == [record]
            assert len(host.asked) == asked

    def test_what_was_drawn_beside_a_failure_is_kept(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        jobs = [ImageJob(f"p{n}", "original", request) for n, request in enumerate(requests(*"abcd"))]
        good = faithful("images")
        with serving(lambda asked: Sent("", 500) if asked.prompt.endswith("d") else good(asked)) as host:
            model = hosted("images", host, attempts="1", concurrency="4")
            with pytest.raises(InfrastructureError, match="HTTP 500"):
                generate_images(model, jobs, store, LocalEngine())
            before, host.answer = len(host.asked), good
            assert all(record.sha256 for record in generate_images(model, jobs, store, LocalEngine()))
            assert len(host.asked) - before < 4

    def test_what_the_host_says_about_itself_is_in_the_record_and_not_in_the_key(self, tmp_path: Path) -> None:
        store, jobs = Store(tmp_path), [ImageJob("p", "wide", *requests("a"))]
        with serving(faithful("gemini")) as host:
            model = hosted("gemini", host)
            (record,) = generate_images(model, jobs, store, LocalEngine())
            stored = store.image(record.key)
        assert stored is not None
        notes = stored.record["prompt_notes"]
        assert (notes["modelVersion"], notes["answers"]) == ("drawer-001", 1)
        assert notes["usageMetadata"]["candidatesTokenCount"] == 1290
        assert "drawer-001" not in str(model.identity)
        assert model.identity["seed"] == "none"

    def test_two_items_with_one_text_have_two_images(self, tmp_path: Path) -> None:
        jobs = [ImageJob(f"p{n}", "wide", ImageRequest("same", n)) for n in range(2)]
        with serving(lambda asked: images_answer(picture(str(asked.number)))) as host:
            records = generate_images(hosted("images", host), jobs, Store(tmp_path), LocalEngine())
        assert len({record.sha256 for record in records}) == 2


def _png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims to be this large."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checked = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + checked + struct.pack(">I", 10) + b"IDAT" + b"0" * 10
