"""What is drawn for a set: balanced or independent, from the seed alone, whatever the order of the source."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes_audit.prompts.building_filters import Runs
from aes_audit.prompts.building_sampling import SIZES, draw_captions, draw_dimensions
from aes_audit.prompts.captions import Caption
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.lexicon import read_lexicon
from aes_audit.prompts.pairs import read_prompt_set
from aes_audit.prompts.validation import Rules, shared_grams

LEXICON = read_lexicon()
CAPTIONS = [
    Caption(pair.original, f"line {number}", f"line {number}")
    for number, pair in enumerate(read_prompt_set("wide_spectrum").pairs)
]


def drawn(captions: list[Caption], seed: int = 1, skipped: Counter[str] | None = None) -> list[str]:
    """Texts in the order drawn."""
    counts = Counter[str]() if skipped is None else skipped
    return [caption.text for caption in draw_captions(captions, seed, LEXICON, Rules(), counts)]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 120), st.integers(), st.sets(st.sampled_from(DIMENSIONS), min_size=4))
def test_balanced_draws_use_everything_equally_often(count: int, seed: int, allowed: set[str]) -> None:
    names = tuple(name for name in DIMENSIONS if name in allowed)
    pairs = draw_dimensions(count, seed, balanced=True, allowed=names)
    used = Counter(name for pair in pairs for name in pair)
    sizes = Counter(map(len, pairs))
    assert len(pairs) == count
    assert set(used) <= allowed
    assert max(used.values()) - min(used[name] for name in names) <= 1
    assert max(sizes.values()) - min(sizes[size] for size in SIZES) <= 1


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.integers(), st.booleans())
def test_draws_are_sets_in_the_protocol_s_order_and_the_seed_s_alone(count: int, seed: int, balanced: bool) -> None:
    pairs = draw_dimensions(count, seed, balanced=balanced)
    assert all(list(pair) == sorted(set(pair)) and len(pair) in SIZES for pair in pairs)
    assert pairs == draw_dimensions(count + 7, seed, balanced=balanced)[:count]


@pytest.mark.parametrize("balanced", [True, False])
def test_another_seed_draws_other_dimensions(balanced: bool) -> None:
    assert draw_dimensions(30, 1, balanced=balanced) != draw_dimensions(30, 2, balanced=balanced)


def test_independent_draws_are_those_of_the_paper() -> None:
    """Each number and, given the number, each dimension equally likely: within five standard errors of 9,000 draws."""
    pairs = draw_dimensions(9000, 5, balanced=False)
    sizes = Counter(map(len, pairs))
    used = Counter(name for pair in pairs for name in pair)
    assert all(abs(sizes[size] - 3000) < 5 * (9000 * 2 / 9) ** 0.5 for size in SIZES)
    chance = 3 / 11
    assert all(abs(used[name] - 9000 * chance) < 5 * (9000 * chance * (1 - chance)) ** 0.5 for name in DIMENSIONS)
    assert max(used.values()) - min(used.values()) > 1


@settings(deadline=None, max_examples=50)
@given(st.permutations(CAPTIONS[:20]), st.integers())
def test_the_order_of_the_source_decides_nothing(shuffled: list[Caption], seed: int) -> None:
    assert drawn(shuffled, seed) == drawn(CAPTIONS[:20], seed)


def test_another_seed_draws_in_another_order() -> None:
    assert drawn(CAPTIONS, 1) != drawn(CAPTIONS, 2)
    assert sorted(drawn(CAPTIONS, 1)) == sorted(drawn(CAPTIONS, 2))


def test_captions_that_no_pair_can_have_are_counted_by_their_reason() -> None:
    skipped = Counter[str]()
    wrong = [
        Caption("A cup", "line 901", "line 901"),
        Caption("A tiny black cat sits on the mat by a door", "line 902", "line 902"),
        Caption(f"{CAPTIONS[0].text}.", "line 903", "line 903"),
        Caption("Seven sailors polish the brass bell of a ferry", "line 904", CAPTIONS[1].group),
    ]
    found = drawn([*CAPTIONS[:3], *wrong], skipped=skipped)
    assert len(found) == 3
    assert skipped == {"length": 1, "aesthetic": 1, "near-duplicate": 1, "same picture": 1}


words_of_two = st.lists(st.sampled_from(["cat", "dog"]), min_size=1, max_size=9).map(" ".join)


@settings(deadline=None, max_examples=50)
@given(words_of_two, st.lists(words_of_two, min_size=1, max_size=4))
def test_near_duplicates_are_found_as_the_validator_counts_them(text: str, others: list[str]) -> None:
    rules, runs = Rules(), Runs(Rules())
    for number, other in enumerate(others):
        runs.add(str(number), other)
    shares = {str(number): shared_grams(text, other, rules.gram) for number, other in enumerate(others)}
    close = runs.closest(text)
    assert (close is not None) == (max(shares.values()) > rules.shared)
    assert close is None or shares[close] == max(shares.values())
