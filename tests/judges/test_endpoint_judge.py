"""J over an endpoint: the real client against a server with a real tiny model, and against hosts that misbehave."""

from __future__ import annotations

import base64
import io
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from endpoints.hosts import Asked, FakeTime, Host, Sent, serving
from PIL import Image

from aes_audit.endpoints.budget import Budget
from aes_audit.errors import AesAuditError, BudgetSpent, InfrastructureError, UnknownName, UsageError
from aes_audit.evidence.scorers import judge_scorer
from aes_audit.judges.endpoint_judge import MAX_ERROR, EndpointJudge, read_listed
from aes_audit.judges.endpoint_model import EndpointJudgeModel
from aes_audit.judges.guideline import Guideline, question
from aes_audit.judges.registry import resolve_judge
from aes_audit.judges.spec import ORDERS
from aes_audit.prompts.dimensions import DIMENSIONS

SOME = DIMENSIONS[:3]
LIKELY = {"0": 0.2, "1": 0.3, "2": 0.4, "The": 0.05}
J = (0.3 + 2 * 0.4) / 0.9


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (40 + 9 * n, 70, 3), dtype=np.uint8)) for n in range(count)]


def resolved(spec: str) -> EndpointJudgeModel:
    judge = resolve_judge(spec, device="cpu")
    assert isinstance(judge, EndpointJudgeModel)
    return judge


def completion(likely: Mapping[str, float] | None, **more: Any) -> Mapping[str, Any]:
    """A chat completion whose first token has these probabilities."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": "1"}, "finish_reason": "length"}
    if likely is not None:
        top = [{"token": token, "logprob": math.log(value) if value else -9999.0} for token, value in likely.items()]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}


@contextmanager
def judging(
    answer: Callable[[Asked], Sent], options: str = "size=32", budget: float | None = None
) -> Iterator[tuple[EndpointJudge, Host, FakeTime]]:
    """A loaded judge that asks this host, with time that passes at once."""
    time = FakeTime()
    with serving(answer) as host:
        judge = resolved(f"openai:m@{host.url}/v1[{options}]")
        yield replace(judge, clock=time.clock).paid_from(Budget(budget)).load(), host, time


@pytest.fixture(scope="module")
def answering(tiny_qwen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, made to answer with digits: their output weights are turned towards its states there."""
    from judges.test_vision_language import Naive
    from transformers import Qwen3VLForConditionalGeneration

    model: Any = Qwen3VLForConditionalGeneration.from_pretrained(tiny_qwen).eval()
    naive = Naive(model, tiny_qwen)
    folder = Path(shutil.copytree(tiny_qwen, tmp_path_factory.mktemp("models") / "answering"))
    with torch.no_grad():
        asked = [naive.inputs(pictures(1)[0], name, order, (64, 96)) for name in SOME for order in ORDERS]
        states = torch.stack([model.model(**inputs).last_hidden_state[0, -1] for inputs in asked])
        digits = naive.tokenizer.convert_tokens_to_ids(["0", "1", "2"])
        model.lm_head.weight[digits] += 8 * states.mean(dim=0) / states.mean(dim=0).square().sum()
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("order", ORDERS)
def test_it_equals_the_same_model_asked_without_a_network(answering: Path, order: str) -> None:
    from judges.served_model import serving_model
    from judges.test_vision_language import loaded

    images = pictures(2)
    local = loaded(answering, order, (64, 96))
    with serving_model(answering) as host:
        spec = f"openai:tiny@{host.url}/v1[size=64x96,order={order},concurrency=2]"
        judge = resolved(spec).load()
        found = judge.probabilities(images, SOME)
    assert len(host.asked) == 6
    np.testing.assert_allclose(found, local.probabilities(images, SOME), atol=2e-6)
    assert found.std(axis=1).mean() > 0.01


def test_what_is_asked() -> None:
    image = pictures(1)[0]
    with judging(lambda asked: Sent(completion(LIKELY)), "size=48x32,top=5") as (judge, host, _):
        judge.score([image], SOME)
    assert [asked.path for asked in host.asked] == ["/v1/chat/completions"] * 3
    texts = set()
    for asked in host.asked:
        assert asked.body["model"] == "m"
        assert {name: asked.body[name] for name in ("max_tokens", "temperature", "logprobs", "top_logprobs")} == {
            "max_tokens": 1, "temperature": 1, "logprobs": True, "top_logprobs": 5
        }  # fmt: skip
        ((text, shown),) = [turn["content"] for turn in asked.body["messages"]]
        texts.add(text["text"])
        kind, _, data = shown["image_url"]["url"].partition(";base64,")
        assert kind == "data:image/png"
        sent = Image.open(io.BytesIO(base64.b64decode(data)))
        np.testing.assert_array_equal(np.asarray(sent), np.asarray(image.resize((48, 32))))
    assert texts == {question(name, Guideline.read()) for name in SOME}


def test_scores_and_probabilities_in_the_order_asked() -> None:
    def answer(asked: Asked) -> Sent:
        text = asked.body["messages"][0]["content"][0]["text"]
        at = next(number for number, name in enumerate(SOME) if f" its {name} quality" in text)
        return Sent(completion({str(at): 0.9, **{str(level): 0.05 for level in {0, 1, 2} - {at}}}))

    with judging(answer) as (judge, _, _):
        assert judge.probabilities(pictures(2), SOME).argmax(axis=-1).tolist() == [[0, 1, 2]] * 2
        np.testing.assert_allclose(judge.score(pictures(1), SOME), [[0.15, 1.0, 1.85]])


def test_every_answer_is_a_row_or_a_reason() -> None:
    with judging(lambda asked: Sent(completion({"The": 0.9, "A": 0.1}))) as (judge, host, _):
        ((answer,),) = judge.answers(pictures(1), SOME[:1])
        assert np.isnan(judge.score(pictures(1), SOME[:1])).all()
        assert np.isnan(judge.probabilities(pictures(1), SOME[:1])).all()
    assert answer.value is None
    assert answer.error == "none of the answers 0, 1 and 2 is among the likeliest tokens (3 answers)"
    assert len(host.asked) == 9


@pytest.mark.parametrize(
    ("likely", "unlisted", "error"),
    [
        (LIKELY, (), 0.0),
        # 0.001 is left over: J = 2 * 0.599 / 0.999 may become 2 * 0.599 / 1.0 or (2 * 0.599 + 0.001) / 1.0.
        ({"2": 0.599, "0": 0.4}, (1,), 2 * 0.599 / 0.999 - (2 * 0.599 + 0.001) / 1.0),
        # Nothing is left over, so what is not listed has no probability.
        ({"1": 0.5, "0": 0.5}, (2,), 0.0),
        # The last that is listed has 0.0001, and what is not listed has no more, though 0.4 is left over.
        ({"1": 0.5, "0": 0.0999, "x": 0.0001}, (2,), (0.5 + 0.0002) / 0.6 - 0.5 / 0.5999),
        ({"1": 1.0}, (0, 2), 0.0),
    ],
)
def test_unlisted_answers_count_as_impossible_and_the_error_is_bounded(
    likely: Mapping[str, float], unlisted: tuple[int, ...], error: float
) -> None:
    found = read_listed(completion(likely))
    assert found.unlisted == unlisted
    assert sum(found.probabilities) == pytest.approx(1)
    assert found.error == pytest.approx(abs(error), rel=0.01, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_the_bound_holds_for_any_distribution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = ["0", "1", "2", *"abcdefgh"]
    shares = rng.dirichlet(np.full(len(tokens), 0.5))
    order = np.argsort(-shares)
    whole = dict(zip(tokens, shares, strict=True))
    true = (whole["1"] + 2 * whole["2"]) / (whole["0"] + whole["1"] + whole["2"])
    for top in range(1, len(tokens) + 1):
        listed = {tokens[n]: float(shares[n]) for n in order[:top]}
        if not {"0", "1", "2"} & listed.keys():
            continue
        found = read_listed(completion(listed))
        ours = found.probabilities[1] + 2 * found.probabilities[2]
        assert abs(ours - true) <= found.error + 1e-9


def test_a_bound_that_is_too_wide_is_no_score() -> None:
    with judging(lambda asked: Sent(completion({"2": 0.5, "0": 0.3, "x": 0.1}))) as (judge, _, _):
        ((answer,),) = judge.answers(pictures(1), SOME[:1])
    assert answer.value is None
    assert answer.error is not None
    assert answer.error.startswith('the host does not list "1" among the likeliest tokens: J may be off by 0.')
    tight = {"2": 0.5, "0": 0.4, "x": 0.001}
    with judging(lambda asked: Sent(completion(tight))) as (judge, _, _):
        ((answer,),) = judge.answers(pictures(1), SOME[:1])
    assert answer.value == pytest.approx(2 * 0.5 / 0.9)
    assert 0 < answer.extra["unlisted_error"] <= MAX_ERROR


def test_a_host_without_log_probabilities_is_named_with_the_way_out() -> None:
    with (
        judging(lambda asked: Sent(completion(None)), "size=32,concurrency=1") as (judge, host, _),
        pytest.raises(InfrastructureError, match=r"^openai:m@.* answers without log-probabilities, .*vLLM"),
    ):
        judge.score(pictures(1), SOME)
    assert len(host.asked) == 3


BROKEN: Sequence[Any] = [
    completion({"0": 0.9, "1": 0.9, "2": 0.9}),
    {**completion(LIKELY), "choices": []},
    {"choices": [{"message": {"content": "1"}, "logprobs": {"content": [{"token": "1", "logprob": 0.0}]}}]},
    {"choices": [{"message": {}, "logprobs": {"content": [{"top_logprobs": [{"token": 1, "logprob": 0}]}]}}]},
    {"choices": [{"message": {}, "logprobs": {"content": [{"top_logprobs": [{"token": "1", "logprob": "x"}]}]}}]},
    {"choices": [{"message": {}, "logprobs": {"content": [{"top_logprobs": [{"token": "1", "logprob": 3.0}]}]}}]},
    '{"choices":[{"message":{},"logprobs":{"content":[{"top_logprobs":[{"token":"1","logprob":NaN}]}]}}]}',
]


@pytest.mark.parametrize("body", BROKEN)
def test_a_broken_answer_is_asked_again_and_then_missing(body: Any) -> None:
    with judging(lambda asked: Sent(body)) as (judge, host, _):
        ((answer,),) = judge.answers(pictures(1), SOME[:1])
    assert answer.value is None
    assert str(answer.error).endswith("(3 answers)")
    assert len(host.asked) == 3


FAULTS: Mapping[str, Sent] = {
    "malformed": Sent('{"choices": [{"mess'),
    "no object": Sent("[1, 2]"),
    "busy": Sent({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "7"}),
    "broken": Sent("<html>oops</html>", status=500),
    "closed": Sent(cut=0),
    "cut": Sent(completion(LIKELY), cut=40),
    "hangs": Sent(completion(LIKELY), after=1.5),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_host_that_fails_once_is_asked_again(fault: str) -> None:
    def answer(asked: Asked) -> Sent:
        return FAULTS[fault] if asked.number == 0 else Sent(completion(LIKELY))

    with judging(answer, "size=32,timeout=0.5") as (judge, host, time):
        assert judge.score(pictures(1), SOME[:1]).item() == pytest.approx(J)
    assert len(host.asked) == 2
    assert len(time.slept) == 1
    if fault == "busy":
        assert time.slept[0] >= 7


@pytest.mark.parametrize("fault", ["malformed", "busy", "broken", "closed"])
def test_a_host_that_fails_for_good_is_an_error_in_one_line(fault: str) -> None:
    with (
        judging(lambda asked: FAULTS[fault], "size=32,attempts=2") as (judge, _, _),
        pytest.raises(InfrastructureError, match=r"^openai:m@http[^\n]*\(2 attempts\)[^\n]*$"),
    ):
        judge.score(pictures(1), SOME)


def test_a_budget_ends_in_time_and_is_settled_by_what_the_host_says() -> None:
    def answer(asked: Asked) -> Sent:
        return Sent(completion(LIKELY, usage={"cost": 0.001}))

    with (
        judging(answer, "size=32,price=0.01,concurrency=1", budget=0.0115) as (judge, host, _),
        pytest.raises(BudgetSpent),
    ):
        judge.score(pictures(1), SOME)
    # 0.01 is set aside, 0.001 paid: after two answers 0.0095 are left.
    assert len(host.asked) == 2


def test_a_limited_budget_needs_a_price() -> None:
    with pytest.raises(UsageError, match=r"--audit-budget needs to know what a question costs"):
        resolved("openai:m@http://localhost:1/v1").paid_from(Budget(1.0))


def test_an_image_is_stored_before_the_next_is_asked_about() -> None:
    scorer = judge_scorer(resolved("openai:m@http://localhost:1/v1"))
    assert scorer.batch == 1


@pytest.mark.parametrize(
    ("spec", "kind", "said"),
    [
        ("openai:", UsageError, "names no hosted model"),
        ("openai:m@nowhere", UsageError, "endpoint 'nowhere' is no URL"),
        ("openai:m[top=21]", UsageError, "option top=21: give a whole number from 1 to 20"),
        ("openai:m[price=x]", UsageError, "option price=x: give US dollars per question"),
        ("openai:m[order=both]", UsageError, "option order=both"),
        ("openai:m[dtype=float32]", UnknownName, "unknown option of a hosted judge 'dtype'"),
        ("openai:m+lora=x", UsageError, "the host loads adapters"),
    ],
)
def test_what_a_spec_cannot_say_is_refused(spec: str, kind: type[AesAuditError], said: str) -> None:
    with pytest.raises(kind, match=said):
        resolve_judge(spec, device="cpu")


def test_whatever_changes_scores_changes_the_identity() -> None:
    specs = ["openai:m", "openai:n", "openai:m@http://localhost:1/v1"]
    specs += [f"openai:m[{option}]" for option in ("top=5", "size=64", "order=image-first")]
    assert len({str(resolved(spec).identity) for spec in specs}) == len(specs)
    assert resolved("openai:m[rpm=3,price=1]").identity == resolved("openai:m").identity
    assert resolved("openai:m").identity["guideline"] == {"sha256": Guideline.read().digest}


def test_without_a_key_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        resolved("openai:m").load()
