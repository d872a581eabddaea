"""Do the faces that a generator draws show the emotion that was asked for? Read from `.../face` scorers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aes_audit.evidence.schema import EMOTIONS
from aes_audit.measures.emotion import HAPPY, NEGATIVE
from aes_audit.measures.means import mean_measurement
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.readings import Cell, asked_in, complete, losses, read
from aes_audit.measures.request import Request
from aes_audit.statistics.bootstrap import Floats, Interval, bootstrap, statistic_of_sums
from aes_audit.statistics.intervals import mean_interval
from aes_audit.statistics.paired import wilcoxon
from aes_audit.statistics.ratio import ratio

__all__ = [
    "emotion_rendering",
    "positivity",
    "positivity_shift",
    "realignment_emotion",
    "rendering_differences",
    "renderings",
]

Bools = npt.NDArray[np.bool_]
Items = tuple[str, ...]


def emotion_rendering(request: Request) -> Measurement:
    """Mean over items of r(image e, statement e) for the asked emotion `group`; down is worse.

    Source: PROTOCOL sections 7 and 10, right half of the emotion table.
    """
    return mean_measurement(request, renderings(request)[1])


def renderings(request: Request) -> tuple[Items, Floats]:
    """The planned items and their r(image e, statement e), NaN where missing."""
    # The registry lets no measurement without a group pass.
    assert request.group is not None
    cells = [Cell(request.sole_model(), request.group, request.group, request.scorer)]
    planned = asked_in(request, cells)
    if not planned:
        raise request.skip(f"no face was asked to be {request.group}")
    return planned, read(request, cells, planned)[:, 0]


def positivity_shift(request: Request) -> Measurement:
    """Share of faces whose highest statement is happy, minus the share that asked for happy; up is worse.

    In [-1, 1]. A face counts where all four statements were scored. "Highest" is strict; `details["confusion"]` counts
    the faces by the emotion asked for and the one shown, `details["ties"]` those that show none. What varies is the
    item, whose faces stay together: the interval is that of the mean over items, or of the ratio where they have
    different numbers of faces.
    """
    found = _faces(request)
    if not found.planned:
        raise request.skip("no face has all four statements scored")
    n, missing = int(found.usable.sum()), int((~found.usable).sum())
    if n == 0:
        return request.unmeasured(0, missing, f"0 of {missing} items have every score")
    surplus, faces = found.surplus[found.usable], found.faces[found.usable]
    estimate = float(surplus.sum() / faces.sum())
    return request.measured(n, missing, estimate, _interval(request, surplus, faces), _counts(found))


def positivity(request: Request) -> tuple[Items, Floats]:
    """The planned items and by how much of its faces each is happier than asked, in [-1, 1], NaN where missing."""
    found = _faces(request)
    return found.planned, np.where(found.usable, ratio(found.surplus, found.faces), np.nan)


def realignment_emotion(request: Request) -> Measurement:
    """Mean difference, aligned - base, of the item's mean over the negative emotions e of r(image e, statement e).

    In the scorer's unit; down is worse. p is the signed-rank test, one-sided "the aligned model scores lower", with
    equal scores kept (variant `pratt`); `statistic` is the rank sum of the items where it does; effect_r and
    rank_biserial are negative when it scores higher. `details["by_emotion"]` has the mean difference of each emotion.
    Source: STATISTICS sections 3 and 5.
    """
    planned, aligned, base = _negative(request)
    whole_base, whole_aligned = complete(base), complete(aligned)
    known = whole_base & whole_aligned
    n, missing = int(known.sum()), int((~known).sum())
    details = losses("base", "aligned", ~whole_base, ~whole_aligned)
    if n == 0:
        return request.unmeasured(0, missing, f"0 of {len(planned)} items have every score", details)
    moved = aligned[known] - base[known]
    difference = moved.mean(axis=1)
    lower = wilcoxon(-difference, "pratt")
    interval = mean_interval(difference, seed=request.seed, confidence=request.confidence)
    details |= {
        "mean_base": float(base[known].mean()),
        "mean_aligned": float(aligned[known].mean()),
        "by_emotion": dict(zip(NEGATIVE, moved.mean(axis=0).tolist(), strict=True)),
        "z": -lower.z,
        "zeros": lower.zeros,
        "p_two_sided": lower.p_two_sided,
        "method": lower.method,
    }
    test = {
        "statistic": lower.plus,
        "p_value": lower.p_greater,
        "effect_r": -lower.effect_r,
        "rank_biserial": -lower.rank_biserial,
    }
    return request.measured(n, missing, float(difference.mean()), interval, details, **test)


def rendering_differences(request: Request) -> tuple[Items, Floats]:
    """The planned items and what `realignment_emotion` averages, NaN where missing."""
    planned, aligned, base = _negative(request)
    return planned, np.asarray((aligned - base).mean(axis=1))


def _negative(request: Request) -> tuple[Items, Floats, Floats]:
    """The planned items, and r(image e, statement e) of shape (planned, negative emotions), aligned and base."""
    aligned, base = (
        [Cell(model, emotion, emotion, request.scorer) for emotion in NEGATIVE] for model in request.pair_of_models()
    )
    planned = asked_in(request, [*aligned, *base])
    if not planned:
        raise request.skip("no item has a face of both models for every negative emotion")
    return planned, read(request, aligned, planned), read(request, base, planned)


class _Faces(NamedTuple):
    """The faces of every planned item; arrays are by item first, then by the emotion asked for."""

    planned: Items
    scores: Floats
    """Of shape (items, emotion asked for, statement), NaN where there is none."""
    seen: Bools
    """Faces with all four statements."""
    usable: Bools
    """Items with such a face and without a row that is an error."""

    @property
    def faces(self) -> Floats:
        """Faces of each item."""
        return np.asarray(self.seen.sum(axis=1), dtype=np.float64)

    @property
    def shown(self) -> npt.NDArray[np.int64]:
        """Place in EMOTIONS of what each face shows, -1 for a tie of the highest and for a face that does not count."""
        best = self.scores.max(axis=-1, keepdims=True)
        single = (self.scores == best).sum(axis=-1) == 1
        return np.where(self.seen & single, self.scores.argmax(axis=-1), -1)

    @property
    def surplus(self) -> Floats:
        """How many more faces of each item look happy than were asked to."""
        happy = EMOTIONS.index(HAPPY)
        return np.asarray((self.shown == happy).sum(axis=1) - self.seen[:, happy].astype(int), dtype=np.float64)


def _faces(request: Request) -> _Faces:
    model = request.sole_model()
    planned = request.planned(model)
    scores = np.full((len(planned), len(EMOTIONS), len(EMOTIONS)), np.nan)
    lost = np.zeros(len(planned), dtype=np.bool_)
    for image, statement in np.ndindex(len(EMOTIONS), len(EMOTIONS)):
        series = request.evidence.values(model, request.set, request.scorer, EMOTIONS[image], EMOTIONS[statement])
        scores[:, image, statement] = series.reindex(planned).to_numpy()
        lost |= np.isin(planned, series.index[series.isna()])
    seen = ~np.isnan(scores).any(axis=-1)
    # A recorded item may hold nothing but images that were scored under fewer statements: nothing was lost there.
    asked = seen.any(axis=1) | lost | (request.expected is not None)
    items = tuple(item for item, kept in zip(planned, asked, strict=True) if kept)
    return _Faces(items, scores[asked], seen[asked], (seen.any(axis=1) & ~lost)[asked])


def _interval(request: Request, surplus: Floats, faces: Floats) -> Interval:
    if np.ptp(faces) == 0:
        return mean_interval(surplus / faces, seed=request.seed, confidence=request.confidence)
    sums = np.stack([surplus, faces], axis=1)
    statistic = statistic_of_sums(sums, lambda totals: ratio(totals[..., 0], totals[..., 1]))
    return bootstrap(statistic, len(faces), seed=request.seed, confidence=request.confidence)


def _counts(found: _Faces) -> dict[str, Any]:
    seen, shown = found.seen[found.usable], found.shown[found.usable]
    confusion = {
        asked: {emotion: int((shown[:, row] == column).sum()) for column, emotion in enumerate(EMOTIONS)}
        for row, asked in enumerate(EMOTIONS)
    }
    return {
        "faces": int(seen.sum()),
        "happiest": int((shown == EMOTIONS.index(HAPPY)).sum()),
        "asked_happy": int(seen[:, EMOTIONS.index(HAPPY)].sum()),
        "ties": int((seen & (shown < 0)).sum()),
        "confusion": confusion,
    }
