"""How many of the planned images hold a picture at all, and why the others do not?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from aes_audit.evidence.schema import FAULT, FLAGGED, TRUNCATED
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.rates import case
from aes_audit.measures.request import Request
from aes_audit.statistics.bootstrap import Floats
from aes_audit.statistics.intervals import proportion

__all__ = ["ABSENT", "image_faults", "lost_shares"]

IMAGES = ("original", "wide")

DIGEST = "image_sha256"

_YES = (True, "true", "True", "TRUE")
"""CSV has no booleans."""

ABSENT = "absent"
"""Kind of a planned image that the table does not mention."""

_UNTOLD = "failed"
"""Kind of an image that has errors alone, in tables that name no kinds."""

Place = tuple[str, str]
"""Item and image."""


def image_faults(request: Request) -> Measurement:
    """Share of planned images, two per item, that are missing; up is worse.

    Reads every row about an image, by any scorer, and no score. A lost image is what is counted and so nothing is
    `missing`, but for items that the table does not mention whole: these count as lost, and `details["best_..."]` as
    there. `details` has the faults by kind and by image, flagged images by kind, and the texts that were cut.
    Raises MissingScores if the table has no row about an image. Source: PROTOCOL R5, R9; STATISTICS section 7.
    """
    model = request.sole_model()
    seen, items = _seen(request, model), request.planned(model)
    known = sum(all((item, image) in seen for image in IMAGES) for item in items)
    if not known:
        return request.unmeasured(0, len(items), f"0 of {len(items)} items have rows about both images")
    planned = [(item, image) for item in items for image in IMAGES]
    lost = {place: fault for place in planned if (fault := _fault_of(seen, place)) is not None}
    told = {place: seen[place] for place in planned if place in seen}
    proven = sum(fault != ABSENT for fault in lost.values())
    details = {
        "images": len(planned),
        "faults": _counted(lost.values()),
        "by_image": {image: sum(place[1] == image for place in lost) for image in IMAGES},
        "flagged": _counted(flag for one in told.values() for flag in one.flags),
        "truncated": {image: sum(one.cut for place, one in told.items() if place[1] == image) for image in IMAGES},
        **case(request, "best", proven, len(planned)),
    }
    interval = proportion(len(lost), len(planned), request.confidence, request.interval)
    return request.measured(known, len(items) - known, len(lost) / len(planned), interval, details)


def lost_shares(request: Request) -> Floats:
    """Share of the two images of each planned item that are missing, shape (items,). Raises MissingScores."""
    model = request.sole_model()
    seen = _seen(request, model)
    lost = [[_fault_of(seen, (item, image)) is not None for image in IMAGES] for item in request.planned(model)]
    return np.asarray(np.array(lost, dtype=np.float64).reshape(-1, len(IMAGES)).mean(axis=1))


class _Image(NamedTuple):
    """What all rows about one image say together."""

    fault: str | None
    flags: tuple[str, ...]
    cut: bool


def _fault_of(seen: Mapping[Place, _Image], place: Place) -> str | None:
    return seen[place].fault if place in seen else ABSENT


def _seen(request: Request, model: str) -> dict[Place, _Image]:
    rows = request.evidence.rows(model, request.set, ("item", "image", "value", FAULT, FLAGGED, TRUNCATED, DIGEST))
    rows = rows[rows["image"].isin(IMAGES)]
    if rows.empty:
        raise request.skip("the table has no row about an image")
    told = rows[["item", "image"]].assign(
        fault=_column(rows, FAULT),
        flags=_column(rows, FLAGGED),
        cut=_column(rows, TRUNCATED).isin(_YES),
        # Where no kind is told: an image that anybody gave a score, or whose digest is known, was there.
        there=rows["value"].notna() | _column(rows, DIGEST).notna(),
    )
    grouped = told.groupby(["item", "image"], sort=False, observed=True)
    summary = grouped.agg({"fault": "first", "flags": "first", "cut": "any", "there": "any"})
    return {
        place: _Image(_kind(fault, bool(there)), _listed(flags), bool(cut))
        for place, fault, flags, cut, there in zip(summary.index, *(summary[name] for name in summary), strict=True)
    }


def _column(rows: pd.DataFrame, name: str) -> pd.Series:
    """An extra column, null where the table has none."""
    return rows[name] if name in rows else pd.Series(None, index=rows.index, dtype="str")


def _kind(fault: Any, there: bool) -> str | None:
    if isinstance(fault, str):
        return fault
    return None if there else _UNTOLD


def _listed(flags: Any) -> tuple[str, ...]:
    return tuple(flags.split(",")) if isinstance(flags, str) else ()


def _counted(kinds: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(kinds).items()))
