"""The same items in two runs: what changed at each, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aes_audit.evidence.schema import ARTIST
from aes_audit.evidence.table import Evidence
from aes_audit.measures.catalogue import METRICS
from aes_audit.statistics.auroc import paired_delong, placements
from aes_audit.statistics.bootstrap import MIN_ITEMS, Floats, Interval, bootstrap_sums
from aes_audit.statistics.intervals import bonett_price, mean_interval
from aes_audit.statistics.paired import Discordant, mcnemar_two_sided, wilcoxon
from aes_audit.statistics.ratio import ratio

__all__ = ["Paired", "artists_of", "pair_areas", "pair_items"]

_RESOLUTION = 1e-4
"""Of the SD of all item values. Other kernels and batches move scores by less; ranks would take that for a trend."""

_RATES = frozenset({"rate", "difference of rates"})


@dataclass(frozen=True, slots=True)
class Paired:
    """After minus before, item by item, over the items that both runs have a value for."""

    items: tuple[str, ...]
    """Those items."""
    n: int
    """How many of them are independent: items, or clusters of items."""
    before: Floats
    """What each contributed in the first run, shape (items,)."""
    after: Floats
    """The same in the second."""
    change: Floats
    """After minus before, shape (items,); zero where that is less than the resolution of the scores."""
    mean: float
    """What interval and test are about: the mean difference, of areas the difference of the two."""
    interval: Interval
    """Of the mean difference: Bonett-Price for rates, DeLong for areas, else BCa or Student t (STATISTICS)."""
    p_value: float
    """Two-sided, unadjusted: exact McNemar for rates, DeLong for areas, else Wilcoxon's signed ranks, zeros kept."""
    test: str
    """`McNemar`, `Wilcoxon` or `DeLong`."""
    tendency: float
    """Above zero where the test leans to higher values in the second run, below zero to lower ones."""

    @property
    def raised(self) -> int:
        """Items with a higher value in the second run."""
        return int((self.change > 0).sum())

    @property
    def lowered(self) -> int:
        """Items with a lower value in the second run."""
        return int((self.change < 0).sum())


def pair_items(
    metric: str,
    items: Sequence[str],
    before: Floats,
    after: Floats,
    *,
    seed: int,
    confidence: float,
    clusters: Mapping[str, str] | None = None,
) -> Paired:
    """Compare item values of equal shape (items,) without NaN; raises ValueError for no items.

    A rate whose items all moved by a whole step or not at all is counted; anything else is a difference of scores.
    Items of one cluster (works of an artist, images of a pair by several generators) are resampled, and ranked,
    together.
    """
    if len(items) == 0:
        raise ValueError("nothing can be paired without an item")
    change = _changes(before, after)
    n = len({clusters.get(item, item) for item in items}) if clusters else len(items)
    found = (tuple(items), n, before, after, change, float(change.mean()))
    if clusters:
        sums = _sums(items, change, clusters)
        interval = bootstrap_sums(sums, _share, seed=seed, confidence=confidence)
        return Paired(*found, _enough(interval, len(sums), change), *_ranked(_share(sums)))
    if METRICS[metric].unit in _RATES and np.isin(change, (-1.0, 0.0, 1.0)).all():
        counted = Discordant(int((change < 0).sum()), int((change > 0).sum()))
        interval = Interval(bonett_price(*counted, len(change), confidence), "bonett_price")
        return Paired(
            *found, interval, mcnemar_two_sided(counted), "McNemar", float(counted.improved - counted.regressed)
        )
    return Paired(*found, mean_interval(change, seed=seed, confidence=confidence), *_ranked(change))


def pair_areas(
    items: Sequence[str],
    before: Floats,
    after: Floats,
    truth: Floats,
    *,
    confidence: float,
    clusters: Mapping[str, str],
) -> Paired:
    """Compare the AUROC of two scores of the same items for `truth` (1 or 0), shapes (items,).

    What an item contributes is the share of the other class that it stands on the right side of. Raises ValueError if
    a class is empty.
    """
    positive = truth == 1
    _, codes = np.unique([clusters.get(item, item) for item in items], return_inverse=True)
    found = paired_delong(before, after, positive, codes.astype(np.int64), confidence)
    first, second = placements(before, positive), placements(after, positive)
    test = (found.difference, found.interval, found.p_value, "DeLong", found.difference)
    return Paired(tuple(items), len(np.unique(codes)), first, second, second - first, *test)


def artists_of(evidence: Evidence, model: str) -> Mapping[str, str]:
    """Who made each work of art; empty where nobody is named."""
    frame = evidence.frame
    if ARTIST not in frame:
        return {}
    rows = frame[(frame["model"] == model) & (frame["set"] == "art") & frame[ARTIST].notna()]
    return dict(zip(rows["item"].astype(str), rows[ARTIST].astype(str), strict=True))


def _changes(before: Floats, after: Floats) -> Floats:
    change = after - before
    return np.where(np.abs(change) <= _RESOLUTION * np.std([before, after]), 0.0, change)


def _ranked(change: Floats) -> tuple[float, str, float]:
    test = wilcoxon(change, "pratt")
    return test.p_two_sided, "Wilcoxon", test.plus - test.minus


def _sums(items: Sequence[str], change: Floats, clusters: Mapping[str, str]) -> Floats:
    """Sum and number of the differences of each cluster, shape (clusters, 2); an item without one is its own."""
    _, codes = np.unique([clusters.get(item) or f"\0{item}" for item in items], return_inverse=True)
    return np.stack([np.bincount(codes, weights=change), np.bincount(codes)], axis=1).astype(np.float64)


def _share(sums: Floats) -> Floats:
    return ratio(sums[:, 0], sums[:, 1])


def _enough(interval: Interval, clusters: int, change: Floats) -> Interval:
    if clusters < MIN_ITEMS:
        return Interval(None, reason=f"{clusters} clusters only: {MIN_ITEMS} are needed")
    return Interval(None, reason="no variation") if np.ptp(change) == 0 else interval
