"""Where do real artworks stand among the images that generators make?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aes_audit.errors import UnknownName, UsageError
from aes_audit.evidence.schema import ARTIST, CONTROL_ARM, STYLE, WORDS
from aes_audit.evidence.table import Evidence
from aes_audit.measures.leaderboards import standing
from aes_audit.measures.means import mean_measurement
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.readings import Cell, read
from aes_audit.measures.request import Request
from aes_audit.statistics.bootstrap import MIN_ITEMS, Floats, Interval, bootstrap_sums
from aes_audit.statistics.intervals import mean_interval, proportion
from aes_audit.statistics.ratio import ratio

__all__ = ["FAR_BELOW", "art_z", "styles", "works_z"]

REFERENCE_SET = "pairs"

FAR_BELOW = -2.0
"""A work below this many SD of the reference is far below what generators make."""

_RESOLUTION = 1e-6
"""A population whose scores differ by less than this share of the largest has no spread: that is rounding."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """The population that art is compared with."""

    mean: float
    spread: float
    shown: Mapping[str, Any]

    def z(self, scores: Floats) -> Floats:
        """Scores in SD from the mean."""
        return (scores - self.mean) / self.spread


def art_z(request: Request) -> Measurement:
    """Mean over artworks of (score - mean) / SD of a declared reference population; down is worse.

    Reads r(work, caption), and of the reference generator r(I_o, p_o) in the set `pairs` by the same scorer; its SD is
    the sample SD. The reference is held fixed in the interval and named in `details`; where artists are known, the
    interval resamples artists and not works. `group` is a style. Beside the estimate stand the share of works below
    FAR_BELOW, the control arm, and whether captions fit their works better than other works' captions do.
    Source: PROTOCOL R12, R17.
    """
    model = request.sole_model()
    planned, scores = _scored(request, model)
    reference = _reference(request)
    known = int((~np.isnan(scores)).sum())
    if reference.spread == 0:
        count, name = reference.shown["n"], reference.shown["model"]
        reason = f"the reference population of {count} images by {name!r} has no spread"
        return request.unmeasured(known, len(scores) - known, reason, {"reference": reference.shown})
    z = reference.z(scores)
    artists = _notes(request.evidence, model, ARTIST)
    names = [artists.get(item) or f"\0{item}" for item in planned]
    details = {
        "reference": {**reference.shown, "mean": reference.mean, "sd": reference.spread},
        "far_below": _far_below(request, z, names),
        **_captions(request, model, planned),
        **_control_arm(request, model, reference),
        **_words(request, model, planned),
        **_leaderboard(request, scores),
    }
    return _clustered(request, z, names, details) if artists else mean_measurement(request, z, details)


def works_z(request: Request) -> tuple[tuple[str, ...], Floats]:
    """The works that `art_z` is about and the z of each, shape (works,); NaN where it has none."""
    planned, scores = _scored(request, request.sole_model())
    reference = _reference(request)
    return planned, reference.z(scores) if reference.spread else np.full(len(scores), np.nan)


def styles(evidence: Evidence, model: str) -> tuple[str, ...]:
    """The styles of which a table has enough works for an interval, sorted."""
    counts: dict[str, int] = {}
    for style in _notes(evidence, model, STYLE).values():
        counts[style] = counts.get(style, 0) + 1
    return tuple(sorted(style for style, count in counts.items() if count >= MIN_ITEMS))


def _scored(request: Request, model: str) -> tuple[tuple[str, ...], Floats]:
    planned = _of_style(request, model)
    return planned, read(request, [Cell(model, "work", "caption", request.scorer)], planned)[:, 0]


def _of_style(request: Request, model: str) -> tuple[str, ...]:
    planned = request.planned(model)
    if request.group is None:
        return planned
    known = _notes(request.evidence, model, STYLE)
    found = tuple(item for item in planned if known.get(item) == request.group)
    if not found:
        raise UnknownName("style of an artwork", request.group, set(known.values()))
    return found


def _reference(request: Request) -> _Reference:
    if request.reference is None:
        raise UsageError("art_z needs a reference population: name the model whose originals it is.")
    series = request.evidence.values(request.reference, REFERENCE_SET, request.scorer, "original", "original")
    known = series.dropna().to_numpy()
    shown = {"model": request.reference, "set": REFERENCE_SET, "scorer": request.scorer, "n": len(known)}
    # The SD of a constant is not exactly zero in floating point.
    varies = len(known) > 1 and np.ptp(known) > _RESOLUTION * np.abs(known).max()
    spread = float(np.std(known, ddof=1)) if varies else 0.0
    return _Reference(float(known.mean()) if len(known) else 0.0, spread, shown)


def _notes(evidence: Evidence, model: str, column: str) -> Mapping[str, str]:
    """What an extra column says about the works, by item; those about which it says nothing are left out."""
    rows = evidence.rows(model, "art", ("item", column))
    if column not in rows:
        return {}
    rows = rows[rows[column].notna()]
    return dict(zip(rows["item"].astype(str), rows[column].astype(str), strict=True))


def _clustered(request: Request, z: Floats, names: list[str], details: Mapping[str, Any]) -> Measurement:
    """The mean over works with an interval that resamples artists; a work without one stands for itself."""
    known = ~np.isnan(z)
    missing = int((~known).sum())
    if not known.any():
        return request.unmeasured(0, missing, f"0 of {len(z)} items have every score", details)
    sums = _by_artist(z, known, names)
    interval = bootstrap_sums(sums, _share, seed=request.seed, confidence=request.confidence)
    if len(sums) < MIN_ITEMS:
        interval = Interval(None, reason=f"works of {len(sums)} artists only: {MIN_ITEMS} are needed")
    spread = float(np.std(z[known], ddof=1)) if known.sum() > 1 else None
    told = {**details, "artists": len(sums), "sd": spread}
    return request.measured(int(known.sum()), missing, float(z[known].mean()), interval, told)


def _by_artist(values: Floats, known: Any, names: list[str]) -> Floats:
    """Sum of values and number of works per artist, shape (artists, 2)."""
    there = [name for name, has in zip(names, known, strict=True) if has]
    _, codes = np.unique(there, return_inverse=True)
    return np.stack([np.bincount(codes, weights=values[known]), np.bincount(codes)], axis=1).astype(np.float64)


def _share(sums: Floats) -> Floats:
    return ratio(sums[:, 0], sums[:, 1])


def _far_below(request: Request, z: Floats, names: list[str]) -> Mapping[str, Any]:
    known = ~np.isnan(z)
    n, count = int(known.sum()), int((z < FAR_BELOW).sum())
    if n == 0:
        return {"z": FAR_BELOW, "n": 0}
    sums = _by_artist((z < FAR_BELOW).astype(np.float64), known, names)
    if len(sums) < n:
        found = bootstrap_sums(sums, _share, seed=request.seed, confidence=request.confidence)
    else:
        found = proportion(count, n, request.confidence)
    return {"z": FAR_BELOW, "n": n, "share": count / n, "interval": found.bounds and list(found.bounds)}


def _captions(request: Request, model: str, planned: tuple[str, ...]) -> Mapping[str, Any]:
    """Per scorer: mean under the works' own captions and under other works', and how often their own wins."""
    told = {}
    for scorer in request.evidence.scorers(model, "art"):
        own, other = (
            dict(zip(*request.evidence.column(model, "art", scorer, "work", prompt), strict=True))
            for prompt in ("caption", "shuffled")
        )
        both = [item for item in planned if not np.isnan(own.get(item, np.nan) - other.get(item, np.nan))]
        if both:
            first, second = (np.array([side[item] for item in both]) for side in (own, other))
            won = float((first > second).mean())
            told[scorer] = {"n": len(both), "matched": float(first.mean()), "shuffled": float(second.mean())}
            told[scorer] |= {"matched_wins": won, "reads_captions": bool((first != second).any())}
    return {"captions": told} if told else {}


def _control_arm(request: Request, model: str, reference: _Reference) -> Mapping[str, Any]:
    """Where pictures that are no art stand: a reward that marks them down too is not at home in either."""
    arm = model + CONTROL_ARM
    items, scores = request.evidence.column(arm, "art", request.scorer, "work", "caption")
    known = ~np.isnan(scores)
    if not known.any():
        return {}
    z = reference.z(scores[known])
    found = mean_interval(z, seed=replace(request, models=(arm,)).seed, confidence=request.confidence)
    told = {"model": arm, "n": int(known.sum()), "mean_z": float(z.mean())}
    return {"control_arm": {**told, "interval": found.bounds and list(found.bounds), **_words(request, arm, items)}}


def _leaderboard(request: Request, scores: Floats) -> Mapping[str, Any]:
    """Where the mean score would stand on the reward's published leaderboard, if one is on file."""
    known = scores[~np.isnan(scores)]
    found = standing(request.scorer, float(known.mean())) if len(known) and request.group is None else None
    return {"leaderboard": found} if found else {}


def _words(request: Request, model: str, planned: tuple[str, ...]) -> Mapping[str, Any]:
    """Mean length of the captions: longer captions alone raise some rewards."""
    rows = request.evidence.rows(model, "art", ("item", "prompt", WORDS))
    if WORDS not in rows:
        return {}
    rows = rows[(rows["prompt"] == "caption") & rows["item"].isin(planned)]
    counts = rows.drop_duplicates("item")[WORDS].dropna()
    return {"caption_words": float(counts.astype(float).mean())} if len(counts) else {}
