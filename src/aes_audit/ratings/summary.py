"""What `aes-audit ratings read` tells: who answered, how far people agree with each other, and judges with them.

The figures are those of the audits; here they stand in a few lines for whoever collected the answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from aes_audit.errors import MissingScores
from aes_audit.measures.agreement import TRUTH
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.people import PEOPLE, rater_agreement, tie_figures
from aes_audit.measures.registry import measure
from aes_audit.ratings.answers import Rating
from aes_audit.ratings.sheet import Sheet
from aes_audit.ratings.units import PREFERENCE
from aes_audit.statistics.seeds import derive_seed

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence

__all__ = ["summary"]

_AUDIT = "ratings"
AGREEMENT = "preference_agreement"


def summary(sheet: Sheet, ratings: Sequence[Rating], evidence: Evidence) -> Iterator[str]:
    """Lines of plain text: completeness, position bias, alpha between people, and judges against them."""
    yield from _completeness(sheet, ratings)
    if sheet.kind == PREFERENCE:
        yield _position(ratings)
    for model in evidence.models:
        set_ = "pairs" if sheet.kind == PREFERENCE else "ratings"
        scorers = [PEOPLE] if sheet.kind == PREFERENCE else [f"{TRUTH}/{name}" for name in sheet.questions]
        seed = derive_seed(_AUDIT, "alpha", model, scorers[0], None)
        if found := rater_agreement(evidence, model, set_, scorers, seed=seed):
            said = _interval(found["alpha"], found["alpha_interval"], found.get("alpha_note"))
            yield f"{model}: people among themselves, Krippendorff's alpha (ordinal) {said}"
        if sheet.kind == PREFERENCE:
            yield from _judges(evidence, model)
        else:
            yield from _judge(evidence, model)


def _completeness(sheet: Sheet, ratings: Sequence[Rating]) -> Iterator[str]:
    asked = {rater: len(pages) * len(sheet.questions) for rater, pages in sheet.raters.items()}
    given = Counter(rating.rater for rating in ratings)
    whole = [rater for rater in asked if given[rater] == asked[rater]]
    units = {rating.unit for rating in ratings}
    yield (
        f"{len(ratings)} of {sum(asked.values())} answers of {len(given)} of {len(asked)} raters, {len(whole)} of them "
        f"complete; {len(units)} of {len(sheet.units)} {'pairs' if sheet.kind == PREFERENCE else 'pictures'} rated"
    )
    if partial := [f"{rater} {given[rater]}/{asked[rater]}" for rater in asked if 0 < given[rater] < asked[rater]]:
        yield f"incomplete: {', '.join(partial)}"


def _position(ratings: Sequence[Rating]) -> str:
    chosen = [rating.left for rating in ratings if rating.left is not None]
    return f"the picture on the left was chosen {sum(chosen)} times of {len(chosen)}, which leaves out ties"


def _judges(evidence: Evidence, model: str) -> Iterator[str]:
    for judge in evidence.scorers(model, "pairs"):
        if not judge.startswith(f"{PREFERENCE}/") or judge == PEOPLE:
            continue
        found = measure(AGREEMENT, evidence, model=model, scorer=judge, truth=PEOPLE, audit=_AUDIT)
        yield f"{model}: {judge} against people over {found.n} pairs: {_figures(found)}"


def _judge(evidence: Evidence, model: str) -> Iterator[str]:
    with suppress(MissingScores):
        found = measure("judge_agreement_quadratic_kappa", evidence, model=model, audit=_AUDIT)
        pooled = _interval(found.estimate, found.interval, found.reason)
        yield f"{model}: judge against people over {found.n} pictures, dimensions pooled: quadratic kappa {pooled}"


def _figures(found: Measurement) -> str:
    ties = tie_figures(found.details["table"])
    return (
        f"quadratic kappa {_interval(found.estimate, found.interval, found.reason)}, MAE {_number(ties['mae'])}, "
        f"accuracy {_number(found.details['untied_accuracy'])} over the {found.details['untied']} without ties "
        f"and {_number(ties['accuracy_ties_original'])} with ties as original"
    )


def _interval(estimate: float | None, bounds: Sequence[float] | None, reason: str | None) -> str:
    if estimate is None:
        return "undefined: one class throughout, or no unit with two ratings"
    if bounds is None:
        return f"{estimate:.3f} (no interval: {reason})"
    return f"{estimate:.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}]"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
