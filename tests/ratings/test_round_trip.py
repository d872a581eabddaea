"""From a sheet over raters to evidence: what they meant arrives, whatever was left and right and however many rated."""

from __future__ import annotations

import json
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratings.recorded_pairs import answered

from aes_audit.evidence.table import Evidence
from aes_audit.ratings.answers import read_answers
from aes_audit.ratings.consensus import RULES, consensus
from aes_audit.ratings.rows import evidence_rows
from aes_audit.ratings.sheet import Sheet, Wanted, draw_sheet, read_key, write_key
from aes_audit.ratings.units import Unit

UNITS = [
    Unit("m", f"i{n:02}", {"original": None, "wide": None}, f"text {n}", ("wide", "tie", "original")[n % 3])
    for n in range(20)
]
seeded = settings(derandomize=True, deadline=None, max_examples=100)
LEVELS = st.lists(st.integers(0, 2), min_size=1, max_size=12)


def _answer(sheet: Sheet, rater: str, page: int, level: int) -> str:
    """What to press to say that the picture of this class follows better, seen from what is on the screen."""
    if level == 1:
        return "neither"
    wanted = {0: "original", 2: "wide"}[level]
    return ("left", "right")[sheet.shown(sheet.raters[rater][page - 1]).index(wanted)]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 10**9), st.sampled_from(RULES), st.data())
def test_what_simulated_raters_mean_arrives(seed: int, rule: str, data: st.DataObject) -> None:
    sheet = draw_sheet(UNITS, Wanted(9, 4, 5, "equal", seed), "preference", ("preference",), "preference/j")
    meant: dict[int, list[int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_key(Path(folder, "key.json"), sheet)
        key = json.loads(Path(folder, "key.json").read_text())
        files = []
        for rater, pages in sheet.raters.items():
            said = {}
            for number, page in enumerate(pages, 1):
                level = data.draw(st.sampled_from([0, 1, 2, None]))
                if level is not None:
                    meant.setdefault(page.unit, []).append(level)
                    said[number, "preference"] = _answer(sheet, rater, number, level)
            files.append(Path(folder, f"{rater}.csv"))
            files[-1].write_text(answered(key, rater, said))
        again = read_key(Path(folder, "key.json"))
        assert again == sheet
        ratings = read_answers(files, again)
    table = Evidence.from_rows(evidence_rows(again, ratings, rule=rule))
    found = table.values("m", "pairs", "preference/people", "pair", "wide")
    for number, unit in enumerate(sheet.units):
        if number in meant:
            assert found[unit.item] == consensus(meant[number], rule) / 2
        else:
            assert found.isna()[unit.item]


@seeded
@given(LEVELS)
def test_the_mean_goes_to_the_nearest_class_and_halves_to_the_tie(levels: list[int]) -> None:
    mean = Fraction(sum(levels), len(levels))
    distance = {level: abs(mean - level) for level in (0, 1, 2)}
    nearest = [level for level, away in distance.items() if away == min(distance.values())]
    assert consensus(levels, "mean") == (nearest[0] if len(nearest) == 1 else 1)


@seeded
@given(LEVELS)
def test_a_majority_is_what_most_say_and_a_draw_is_the_mean(levels: list[int]) -> None:
    most = [level for level in (0, 1, 2) if levels.count(level) == max(map(levels.count, levels))]
    assert consensus(levels, "majority") == (most[0] if len(most) == 1 else consensus(levels, "mean"))


def test_no_rating_is_no_class() -> None:
    with pytest.raises(ValueError, match="nobody"):
        consensus([], "mean")
