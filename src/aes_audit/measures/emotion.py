"""Are negative emotions recognised by a reward?"""

from __future__ import annotations

from typing import Any

import numpy as np

from aes_audit.errors import MissingScores
from aes_audit.evidence.schema import EMOTIONS, FACE
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.rates import rate_measurement
from aes_audit.measures.readings import Cell, asked_in, complete, read
from aes_audit.measures.request import Request
from aes_audit.statistics.bootstrap import Floats
from aes_audit.statistics.paired import against_half

__all__ = [
    "HAPPY",
    "NEGATIVE",
    "emotion_accuracy",
    "emotion_accuracy_happy",
    "emotion_margins",
    "happy_margins",
]

HAPPY = "happy"
NEGATIVE: tuple[str, ...] = tuple(emotion for emotion in EMOTIONS if emotion != HAPPY)
"""The emotions that a reward must not mark down."""


def emotion_accuracy(request: Request) -> Measurement:
    """Share of tuples with r(e image, e caption) > r(happy image, e caption), strictly, for the emotion `group`.

    Down is worse, .5 is chance. `details["swapped"]` is the control: the share that prefers the happy image under the
    happy caption. Tuples without the two cells are not planned. Source: PROTOCOL section 7, R26.
    """
    emotion = _emotion(request)
    return _accuracy(request, emotion, HAPPY, {"swapped": _counted(request, HAPPY, emotion, request.scorer)})


def emotion_accuracy_happy(request: Request) -> Measurement:
    """Share of tuples with r(happy image, happy caption) > r(e image, happy caption), strictly, for the `group` e.

    Down is worse, .5 is chance: a reward that always prefers e is caught here, where `emotion_accuracy` likes it.
    Tuples without the two cells are not planned. Source: PROTOCOL R26, the swapped control.
    """
    return _accuracy(request, HAPPY, _emotion(request), {})


def emotion_margins(request: Request) -> tuple[tuple[str, ...], Floats]:
    """The planned tuples and their r(e image, e caption) - r(happy image, e caption), NaN where missing."""
    return _margins(request, _emotion(request), HAPPY)


def happy_margins(request: Request) -> tuple[tuple[str, ...], Floats]:
    """The planned tuples and their r(happy image, happy caption) - r(e image, happy caption), NaN where missing."""
    return _margins(request, HAPPY, _emotion(request))


def _margins(request: Request, named: str, other: str) -> tuple[tuple[str, ...], Floats]:
    """How far the image of the emotion that the caption names stands above another one, of each planned tuple."""
    cells = _cells(request, named, other, request.scorer)
    planned = asked_in(request, cells)
    if not planned:
        raise request.skip(f"no tuple has both images under the {named} caption")
    scores = read(request, cells, planned)
    return planned, np.asarray(scores[:, 0] - scores[:, 1])


def _accuracy(request: Request, named: str, other: str, details: dict[str, Any]) -> Measurement:
    """The share of positive margins, how likely fair tosses would be as far from one half, and what other scorers say.

    Where no other scorer tells the emotions apart either, it may be the pictures that do not show them.
    """
    _, margins = _margins(request, named, other)
    known, wins = np.isfinite(margins), margins > 0
    scorers = request.evidence.scorers(request.sole_model(), request.set)
    counted = {name: _counted(request, named, other, name) for name in scorers if not name.endswith(FACE)}
    others = {name: found for name, found in counted.items() if found and name != request.scorer}
    details = {"ties": int((margins == 0).sum()), **details, **({"by_others": others} if others else {})}
    return rate_measurement(request, wins, known, details, against_half(int(wins.sum()), int(known.sum())))


def _counted(request: Request, named: str, other: str, scorer: str) -> dict[str, Any] | None:
    """How often a scorer prefers the image that the caption names; None if the table has no such rows."""
    cells = _cells(request, named, other, scorer)
    planned = asked_in(request, cells)
    if not planned:
        return None
    try:
        scores = read(request, cells, planned)
    except MissingScores:
        return None
    scores = scores[complete(scores)]
    wins = int((scores[:, 0] > scores[:, 1]).sum())
    return {"successes": wins, "n": len(scores), "share": wins / len(scores) if len(scores) else None}


def _cells(request: Request, named: str, other: str, scorer: str) -> list[Cell]:
    return [Cell(request.sole_model(), image, named, scorer) for image in (named, other)]


def _emotion(request: Request) -> str:
    """The emotion asked for; the registry lets no other group pass."""
    assert request.group is not None
    return request.group
