"""Pauses and rates: computed on a clock that nobody waits for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from endpoints.hosts import FakeTime
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.endpoints.pacing import Backoff, Clock, RateLimit

CHANCE = st.floats(0, 1, exclude_max=True)


@given(attempt=st.integers(0, 10_000), chance=CHANCE, first=st.floats(0.01, 10), longest=st.floats(0.01, 1000))
def test_a_pause_of_our_own_lies_between_half_of_the_doubled_one_and_all_of_it(
    attempt: int, chance: float, first: float, longest: float
) -> None:
    doubled = first
    for _ in range(min(attempt, 100)):
        doubled = min(2 * doubled, longest)
    pause = Backoff(first, longest).pause(attempt, None, chance)
    assert pause is not None
    assert 0.5 * min(doubled, longest) * (1 - 1e-9) <= pause <= min(doubled, longest) * (1 + 1e-9)


@given(attempt=st.integers(0, 100), asked=st.floats(0, 600), chance=CHANCE)
def test_what_a_host_asks_for_is_honoured_or_the_call_is_given_up(attempt: int, asked: float, chance: float) -> None:
    backoff = Backoff(patience=300)
    pause = backoff.pause(attempt, asked, chance)
    if asked > 300:
        assert pause is None
    else:
        assert pause is not None
        assert asked <= pause <= max(backoff.longest, 1.1 * asked)


def test_calls_that_failed_together_do_not_come_back_together() -> None:
    clock = Clock()
    pauses = {Backoff().pause(3, None, clock.chance()) for _ in range(50)}
    assert len(pauses) > 40


@given(per_minute=st.floats(0.5, 600), arrivals=st.lists(st.floats(0, 30), min_size=2, max_size=60))
def test_no_minute_has_more_starts_than_the_limit(per_minute: float, arrivals: list[float]) -> None:
    time = FakeTime()
    limit = RateLimit(per_minute, time.clock)
    starts = []
    for gap in arrivals:
        time.clock.sleep(gap)
        limit.wait()
        starts.append(time.clock.now())
    for first in starts:
        within = [start for start in starts if first <= start < first + 60 - 1e-6]
        assert len(within) <= max(1, -(-per_minute // 1))


def test_the_rate_holds_for_threads_together() -> None:
    turns: list[float] = []
    limit = RateLimit(60, Clock(now=lambda: 0.0, sleep=turns.append))
    with ThreadPoolExecutor(8) as pool:
        for _ in range(30):
            pool.submit(limit.wait)
    assert sorted(turns) == [float(turn) for turn in range(1, 30)]


def test_without_a_rate_nobody_waits() -> None:
    time = FakeTime()
    limit = RateLimit(None, time.clock)
    for _ in range(100):
        limit.wait()
    assert time.slept == []
