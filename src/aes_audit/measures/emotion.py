"""Are negative emotions recognised by a reward, and drawn by a generator?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from aes_audit.errors import MissingScores
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.measures.means import mean_measurement
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.rates import rate_measurement
from aes_audit.measures.readings import Cell, asked_in, complete, read
from aes_audit.measures.request import Request
from aes_audit.statistics.bootstrap import Floats, bootstrap, statistic_of_sums
from aes_audit.statistics.paired import against_half
from aes_audit.statistics.ratio import ratio

__all__ = [
    "HAPPY",
    "NEGATIVE",
    "emotion_accuracy",
    "emotion_accuracy_happy",
    "emotion_margins",
    "emotion_rendering",
    "happy_margins",
    "positivity_shift",
]

Bools = npt.NDArray[np.bool_]

HAPPY = "happy"
NEGATIVE: tuple[str, ...] = tuple(emotion for emotion in EMOTIONS if emotion != HAPPY)
"""The emotions that a reward must not mark down."""

FACE = "/face"
"""Ends the name of a matcher that is asked about a face and not about a scene."""


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


def emotion_rendering(request: Request) -> Measurement:
    """Mean over items of r(image e, statement e) for the asked emotion `group`; down is worse.

    Reads a `.../face` scorer. Source: PROTOCOL sections 7 and 10, right half of the emotion table.
    """
    model, emotion = request.sole_model(), _emotion(request)
    cells = [Cell(model, emotion, emotion, request.scorer)]
    planned = asked_in(request, cells)
    if not planned:
        raise request.skip(f"no face was asked to be {emotion}")
    return mean_measurement(request, read(request, cells, planned)[:, 0])


def positivity_shift(request: Request) -> Measurement:
    """Share of faces whose highest statement is happy, minus the share that asked for happy; up is worse.

    In [-1, 1]. A face counts where all four statements were scored; "highest" is strict, ties are counted in
    `details`. The bootstrap draws items, so the faces of one item stay together.
    """
    model = request.sole_model()
    planned = request.planned(model)
    scores, lost = _faces(request, model, planned)
    seen = np.isnan(scores).sum(axis=-1) == 0
    faces = seen.sum(axis=1)
    usable = (faces > 0) & ~lost
    asked = len(planned) if request.expected is not None else int(((faces > 0) | lost).sum())
    n = int(usable.sum())
    if asked == 0:
        raise request.skip("no face has all four statements scored")
    if n == 0:
        return request.unmeasured(0, asked, f"0 of {asked} items have every score")
    sums, details = _happy_faces(scores[usable], seen[usable])
    statistic = statistic_of_sums(sums, lambda totals: ratio(totals[..., 0], totals[..., 1]))
    interval = bootstrap(statistic, n, seed=request.seed, confidence=request.confidence)
    return request.measured(n, asked - n, float(sums[:, 0].sum() / sums[:, 1].sum()), interval, details)


def _happy_faces(scores: Floats, seen: Bools) -> tuple[Floats, dict[str, Any]]:
    """Per item: happiest minus asked happy, and faces; with the counts behind them."""
    happy = EMOTIONS.index(HAPPY)
    others = np.delete(scores, happy, axis=-1).max(axis=-1)
    found = seen & (scores[..., happy] > others)
    details = {
        "faces": int(seen.sum()),
        "happiest": int(found.sum()),
        "asked_happy": int(seen[:, happy].sum()),
        "ties": int((seen & (scores[..., happy] == others)).sum()),
    }
    surplus = found.sum(axis=1) - seen[:, happy].astype(np.int64)
    return np.stack([surplus, seen.sum(axis=1)], axis=1).astype(np.float64), details


def _faces(request: Request, model: str, planned: tuple[str, ...]) -> tuple[Floats, Bools]:
    """Scores (items, asked emotion, statement), NaN where none, and which items have a row that is an error."""
    scores = np.full((len(planned), len(EMOTIONS), len(EMOTIONS)), np.nan)
    lost = np.zeros(len(planned), dtype=np.bool_)
    for asked, statement in np.ndindex(len(EMOTIONS), len(EMOTIONS)):
        series = request.evidence.values(model, request.set, request.scorer, EMOTIONS[asked], EMOTIONS[statement])
        scores[:, asked, statement] = series.reindex(planned).to_numpy()
        lost |= np.isin(planned, series.index[series.isna()])
    return scores, lost


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
