"""The budget: never overspent by any number of threads or processes, and exact to the last cent."""

from __future__ import annotations

import multiprocessing
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.endpoints.budget import Budget, dollars
from aes_audit.errors import BudgetSpent, StoreUnusable

PRICES = st.decimals("0", "2", places=4).map(float)


@given(price=st.integers(1, 10_000), calls=st.integers(1, 200))
def test_a_budget_pays_exactly_what_it_was_made_for(price: int, calls: int) -> None:
    usd = price / 10_000
    budget = Budget(round(usd * calls, 4))
    for _ in range(calls):
        budget.reserve(usd).settle()
    with pytest.raises(BudgetSpent):
        budget.reserve(usd)
    assert budget.spent_usd == pytest.approx(usd * calls)


@given(limit=PRICES, calls=st.lists(st.tuples(PRICES, st.sampled_from(["keep", "settle", "less", "release"]))))
def test_spent_and_reserved_never_exceed_the_limit(limit: float, calls: list[tuple[float, str]]) -> None:
    budget = Budget(limit)
    taken = 0.0
    for price, fate in calls:
        try:
            reservation = budget.reserve(price)
        except BudgetSpent:
            assert taken + price > limit - 1e-9
            continue
        assert taken + price <= limit + 1e-9
        if fate != "keep":
            reservation.settle({"settle": None, "less": price / 2, "release": 0.0}[fate])
        taken += {"keep": price, "settle": price, "less": price / 2, "release": 0.0}[fate]
    assert budget.spent_usd <= limit + 1e-9


def test_threads_that_draw_together_do_not_overspend() -> None:
    budget, paid = Budget(1.0), []

    def draw(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(100):
            try:
                reservation = budget.reserve(0.01)
            except BudgetSpent:
                return
            if chance.random() < 0.3:
                reservation.release()
            else:
                reservation.settle()
                paid.append(0.01)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(draw, range(16)))
    assert len(paid) == 100
    assert budget.spent_usd == pytest.approx(1.0)


def _draw_all(file: Path, paid: multiprocessing.Queue[int]) -> None:
    budget, count = Budget(0.6, file), 0
    try:
        while True:
            budget.reserve(0.01).settle()
            count += 1
    except BudgetSpent:
        paid.put(count)


def test_processes_of_one_run_share_one_budget(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    paid: multiprocessing.Queue[int] = context.Queue()
    workers = [context.Process(target=_draw_all, args=(tmp_path / "deep" / "sums.json", paid)) for _ in range(3)]
    for worker in workers:
        worker.start()
    counts = [paid.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(counts) == 60
    assert Budget(0.6, tmp_path / "deep" / "sums.json").spent_usd == pytest.approx(0.6)


def test_what_a_dead_process_had_reserved_counts_as_spent(tmp_path: Path) -> None:
    Budget(1.0, tmp_path / "sums.json").reserve(0.7)
    with pytest.raises(BudgetSpent):
        Budget(1.0, tmp_path / "sums.json").reserve(0.4)


def test_the_message_says_what_is_left_and_the_way_out() -> None:
    budget = Budget(0.1)
    budget.reserve(0.08).settle()
    with pytest.raises(
        BudgetSpent, match=r"\$0\.10 is spent: the next call costs \$0\.039 and \$0\.02 are left; .*--audit"
    ):
        budget.reserve(0.039)


def test_a_word_about_a_call_counts_once() -> None:
    budget = Budget(1.0)
    reservation = budget.reserve(0.5)
    reservation.settle(0.25)
    reservation.settle()
    reservation.release()
    assert budget.spent_usd == 0.25


def test_a_call_that_cost_more_than_its_price_is_counted_in_full() -> None:
    budget = Budget(1.0)
    budget.reserve(0.1).settle(0.95)
    with pytest.raises(BudgetSpent):
        budget.reserve(0.1)


def test_without_a_limit_the_sum_is_kept_all_the_same() -> None:
    budget = Budget()
    for _ in range(3):
        budget.reserve(1000.0).settle()
    assert budget.spent_usd == 3000.0


def test_a_budget_of_nothing_pays_what_is_free() -> None:
    Budget(0.0).reserve(0.0).settle()
    with pytest.raises(BudgetSpent):
        Budget(0.0).reserve(1e-9)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"spent": 1}x', '{"other": 1}'])
def test_sums_that_cannot_be_read_stop_the_spending(tmp_path: Path, content: str) -> None:
    file = tmp_path / "sums.json"
    file.write_text(content)
    with pytest.raises(StoreUnusable, match=r"sums\.json cannot be kept"):
        Budget(1.0, file).reserve(0.1)


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(5, "$5.00"), (0.039, "$0.039"), (2.5, "$2.50"), (0.0, "$0.00"), (0.1 + 0.2, "$0.30"), (0.000001, "$0.000001")],
)
def test_amounts_are_shown_as_people_write_them(usd: float, shown: str) -> None:
    assert dollars(usd) == shown
