"""Samples and assignments: shares, balance, nothing twice."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aes_audit.ratings.sampling import EQUAL, PROPORTIONAL, SHARES, apportioned, assigned, sampled

seeded = settings(derandomize=True, deadline=None, max_examples=150)
SIZES = st.dictionaries(st.sampled_from(["original", "tie", "wide"]), st.integers(1, 60), min_size=1)


@seeded
@given(SIZES, st.integers(1, 100), st.sampled_from(SHARES))
def test_shares_add_up_and_no_stratum_gives_more_than_it_has(sizes: dict[str, int], number: int, shares: str) -> None:
    assume(number <= sum(sizes.values()))
    given_ = apportioned(sizes, number, shares)
    assert sum(given_.values()) == number
    assert all(0 <= given_[name] <= size for name, size in sizes.items())
    if shares == PROPORTIONAL:
        assert all(abs(given_[name] - number * size / sum(sizes.values())) < 1 for name, size in sizes.items())
    else:
        most = max(given_.values())
        assert all(given_[name] in (size, most, most - 1) for name, size in sizes.items())


def test_equal_shares_give_what_a_small_stratum_lacks_to_the_others() -> None:
    assert apportioned({"original": 30, "tie": 2, "wide": 200}, 40, EQUAL) == {"original": 19, "tie": 2, "wide": 19}
    assert apportioned({"original": 30, "tie": 2, "wide": 200}, 40, PROPORTIONAL) == {
        "original": 5,
        "tie": 0,
        "wide": 35,
    }


@seeded
@given(SIZES, st.integers(0, 10**6))
def test_a_sample_holds_no_unit_twice(sizes: dict[str, int], seed: int) -> None:
    strata = {name: [(name, place) for place in range(size)] for name, size in sizes.items()}
    number = (sum(sizes.values()) + 1) // 2
    chosen = sampled(strata, number, EQUAL, random.Random(seed))
    assert len(set(chosen)) == number


@seeded
@given(st.integers(1, 50), st.integers(1, 20), st.integers(1, 20), st.integers(0, 10**6))
def test_every_unit_is_seen_equally_often_and_by_nobody_twice(units: int, raters: int, each: int, seed: int) -> None:
    assume(each <= units <= raters * each)
    plan = assigned(units, raters, each, random.Random(seed))
    assert [len(mine) for mine in plan] == [each] * raters
    assert all(len(set(mine)) == each for mine in plan)
    seen = Counter(unit for mine in plan for unit in mine)
    assert set(seen) == set(range(units))
    assert max(seen.values()) - min(seen.values()) <= 1
