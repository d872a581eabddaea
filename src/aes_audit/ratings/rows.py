"""People's answers as rows of evidence, beside what the judges said about the same units."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aes_audit.measures.agreement import TRUTH
from aes_audit.measures.people import PEOPLE, RATER_RULE, RATER_VALUES
from aes_audit.ratings.answers import Rating
from aes_audit.ratings.consensus import consensus
from aes_audit.ratings.sheet import Sheet
from aes_audit.ratings.units import PREFERENCE, Unit

__all__ = ["evidence_rows"]


def evidence_rows(
    sheet: Sheet, ratings: Sequence[Rating], *, rule: str, least: int = 1, people_only: bool = False
) -> Iterator[Mapping[str, Any]]:
    """One row per unit and question: `preference/people`, or `truth/<dimension>`; then the judges' rows.

    A unit with fewer than `least` ratings is an error row, because it was asked about. The extra columns `raters`,
    `rater_values` (JSON: rater -> value), `rater_rule` and `sheet` keep what every rater said: evidence has one row per
    key, and a scorer per rater would be taken for a judge.
    """
    given: dict[tuple[int, str], dict[str, int]] = {}
    for rating in ratings:
        given.setdefault((rating.unit, rating.question), {})[rating.rater] = rating.level
    for number, unit in enumerate(sheet.units):
        place = _place(unit, sheet)
        for question in sheet.questions:
            levels = given.get((number, question), {})
            yield {**place, **_people(question, levels, rule, least), "sheet": sheet.id}
        if not people_only:
            yield from ({**place, "scorer": scorer, "value": value} for scorer, value in unit.judged.items())


def _place(unit: Unit, sheet: Sheet) -> Mapping[str, Any]:
    if sheet.kind == PREFERENCE:
        return {"model": unit.model, "set": "pairs", "item": unit.item, "image": "pair", "prompt": "wide"}
    return {"model": unit.model, "set": "ratings", "item": unit.item, "image": "work", "prompt": None}


def _people(question: str, levels: Mapping[str, int], rule: str, least: int) -> Mapping[str, Any]:
    preferring = question == PREFERENCE
    values = {rater: level / 2 if preferring else float(level) for rater, level in sorted(levels.items())}
    told = {
        "scorer": PEOPLE if preferring else f"{TRUTH}/{question}",
        "raters": len(values),
        RATER_VALUES: json.dumps(values),
        RATER_RULE: rule,
    }
    if len(levels) < least:
        return {**told, "value": None, "error": f"{len(levels)} of at least {least} ratings"}
    level = consensus(list(levels.values()), rule)
    return {**told, "value": level / 2 if preferring else float(level)}
