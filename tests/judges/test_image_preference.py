"""Judges that look at both images: what is sent, what becomes of answers, both orders, resuming, faults and money.

The server is local, the client is openai's own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from endpoints.hosts import Asked, Sent
from hypothesis import given
from hypothesis import strategies as st
from judges.lookers import answer, bright_pair, brighter, judge_at, lookers_host, said, shown, texts

from aes_audit.endpoints.budget import Budget
from aes_audit.errors import AesAuditError, BudgetSpent, InfrastructureError
from aes_audit.evidence.preferring import PairJob, left_to_ask, prefer, shown_orders
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.judges.image_preference import ANSWERS, INSTRUCTION, HostedPreference
from aes_audit.judges.image_preference_chat import read_choice
from aes_audit.judges.image_preference_price import Price


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


def asked_about(judge: HostedPreference, jobs: Sequence[PairJob], store: Store) -> list[Mapping[str, Any]]:
    """The rows of the pairs, in order."""
    return list(prefer(judge, jobs, store, Progress()))


def values(rows: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """What the rows hold."""
    return [row["value"] for row in rows]


def scores_in(store: Store) -> int:
    """Answers that are kept."""
    return len(list((store.local / "scores").rglob("*.json")))


def pairs(store: Store, *levels: tuple[int, int], orders: str = "both") -> list[PairJob]:
    """Pairs of these brightnesses: of the original and of the wide image."""
    return [bright_pair(store, f"item-{number}", *pair, orders=orders) for number, pair in enumerate(levels)]


class TestWhatIsAsked:
    """Both images, the wide prompt, and nothing else."""

    def test_each_image_is_shown_first_once_and_as_it_is_stored(self, store: Store) -> None:
        (job,) = pairs(store, (10, 200))
        with lookers_host() as host:
            asked_about(judge_at(host, limits={"concurrency": 1}), [job], store)
        original, wide = (store.read_image(record) for record in (job.original, job.wide))
        assert [shown(one) for one in host.asked] == [[original, wide], [wide, original]]

    def test_the_text_is_the_wide_prompt_under_our_instruction(self, store: Store) -> None:
        with lookers_host() as host:
            asked_about(judge_at(host), pairs(store, (10, 200)), store)
        expected = f"{INSTRUCTION}\nFirst image:\nSecond image:\nDescription: a picture of item-0, and bright"
        assert {texts(one) for one in host.asked} == {expected}

    def test_temperature_schema_and_length_go_along(self, store: Store) -> None:
        with lookers_host() as host:
            asked_about(judge_at(host, max_tokens=32), pairs(store, (10, 200)), store)
        body = host.asked[0].body
        assert (body["model"], body["temperature"], body["max_tokens"]) == ("looker", 0.3, 32)
        schema = body["response_format"]["json_schema"]
        assert schema["strict"] is True
        assert schema["schema"]["properties"] == {"answer": {"type": "integer", "enum": [0, 1, -1]}}

    def test_what_is_left_to_the_host_is_not_sent(self, store: Store) -> None:
        with lookers_host() as host:
            asked_about(judge_at(host, temperature=None, schema=False), pairs(store, (10, 200)), store)
        assert not {"temperature", "response_format", "max_tokens"} & set(host.asked[0].body)

    @pytest.mark.parametrize("status", [400, 422])
    def test_a_host_that_knows_no_schemas_is_asked_without_from_then_on(self, store: Store, status: int) -> None:
        def reply(asked: Asked) -> Sent:
            if "response_format" in asked.body:
                return Sent({"error": {"message": "unknown field response_format"}}, status)
            return brighter(asked)

        with lookers_host(reply) as host:
            judge = judge_at(host, limits={"concurrency": 1})
            assert values(asked_about(judge, pairs(store, (10, 200), (200, 10)), store)) == [1.0, 0.0]
        assert Counter("response_format" in one.body for one in host.asked) == {True: 1, False: 4}

    def test_pairs_without_both_images_are_missing_and_nobody_is_asked(self, store: Store) -> None:
        (job,) = pairs(store, (10, 200))
        lost = ImageRecord("0" * 64, None, "refused by a filter", {})
        with lookers_host() as host:
            (row,) = asked_about(judge_at(host), [PairJob(job.item, job.text, job.original, lost, job.orders)], store)
        assert (row["value"], row["error"]) == (None, "wide: refused by a filter")
        assert host.asked == []

    def test_one_image_twice_is_a_tie_without_asking(self, store: Store) -> None:
        (job,) = pairs(store, (10, 200))
        same = PairJob(job.item, job.text, job.wide, job.wide, job.orders)
        with lookers_host() as host:
            (row,) = asked_about(judge_at(host), [same], store)
        assert (row["value"], row["error"], row["order_agreement"]) == (0.5, None, None)
        assert host.asked == []


class TestOrders:
    """What follows from two answers about one pair."""

    def test_a_judge_that_looks_gives_the_same_image_in_either_order(self, store: Store) -> None:
        with lookers_host() as host:
            rows = asked_about(judge_at(host), pairs(store, (10, 200), (200, 10), (100, 100)), store)
        assert values(rows) == [1.0, 0.0, 0.5]
        assert [row["order_agreement"] for row in rows] == [True, True, True]
        found = [(row["answer_original_first"], row["answer_wide_first"]) for row in rows]
        assert found == [(1, 0), (0, 1), (-1, -1)]

    @pytest.mark.parametrize("place", [0, 1])
    def test_a_judge_that_names_a_place_ties_every_pair_and_disagrees_with_itself(
        self, store: Store, place: int
    ) -> None:
        with lookers_host(lambda asked: answer(place)) as host:
            rows = asked_about(judge_at(host), pairs(store, (10, 200), (200, 10)), store)
        assert values(rows) == [0.5, 0.5]
        assert [row["order_agreement"] for row in rows] == [False, False]

    def test_an_image_in_one_order_and_neither_in_the_other_is_a_tie(self, store: Store) -> None:
        (job,) = pairs(store, (10, 200))
        original = store.read_image(job.original)
        with lookers_host(lambda asked: answer(1 if shown(asked)[0] == original else -1)) as host:
            (row,) = asked_about(judge_at(host), [job], store)
        assert (row["value"], row["order_agreement"]) == (0.5, False)

    def test_one_order_asks_once_and_finds_the_same_image(self, store: Store) -> None:
        jobs = pairs(store, *[(10, 200), (200, 10)] * 4, orders="one")
        with lookers_host() as host:
            rows = asked_about(judge_at(host, orders="one"), jobs, store)
        assert values(rows) == [1.0, 0.0] * 4
        assert len(host.asked) == 8
        assert all(row["order_agreement"] is None for row in rows)
        assert all((row["answer_original_first"] is None) != (row["answer_wide_first"] is None) for row in rows)

    def test_one_order_is_drawn_per_item_fairly_and_always_the_same(self) -> None:
        items = [str(number) for number in range(400)]
        drawn = [shown_orders("one", "a set", item) for item in items]
        assert drawn == [shown_orders("one", "a set", item) for item in items]
        assert drawn != [shown_orders("one", "a set", item, repeat=1) for item in items]
        assert 150 < Counter(drawn)[("answer_wide_first",)] < 250

    def test_answers_about_one_order_serve_whoever_asks_about_both(self, store: Store) -> None:
        with lookers_host() as host:
            asked_about(judge_at(host, orders="one"), pairs(store, (10, 200), orders="one"), store)
            asked_about(judge_at(host), pairs(store, (10, 200)), store)
        assert len(host.asked) == 2


class TestAnswers:
    """What is a valid answer, and what becomes of the others."""

    @pytest.mark.parametrize(
        ("text", "choice"),
        [('{"answer": 0}', 0), (' {"answer":1}\n', 1), ('```json\n{"answer": -1}\n```', -1), ('```{"answer":1}```', 1)],
    )
    def test_a_json_object_is_read_also_in_a_fence(self, text: str, choice: int) -> None:
        assert read_choice(text) == choice

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("The first image.", "no JSON"),
            ('{"answer": 1', "no JSON"),
            ('I think {"answer": 1}', "no JSON"),
            ("[" * 100_000, "no JSON"),
            ('{"answer": %s}' % ("1" * 5000), "no JSON"),
            ("1", "no object"),
            ("[]", "no object"),
            ('[["answer", 1]]', "no object"),
            ("{}", "no object"),
            ('{"choice": 1}', "no object"),
            ('{"answer": 1, "why": "dark"}', "no object"),
            ('{"answer": 1, "answer": 0}', "no object"),
            ('{"answer": 2}', "none of 0, 1 and -1"),
            ('{"answer": true}', "none of"),
            ('{"answer": 1.0}', "none of"),
            ('{"answer": "1"}', "none of"),
            ('{"answer": null}', "none of"),
            ('{"answer": [1]}', "none of"),
        ],
    )
    def test_anything_else_is_refused_with_what_was_said(self, text: str, complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint):
            read_choice(text)

    @given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5).map(json.dumps))
    def test_no_text_breaks_the_reader(self, text: str) -> None:
        with suppress(ValueError):
            assert read_choice(text) in (0, 1, -1)

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (said("hm"), "the answer is no JSON: hm"),
            (answer(7), "the answer is none of 0, 1 and -1"),
            (said(None), "the answer holds no text"),
            (said(None, message={"refusal": "I must not look."}), "refused: I must not look."),
            (Sent({"choices": []}), "the answer holds no text"),
            (Sent({"choices": [{"message": {"content": 3}}]}), "the answer holds no text"),
        ],
    )
    def test_five_invalid_answers_make_the_pair_missing(self, store: Store, bad: Sent, reason: str) -> None:
        with lookers_host(lambda asked: bad) as host:
            judge = judge_at(host)
            (row,) = asked_about(judge, pairs(store, (10, 200)), store)
            assert len(host.asked) == 2 * ANSWERS
            assert row["value"] is None
            assert reason in row["error"]
            assert "original shown first" in row["error"]
            assert f"({ANSWERS} answers)" in row["error"]
            # It is kept as missing: nobody is asked again.
            assert values(asked_about(judge, pairs(store, (10, 200)), store)) == [None]
            assert len(host.asked) == 2 * ANSWERS

    def test_an_invalid_answer_is_asked_again(self, store: Store) -> None:
        with lookers_host(lambda asked: brighter(asked) if asked.number % 3 == 2 else said("well...")) as host:
            rows = asked_about(judge_at(host, limits={"concurrency": 1}), pairs(store, (10, 200)), store)
        assert values(rows) == [1.0]
        assert len(host.asked) == 6
        notes = [json.loads(file.read_text())["record"] for file in (store.local / "scores").rglob("*.json")]
        assert [note["attempts"] for note in notes] == [3, 3]
        assert {note["notes"]["model"] for note in notes} == {"looker-001"}

    def test_one_order_without_an_answer_makes_the_pair_missing_and_not_a_guess(self, store: Store) -> None:
        (job,) = pairs(store, (10, 200))
        wide = store.read_image(job.wide)
        with lookers_host(lambda asked: said("?") if shown(asked)[0] == wide else brighter(asked)) as host:
            (row,) = asked_about(judge_at(host), [job], store)
        assert (row["value"], row["answer_original_first"], row["answer_wide_first"]) == (None, 1, None)
        assert row["error"].startswith("wide shown first: ")

    def test_text_in_parts_is_text(self, store: Store) -> None:
        parts = [{"type": "text", "text": '{"answer"'}, {"type": "text", "text": ": -1}"}]
        with lookers_host(lambda asked: said(parts)) as host:
            assert values(asked_about(judge_at(host), pairs(store, (10, 200)), store)) == [0.5]

    @pytest.mark.parametrize("code", ["content_policy_violation", "moderation_blocked"])
    def test_a_filter_that_refuses_the_pair_is_not_asked_again(self, store: Store, code: str) -> None:
        refusal = Sent({"error": {"message": "not these images", "code": code}}, 400)
        with lookers_host(lambda asked: refusal) as host:
            (row,) = asked_about(judge_at(host), pairs(store, (10, 200)), store)
        assert "refused: HTTP 400" in row["error"]
        assert len(host.asked) == 2


class TestFaults:
    """A host that fails is no answer: nothing of it is stored, and the next run asks again."""

    @pytest.mark.parametrize(
        "fault",
        [
            Sent({"error": {"message": "busy"}}, 429),
            Sent({"error": {"message": "broken"}}, 500),
            Sent("<html>", 503),
            Sent("no JSON at all"),
            Sent(answer(1).body, cut=0),
            Sent(answer(1).body, cut=30),
        ],
        ids=["429", "500", "503", "not-json", "closed", "cut-off"],
    )
    def test_a_passing_fault_is_tried_again(self, store: Store, fault: Sent) -> None:
        with lookers_host(lambda asked: fault if asked.number < 2 else brighter(asked)) as host:
            rows = asked_about(judge_at(host, limits={"concurrency": 1}), pairs(store, (10, 200)), store)
        assert values(rows) == [1.0]
        assert len(host.asked) == 4

    def test_a_host_that_hangs_is_given_up_and_nothing_is_stored(self, store: Store) -> None:
        with lookers_host(lambda asked: Sent(answer(1).body, after=1.0)) as host:
            judge = judge_at(host, limits={"timeout": 0.2, "attempts": 2})
            with pytest.raises(InfrastructureError, match=r"no answer within 0.2 s \(2 attempts\)"):
                asked_about(judge, pairs(store, (10, 200)), store)
        assert scores_in(store) == 0

    @pytest.mark.parametrize("status", [401, 404, 429, 500])
    def test_a_fault_that_stays_stores_nothing_and_the_next_run_asks_only_what_is_left(
        self, store: Store, status: int
    ) -> None:
        jobs = pairs(store, (10, 200), (200, 10), (50, 90))
        down = Sent({"error": {"message": "no"}}, status)
        with lookers_host(lambda asked: brighter(asked) if asked.number < 3 else down) as host:
            judge = judge_at(host, limits={"concurrency": 1})
            with pytest.raises(InfrastructureError, match=f"HTTP {status}"):
                asked_about(judge, jobs, store)
            assert scores_in(store) == 3
            host.answer = brighter
            before = len(host.asked)
            assert values(asked_about(judge, jobs, store)) == [1.0, 0.0, 1.0]
            assert len(host.asked) - before == 3

    def test_answers_of_the_same_moment_are_kept_when_one_of_them_fails(self, store: Store) -> None:
        jobs = pairs(store, (10, 200), (200, 10))
        first = store.read_image(jobs[0].original)

        def reply(asked: Asked) -> Sent:
            if shown(asked)[0] == first:
                return Sent({"error": {"message": "no"}}, 403, after=0.3)
            return brighter(asked)

        with lookers_host(reply) as host, pytest.raises(InfrastructureError, match="HTTP 403"):
            asked_about(judge_at(host, limits={"concurrency": 4}), jobs, store)
        assert scores_in(store) == 3


class TestResume:
    """Nobody is asked twice."""

    def test_a_second_run_asks_nothing_and_needs_no_host(self, store: Store) -> None:
        jobs = pairs(store, (10, 200), (200, 10))
        with lookers_host() as host:
            judge = judge_at(host)
            assert left_to_ask(judge, jobs, store) == 4
            before = asked_about(judge, jobs, store)
        assert left_to_ask(judge, jobs, store) == 0
        assert asked_about(judge, jobs, store) == before

    @pytest.mark.parametrize(
        "change", [{"temperature": 0.0}, {"schema": False}, {"max_tokens": 9}, {"model": "another"}], ids=str
    )
    def test_another_judge_has_answers_of_its_own(self, store: Store, change: Mapping[str, Any]) -> None:
        with lookers_host() as host:
            judge = judge_at(host)
            asked_about(judge, pairs(store, (10, 200)), store)
            other: HostedPreference = replace(judge, **change)
            asked_about(other, pairs(store, (10, 200)), store)
        assert len(host.asked) == 4

    def test_another_image_or_text_is_another_question(self, store: Store) -> None:
        (job,) = pairs(store, (10, 200))
        (other,) = pairs(store, (10, 220))
        reworded = PairJob(job.item, job.text + "!", job.original, job.wide, job.orders)
        with lookers_host() as host:
            judge = judge_at(host)
            for one in (job, other, reworded):
                asked_about(judge, [one], store)
        assert len(host.asked) == 6

    def test_a_garbled_answer_is_asked_again(self, store: Store) -> None:
        with lookers_host() as host:
            judge = judge_at(host)
            asked_about(judge, pairs(store, (10, 200)), store)
            file = next((store.local / "scores").rglob("*.json"))
            file.write_text(file.read_text().replace('"answer":', '"answer":1', 1))
            assert values(asked_about(judge, pairs(store, (10, 200)), store)) == [1.0]
        assert len(host.asked) == 3


class TestLimits:
    """How hard the host is pressed, and what it may cost."""

    def test_as_many_questions_at_once_as_allowed_and_no_more(self, store: Store) -> None:
        with lookers_host(lambda asked: Sent(brighter(asked).body, after=0.05)) as host:
            asked_about(judge_at(host, limits={"concurrency": 3}), pairs(store, *[(10, 200)] * 6), store)
        assert host.most_at_once == 3

    def test_a_spent_budget_keeps_what_was_answered_and_the_next_run_goes_on(self, store: Store) -> None:
        jobs = pairs(store, (10, 200), (200, 10), (50, 90))
        with lookers_host() as host:
            judge = judge_at(host, price=Price(0.01), limits={"concurrency": 2})
            with pytest.raises(BudgetSpent, match=r"the budget of \$0.03 is spent"):
                asked_about(judge.paid_from(Budget(0.03)), jobs, store)
            assert len(host.asked) == scores_in(store) == 3
            again = judge.paid_from(Budget(0.03))
            assert values(asked_about(again, jobs, store)) == [1.0, 0.0, 1.0]
            assert len(host.asked) == 6
            assert again.budget.spent_usd == pytest.approx(0.03)

    def test_invalid_answers_are_paid_for_too(self, store: Store) -> None:
        with lookers_host(lambda asked: said("?")) as host:
            judge = judge_at(host, price=Price(0.01)).paid_from(Budget(1.0))
            asked_about(judge, pairs(store, (10, 200)), store)
        assert judge.budget.spent_usd == pytest.approx(0.01 * 2 * ANSWERS)

    def test_tokens_are_paid_as_the_host_counts_them(self, store: Store) -> None:
        usage = {"prompt_tokens": 2000, "completion_tokens": 10}
        price = Price.read(None, 0.5, 2.0)
        assert price is not None
        with lookers_host(lambda asked: answer(1, usage=usage)) as host:
            judge = judge_at(host, price=price).paid_from(Budget(1.0))
            asked_about(judge, pairs(store, (10, 200)), store)
        assert judge.budget.spent_usd == pytest.approx(2 * (2000 * 0.5 + 10 * 2.0) / 1e6)

    @pytest.mark.parametrize("usage", [None, {"prompt_tokens": "many"}, {"prompt_tokens": -1, "completion_tokens": 1}])
    def test_where_the_host_counts_nothing_what_was_set_aside_is_spent(self, store: Store, usage: Any) -> None:
        price = Price.read(0.02, 0.5, 2.0)
        with lookers_host(lambda asked: answer(1, usage=usage)) as host:
            judge = judge_at(host, price=price).paid_from(Budget(1.0))
            asked_about(judge, pairs(store, (10, 200)), store)
        assert judge.budget.spent_usd == pytest.approx(0.04)

    def test_what_the_host_says_it_charged_counts_before_any_price(self, store: Store) -> None:
        with lookers_host(lambda asked: answer(1, usage={"cost": 0.007})) as host:
            judge = judge_at(host, price=Price(0.01)).paid_from(Budget(1.0))
            asked_about(judge, pairs(store, (10, 200)), store)
        assert judge.budget.spent_usd == pytest.approx(0.014)

    def test_a_budget_without_a_price_is_refused(self) -> None:
        with lookers_host() as host, pytest.raises(AesAuditError, match=r"append \[price=USD\]"):
            judge_at(host).paid_from(Budget(1.0))
