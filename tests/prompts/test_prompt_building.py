"""Building a set through a writer behind a local host: what comes out, and that nothing but seed and answers matter."""

from __future__ import annotations

import json
import logging
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from endpoints.hosts import Asked, FakeTime, Sent, serving
from prompts.writers import asked_for, captions_file, completion, request_for, wide, write

from aes_audit.errors import AesAuditError, BudgetSpent, InfrastructureError, UsageError
from aes_audit.prompts.building import HOPELESS, Built
from aes_audit.prompts.building_output import Output
from aes_audit.prompts.building_request import BuildRequest, build_prompts
from aes_audit.prompts.building_sampling import draw_dimensions
from aes_audit.prompts.building_writer import MODEL, read_answer, resolve_writer
from aes_audit.prompts.companion import read_companion
from aes_audit.prompts.instruction import read_instruction
from aes_audit.prompts.lexicon import read_lexicon
from aes_audit.prompts.pairs import read_prompt_set
from aes_audit.prompts.validation import main as check
from aes_audit.prompts.validation import set_faults

SECRET = "sk-sentinel-0123456789abcdef"
Answer = Callable[[Asked], Sent]


def build(request: BuildRequest) -> Built:
    """Build without waiting for anything."""
    return build_prompts(request, clock=FakeTime().clock)


def lines(request: BuildRequest) -> list[dict[str, Any]]:
    """What was written."""
    return [json.loads(line) for line in request.output.file.read_text().splitlines()]


def first_time(fault: Answer) -> Answer:
    """A writer whose first answer about each caption is this one, and who then does as told."""
    met = Counter[str]()

    def answer(asked: Asked) -> Sent:
        caption, _ = asked_for(asked)
        met[caption] += 1
        return fault(asked) if met[caption] == 1 else write(asked)

    return answer


def test_a_set_is_written_that_passes_every_check_and_reads_as_a_profile_s_prompts(tmp_path: Path) -> None:
    with serving(write) as host:
        request = request_for(tmp_path, host.url, count=24)
        built = build(request)
    pairs = read_prompt_set(str(request.output.file)).pairs
    assert set_faults(pairs, read_lexicon()) == ()
    assert check([str(request.output.file)]) == 0
    assert [pair.dimensions for pair in pairs] == draw_dimensions(24, 7, balanced=True)
    source = captions_file(tmp_path).read_text().splitlines()
    for pair, line in zip(pairs, lines(request), strict=True):
        assert pair.wide == wide(pair.original, list(pair.dimensions))
        assert list(line)[:4] == ["id", "original", "wide", "dimensions"]
        assert source[int(line["caption"].removeprefix("line ")) - 1] == pair.original
    assert (built.answers, built.rejected, built.left_out) == (24, {}, [])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["captions.txt", "mine.jsonl", "mine.toml"]


def test_the_request_is_the_paper_s_and_says_what_was_chosen(tmp_path: Path) -> None:
    with serving(write) as host:
        writer = resolve_writer(f"{host.url}/v1")
        build(request_for(tmp_path, host.url, writer=writer, count=1))
        keep = {"extra_effects": "allow", "attribute_words": "keep", "output": Output(tmp_path / "other.jsonl")}
        build(
            request_for(tmp_path, host.url, writer=resolve_writer(f"openai:m@{host.url}[temperature=default]"), **keep)
        )
    first, other = host.asked[0].body, host.asked[-1].body
    assert (first["model"], first["temperature"]) == (MODEL, 0.1)
    schema = first["response_format"]["json_schema"]
    assert (first["response_format"]["type"], schema["strict"]) == ("json_schema", True)
    assert schema["schema"]["properties"] == {"prompt": {"type": "string"}}
    assert [message["role"] for message in first["messages"]] == ["system", "user"]
    assert ("no other" in str(first["messages"]), "are welcome" in str(other["messages"])) == (True, True)
    assert ("need not occur" in str(first["messages"]), "as they stand" in str(other["messages"])) == (True, True)
    assert "temperature" not in other
    assert "{" not in first["messages"][1]["content"]


def test_the_companion_says_how_the_set_came_about(tmp_path: Path) -> None:
    with serving(first_time(lambda asked: completion('{"prompt": "Too short."}', usage={"cost": 0.5}))) as host:
        request = request_for(tmp_path, host.url, count=3)
        build(request)
    companion = read_companion(request.output.companion)
    told = companion.provenance
    assert companion.language == "en"
    assert told["rejected"] == {"length": 3, "unsignalled": 3}
    assert (told["answers"], told["written"], told["usd"]) == (6, 3, 1.5)
    assert (told["model"], told["model_reported"], told["endpoint"]) == ("writer", ["writer-001"], "127.0.0.1")
    assert (told["seed"], told["balanced"], told["temperature"]) == (7, True, 0.1)
    instruction = read_instruction(extra_effects="forbid", attribute_words="free")
    assert told["instruction_sha256"] == instruction.digest
    assert told["instruction_sha256"] != replace(instruction, again="Again: {complaint}").digest
    assert set(told["versions"]) == {"aes-audit", "openai"}
    assert str(tmp_path) not in request.output.companion.read_text()


BAD_TEXTS: dict[str, tuple[Callable[[str, list[str]], str], set[str]]] = {
    "too long": (lambda caption, names: f"{wide(caption, names)} {'so ' * 60}", {"length"}),
    "endless": (lambda caption, names: "so " * 5000, {"malformed"}),
    "an effect too many": (
        lambda caption, names: (
            f"{wide(caption, names)} {'Unsharp' if 'clarity' not in names else 'Warped'} throughout."
        ),
        {"leak"},
    ),
    "effects missing": (lambda caption, names: f"{caption} {'with one thing more ' * 3}", {"unsignalled"}),
    "the caption itself": (lambda caption, names: caption, {"near-duplicate", "unsignalled"}),
    "empty": (lambda caption, names: " \n", {"empty"}),
    "control characters": (lambda caption, names: f"{wide(caption, names)}\x1b[2J", {"malformed"}),
    "half a character": (lambda caption, names: f"{wide(caption, names)}\ud800", {"malformed"}),
}


@pytest.mark.parametrize("fault", BAD_TEXTS)
def test_a_bad_text_is_turned_down_and_asked_for_again(tmp_path: Path, fault: str) -> None:
    text, reasons = BAD_TEXTS[fault]
    with serving(first_time(lambda asked: completion(json.dumps({"prompt": text(*asked_for(asked))})))) as host:
        request = request_for(tmp_path, host.url, count=3, captions=str(captions_file(tmp_path, 12)))
        built = build(request)
    assert reasons <= set(built.rejected) <= reasons | {"length"}
    assert all(built.rejected[reason] == 3 for reason in reasons)
    assert [line["attempts"] for line in lines(request)] == [2, 2, 2]
    pairs = read_prompt_set(str(request.output.file)).pairs
    assert {fault.rule for fault in set_faults(pairs, read_lexicon())} <= {"balance"}


BAD_ANSWERS: dict[str, tuple[Sent, str]] = {
    "no JSON": (completion("A dark picture."), "malformed"),
    "cut JSON": (completion('{"prompt": "A dark'), "malformed"),
    "another key": (completion('{"text": "A dark picture."}'), "malformed"),
    "a key too many": (completion('{"prompt": "A dark picture.", "note": "x"}'), "malformed"),
    "the key twice": (completion('{"prompt": "A dark picture.", "prompt": "x"}'), "malformed"),
    "a list": (completion('[["prompt", "A dark picture."]]'), "malformed"),
    "a number": (completion('{"prompt": 7}'), "malformed"),
    "deep JSON": (completion("[" * 100_000), "malformed"),
    "no content": (completion(None), "empty"),
    "no text": (completion(""), "empty"),
    "parts": (completion([{"type": "text", "text": "x"}]), "empty"),
    "no choices": (Sent({"choices": []}), "empty"),
    "the limit": (completion('{"prompt": "A dark picture."}', finish="length"), "cut off"),
    "a refusal": (completion(None, message={"refusal": "I would rather not."}), "refused"),
    "the host's filter": (completion("", finish="content_filter"), "refused"),
    "a policy": (Sent({"error": {"message": "no", "code": "content_policy_violation"}}, 400), "refused"),
}


@pytest.mark.parametrize("fault", [fault for fault, (sent, _) in BAD_ANSWERS.items() if sent.status == 200])
def test_an_answer_of_another_form_holds_no_text(fault: str) -> None:
    sent, reason = BAD_ANSWERS[fault]
    assert isinstance(sent.body, dict)
    answer = read_answer(sent.body, 0.25)
    assert (answer.text, answer.fault, answer.usd) == ("", reason, 0.25)


@pytest.mark.parametrize("fault", ["no JSON", "another key", "a refusal", "a policy"])
def test_a_bad_answer_is_turned_down_and_asked_for_again(tmp_path: Path, fault: str) -> None:
    sent, reason = BAD_ANSWERS[fault]
    with serving(first_time(lambda asked: sent)) as host:
        built = build(request_for(tmp_path, host.url, count=2, captions=str(captions_file(tmp_path, 12))))
    assert built.rejected == {reason: 2}
    assert (len(built.pairs), len(host.asked)) == (2, 4)


@pytest.mark.parametrize(
    "sent",
    [
        Sent({"error": {"message": "slow down"}}, 429, {"retry-after": "2"}),
        Sent("<html>oh no</html>", 500),
        Sent("", after=0.5),
        Sent('{"choices": [', cut=5),
        Sent("", cut=0),
        Sent({"error": {"message": "upstream", "code": 502}}),
    ],
    ids=["429", "500", "hang", "cut", "closed", "hidden"],
)
def test_a_call_that_fails_is_repeated_and_is_no_answer(tmp_path: Path, sent: Sent) -> None:
    with serving(first_time(lambda asked: sent)) as host:
        writer = resolve_writer(f"openai:writer@{host.url}[timeout=0.3]")
        request = request_for(tmp_path, host.url, writer=writer, count=2, captions=str(captions_file(tmp_path, 12)))
        built = build(request)
        assert (built.answers, built.rejected, len(host.asked)) == (2, {}, 4)
    assert [line["attempts"] for line in lines(request)] == [1, 1]


def test_a_fenced_answer_is_one(tmp_path: Path) -> None:
    fenced = lambda asked: completion(f"```json\n{json.dumps({'prompt': wide(*asked_for(asked))})}\n```")  # noqa: E731
    with serving(fenced) as host:
        assert not build(request_for(tmp_path, host.url, count=2)).rejected


def test_the_writer_is_told_what_was_wrong(tmp_path: Path) -> None:
    leaking = lambda asked: completion(  # noqa: E731
        json.dumps({"prompt": f"{asked_for(asked)[0]} with nothing else that matters here, but blurred."})
    )
    with serving(first_time(leaking)) as host:
        build(request_for(tmp_path, host.url, count=1, dimensions=("background", "emotion", "richness", "main object")))
    told = host.prompts[1].removeprefix(host.prompts[0])
    assert '"blurred" tells of an effect that is not on the list' in told
    _, names = asked_for(host.asked[0])
    effects = read_instruction(extra_effects="forbid", attribute_words="free").effects
    assert told.count("a reader could not tell that this was asked for: ") == len(names)
    assert all(effects[name].rstrip(".") in told for name in names)


def test_texts_that_repeat_one_another_are_turned_down_in_the_order_of_the_places(tmp_path: Path) -> None:
    """All pairs ask for the same four effects, and get one text until they are told."""
    names = ("clarity", "emotion", "richness", "main object")
    stubborn = wide("A long row of people waits at the gate", list(names))

    def repeat(asked: Asked) -> Sent:
        caption, dimensions = asked_for(asked)
        again = "it repeats another text" in asked.prompt
        return completion(json.dumps({"prompt": wide(caption, dimensions) if again else stubborn}))

    with serving(repeat) as host:
        request = request_for(tmp_path, host.url, count=12, dimensions=names, extra_effects="allow")
        built = build(request)
    assert built.rejected == {"near-duplicate": 11}
    assert [line["attempts"] for line in lines(request)] == [1] + [2] * 11


def test_a_caption_that_comes_to_nothing_is_reported_and_replaced(tmp_path: Path) -> None:
    hated = set[str]()

    def moody(asked: Asked) -> Sent:
        caption, _ = asked_for(asked)
        if len(hated) < 2:
            hated.add(caption)
        return completion("No.") if caption in hated else write(asked)

    with serving(moody) as host:
        one = resolve_writer(f"openai:writer@{host.url}[concurrency=1]")
        request = request_for(tmp_path, host.url, writer=one, count=6)
        built = build(request)
        assert (len(built.pairs), {left.caption for left in built.left_out}) == (6, hated)
        assert built.left_out[0].reason == "malformed: No."
        assert [len(line["dimensions"]) for line in lines(request)] == [
            len(names) for names in draw_dimensions(6, 7, balanced=True)
        ]
        assert not hated & {line["original"] for line in lines(request)}
        fewer = replace(request, output=Output(tmp_path / "fewer.jsonl"), replace=False)
        assert len(build(fewer).pairs) == 4
    assert len(host.asked) == 6 + 2 * 3 + 4 + 2 * 3


def test_a_writer_that_cannot_do_it_is_given_up_after_a_few_captions(tmp_path: Path) -> None:
    with serving(lambda asked: completion("Certainly!")) as host:
        request = request_for(tmp_path, host.url, count=100)
        with pytest.raises(InfrastructureError, match=r"came to nothing: .* 24 malformed; .*: malformed: Certainly!;"):
            build(request)
    assert len(host.asked) == HOPELESS * 3
    assert not request.output.file.exists()


@pytest.mark.parametrize("concurrency", [1, 5])
def test_neither_the_order_of_answers_nor_earlier_builds_matter(tmp_path: Path, concurrency: int) -> None:
    def moody(asked: Asked) -> Sent:
        """Too short for some captions, until they are told; the later the call, the sooner the answer."""
        caption, _ = asked_for(asked)
        sent = (
            completion('{"prompt": "Dark."}') if len(caption) % 3 == 0 and "turned down" not in asked.prompt else None
        )
        return replace(sent or write(asked), after=max(0.0, 0.02 - asked.number / 400))

    with serving(moody) as host:
        writer = resolve_writer(f"openai:writer@{host.url}[concurrency={concurrency}]")
        request = request_for(tmp_path, host.url, writer=writer, count=12)
        build(request)
        whole = request.output.file.read_bytes()
        asked = len(host.asked)
        rest = replace(request, output=Output(tmp_path / "again.jsonl"))
        host.answer = lambda asked: moody(asked) if asked.number % 5 else Sent("", 401)
        while not rest.output.file.exists():
            with suppress(InfrastructureError):
                build(rest)
    refused = sum(asked.number % 5 == 0 for asked in host.asked[asked:])
    assert rest.output.file.read_bytes() == whole
    assert len(host.asked) - asked == asked + refused, "every answer was asked for once"
    first, second = (read_companion(output.companion).provenance for output in (request.output, rest.output))
    assert {**first, "begun": 0} == {**second, "begun": 0}


def test_a_budget_ends_a_build_which_goes_on_with_the_next(tmp_path: Path) -> None:
    with serving(write) as host:
        priced = resolve_writer(f"openai:writer@{host.url}[price=0.01,concurrency=2]")
        request = request_for(tmp_path, host.url, writer=priced, budget_usd=0.04)
        with pytest.raises(BudgetSpent, match=r"budget of \$0.04 is spent before all of 6 .*: 4 answers are kept in "):
            build(request)
        build(request)
        assert len(host.asked) == 6
        assert read_companion(request.output.companion).provenance["usd"] == 0.06
        unpriced = replace(
            request, writer=resolve_writer(f"openai:writer@{host.url}"), output=Output(tmp_path / "x.jsonl")
        )
        with pytest.raises(UsageError, match=r"append \[price=USD\] to the writer"):
            build(unpriced)


def test_other_settings_are_asked_anew(tmp_path: Path) -> None:
    """The answers that are kept belong to a question; a changed one must not get them."""
    with serving(lambda asked: write(asked) if asked.number < 4 else Sent("", 401)) as host:
        slow = resolve_writer(f"openai:writer@{host.url}[concurrency=1]")
        request = request_for(tmp_path, host.url, writer=slow)
        with pytest.raises(InfrastructureError, match="4 answers are kept"):
            build(request)
        host.answer = write
        build(replace(request, writer=replace(slow, temperature=0.5)))
        assert [asked.body["temperature"] for asked in host.asked[5:]] == [0.5] * 6


@pytest.mark.parametrize("place", ["file", "companion"])
def test_a_set_that_is_there_is_not_overwritten(tmp_path: Path, place: str) -> None:
    with serving(write) as host:
        request = request_for(tmp_path, host.url)
        getattr(request.output, place).write_text("mine")
        with pytest.raises(UsageError, match="is there already"):
            build(request)
        assert getattr(request.output, place).read_text() == "mine"
        assert not host.asked


def test_two_builds_of_one_file_do_not_meet(tmp_path: Path) -> None:
    told: list[object] = []

    def nested(asked: Asked) -> Sent:
        if asked.number == 0:
            with pytest.raises(UsageError, match="another build is writing") as raised:
                build(request)
            told.append(raised)
        return write(asked)

    with serving(nested) as host:
        request = request_for(tmp_path, host.url, count=2)
        build(request)
    assert (len(told), len(host.asked)) == (1, 2)


@pytest.mark.parametrize("trouble", ["success", "unauthorized", "malformed", "broken"])
def test_the_key_is_in_no_file_message_log_or_traceback(
    tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AES_AUDIT_127_0_0_1_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []

    def echo(asked: Asked) -> Sent:
        if trouble == "success":
            caption, names = asked_for(asked)
            return completion(json.dumps({"prompt": f"{SECRET} {wide(caption, names)}"}), model=SECRET)
        if trouble == "malformed":
            return completion(f"{SECRET} says no", model=SECRET)
        return Sent({"error": {"message": f"what is {SECRET}?"}}, 401 if trouble == "unauthorized" else 503)

    with serving(echo) as host:
        request = request_for(tmp_path, host.url)
        try:
            shown.append(repr(build(request)))
        except AesAuditError as error:
            whole = traceback.TracebackException.from_exception(error, capture_locals=True)
            shown += [str(error), repr(error), *whole.format()]
        assert all(SECRET in asked.headers["authorization"] for asked in host.asked)
    shown += [repr(request), caplog.text]
    shown += [file.read_text("latin-1") for file in tmp_path.rglob("*") if file.is_file()]
    assert len(shown) > 3
    assert not any(SECRET in text for text in shown)
