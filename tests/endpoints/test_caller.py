"""Calls under limits: what is tried again, what is paid, how many at once, and when it stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from endpoints.hosts import FakeTime

from aes_audit.endpoints.budget import Budget
from aes_audit.endpoints.caller import Caller, Limits
from aes_audit.endpoints.failures import CallFailed
from aes_audit.errors import AesAuditError, BudgetSpent, InfrastructureError


def _failing(*failures: CallFailed, then: str = "done") -> Callable[[], str]:
    left = list(failures)

    def send() -> str:
        if left:
            raise left.pop(0)
        return then

    return send


def _caller(budget: Budget | None = None, fake: FakeTime | None = None, **limits: float) -> Caller:
    clock = (fake or FakeTime()).clock
    return Caller("host", Limits(**limits), price=0.1, budget=budget, clock=clock)  # type: ignore[arg-type]


BUSY = CallFailed("HTTP 429: slow down", passing=True, status=429)
SILENT = CallFailed("no answer within 1 s", passing=True, billed=True)
WRONG = CallFailed("HTTP 401: who are you", passing=False, status=401)


def test_a_passing_failure_is_tried_again_after_growing_pauses() -> None:
    fake = FakeTime()
    assert _caller(fake=fake).call(_failing(BUSY, SILENT, BUSY)) == "done"
    assert fake.slept == [1, 2, 4]


def test_a_host_that_says_when_is_asked_then() -> None:
    fake = FakeTime()
    _caller(fake=fake).call(_failing(CallFailed("busy", passing=True, wait=17)))
    assert fake.slept == [17]


def test_a_host_that_says_tomorrow_is_not_waited_for() -> None:
    with pytest.raises(InfrastructureError, match=r"host: busy; it asks to wait for 86400 s\."):
        _caller().call(_failing(CallFailed("busy", passing=True, wait=86400)))


def test_after_the_last_attempt_the_failure_is_one_sentence_without_its_cause() -> None:
    with pytest.raises(InfrastructureError, match=r"^host: HTTP 429: slow down \(3 attempts\)\.$") as given_up:
        _caller(attempts=3).call(_failing(*[BUSY] * 3))
    assert not isinstance(given_up.value, CallFailed)
    assert given_up.value.__cause__ is None


def test_what_will_not_pass_is_tried_once() -> None:
    fake = FakeTime()
    with pytest.raises(InfrastructureError, match=r"^host: HTTP 401: who are you\.$"):
        _caller(fake=fake).call(_failing(WRONG))
    assert fake.slept == []


def test_only_what_the_host_may_charge_for_is_spent() -> None:
    budget = Budget()
    _caller(budget).call(_failing(BUSY, SILENT, BUSY))
    # The silent attempt may have been worked on, and the last one was.
    assert budget.spent_usd == pytest.approx(0.2)


def test_the_host_s_own_word_on_the_cost_counts() -> None:
    budget = Budget()
    _caller(budget).call(_failing(), cost=lambda _: 0.03)
    assert budget.spent_usd == pytest.approx(0.03)


def test_nothing_is_sent_that_cannot_be_paid() -> None:
    sent = []
    with pytest.raises(BudgetSpent):
        _caller(Budget(0.09)).call(lambda: sent.append(1))
    assert sent == []


def test_an_interrupted_call_counts_as_spent() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    budget = Budget()
    with pytest.raises(KeyboardInterrupt):
        _caller(budget).call(interrupted)
    assert budget.spent_usd == pytest.approx(0.1)


def test_calls_run_at_once_up_to_the_limit_and_never_beyond() -> None:
    under_way, most, lock = 0, 0, threading.Lock()
    caller = Caller("host", Limits(concurrency=5))

    def send() -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1
        return 1

    # Callers may bring threads of their own.
    threads = [threading.Thread(target=caller.call, args=(send,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    assert caller.map(lambda _: caller.call(send), range(15)) == [1] * 15
    for thread in threads:
        thread.join()
    assert most == 5


def test_answers_come_in_the_order_of_the_questions() -> None:
    def work(number: int) -> int:
        time.sleep(0.01 * (number % 3))
        return number

    assert Caller("host", Limits(concurrency=4)).map(work, range(20)) == list(range(20))


def test_after_a_failure_for_good_nothing_new_is_started() -> None:
    caller, started = _caller(concurrency=1), []

    def work(number: int) -> int:
        started.append(number)
        if number == 3:
            caller.call(_failing(WRONG))
        return number

    found = caller.map(work, range(10))
    assert found[:3] == [0, 1, 2]
    assert started == [0, 1, 2, 3]
    assert all(isinstance(error, InfrastructureError) for error in found[3:])


def test_a_budget_is_not_overspent_by_calls_at_once() -> None:
    budget = Budget(1.0)
    caller = Caller("host", Limits(concurrency=8), price=0.1, budget=budget)
    found = caller.map(lambda number: caller.call(lambda: number), range(40))
    assert sum(not isinstance(answer, AesAuditError) for answer in found) == 10
    assert all(isinstance(answer, BudgetSpent) for answer in found if isinstance(answer, AesAuditError))
    assert budget.spent_usd == pytest.approx(1.0)
