"""Preference judges that decide by scores: wins, losses, ties, and scores that are not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.errors import UnknownName
from aes_audit.judges.preference import DimensionPreference, MatcherPreference
from aes_audit.judges.protocol import PairScores
from aes_audit.judges.registry import PREFERENCES, resolve_preference

MATCHER = MatcherPreference("preference/matcher", matcher="clip")
JUDGE = DimensionPreference("preference/judge", tie=0.25)
SCORE = st.floats(-10, 10)
LEVEL = st.floats(0, 2)


def matched(wide: float, original: float) -> PairScores:
    """Only the scores under the wide prompt differ from what must not be read."""
    rewards = {
        ("clip", "wide", "wide"): wide,
        ("clip", "original", "wide"): original,
        ("clip", "wide", "original"): -99.0,
        ("clip", "original", "original"): 99.0,
    }
    return PairScores(rewards, {}, ())


def judged(wide: dict[str, float], original: dict[str, float], selected: tuple[str, ...]) -> PairScores:
    """J of both images."""
    scores = {("wide", name): value for name, value in wide.items()}
    return PairScores({}, scores | {("original", name): value for name, value in original.items()}, selected)


@pytest.mark.parametrize(("wide", "original", "decision"), [(0.3, 0.2, 1.0), (0.2, 0.3, 0.0), (0.2, 0.2, 0.5)])
def test_a_matcher_prefers_the_image_that_fits_the_wide_prompt_better(
    wide: float, original: float, decision: float
) -> None:
    assert MATCHER.decide(matched(wide, original)) == decision


@given(wide=SCORE, original=SCORE)
def test_swapping_the_images_swaps_the_matchers_decision(wide: float, original: float) -> None:
    assert MATCHER.decide(matched(wide, original)) == 1 - MATCHER.decide(matched(original, wide))


@pytest.mark.parametrize(
    ("wide", "original", "decision"),
    [
        ({"a": 0.0, "b": 1.0}, {"a": 2.0, "b": 1.0}, 1.0),
        ({"a": 2.0, "b": 1.0}, {"a": 0.0, "b": 1.0}, 0.0),
        ({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 1.0}, 0.5),
        ({"a": 1.0, "b": 0.75}, {"a": 1.0, "b": 1.0}, 0.5),
        ({"a": 1.25, "b": 1.0}, {"a": 1.0, "b": 1.0}, 0.5),
        ({"a": 1.0, "b": 0.5}, {"a": 1.0, "b": 1.0}, 1.0),
        ({"a": 1.0, "b": 1.5}, {"a": 1.0, "b": 1.0}, 0.0),
        ({"a": 2.0, "b": 0.0}, {"a": 0.0, "b": 2.0}, 0.5),
    ],
)
def test_a_judge_prefers_the_image_that_is_lower_by_more_than_a_tie(
    wide: dict[str, float], original: dict[str, float], decision: float
) -> None:
    assert JUDGE.decide(judged(wide, original, ("a", "b"))) == decision


def test_only_selected_dimensions_decide() -> None:
    pair = judged({"a": 0.0, "b": 2.0}, {"a": 2.0, "b": 0.0}, ("a",))
    assert JUDGE.decide(pair) == 1.0


@given(values=st.lists(st.tuples(LEVEL, LEVEL), min_size=1, max_size=5))
def test_swapping_the_images_swaps_the_judges_decision(values: list[tuple[float, float]]) -> None:
    names = tuple(str(number) for number in range(len(values)))
    wide = dict(zip(names, (pair[0] for pair in values), strict=True))
    original = dict(zip(names, (pair[1] for pair in values), strict=True))
    decision = JUDGE.decide(judged(wide, original, names))
    assert decision in (0.0, 0.5, 1.0)
    assert decision == 1 - JUDGE.decide(judged(original, wide, names))


def test_a_decision_without_every_score_is_refused() -> None:
    with pytest.raises(KeyError):
        MATCHER.decide(PairScores({("clip", "wide", "wide"): 1.0}, {}, ()))
    with pytest.raises(KeyError):
        JUDGE.decide(PairScores({}, {("wide", "a"): 1.0}, ("a",)))


@pytest.mark.parametrize("prefix", ["", "preference/"])
def test_a_preference_judge_is_found_with_and_without_its_prefix(prefix: str) -> None:
    assert resolve_preference(f"{prefix}control-clip") is PREFERENCES["preference/control-clip"]


def test_an_unknown_preference_judge_lists_what_exists() -> None:
    with pytest.raises(UnknownName) as raised:
        resolve_preference("control-clop")
    assert all(name in str(raised.value) for name in PREFERENCES)


def test_every_preference_judge_is_listed_under_its_own_name() -> None:
    assert all(name == preference.name for name, preference in PREFERENCES.items())
