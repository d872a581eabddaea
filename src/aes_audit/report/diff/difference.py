"""What changed between two runs, as data: every measurement before and after, tested where that is fair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from aes_audit.measures.discrimination import THIN_CLASS
from aes_audit.measures.names import REWARD_SUBJECT
from aes_audit.report.diff.conditions import obstacles, run_notes, threshold_note
from aes_audit.report.diff.contributions import Contributions, contributions
from aes_audit.report.diff.matching import Renamed, match, renamed
from aes_audit.report.diff.pairing import Paired, pair_areas, pair_items
from aes_audit.report.diff.side import Side
from aes_audit.report.html.items import worse_side
from aes_audit.report.outcome import ORDER, about, outcome
from aes_audit.report.results import Entry
from aes_audit.statistics.multiplicity import holm
from aes_audit.statistics.paired import discordant, mcnemar_two_sided
from aes_audit.statistics.seeds import derive_seed

__all__ = ["ALPHA", "DIRECTIONS", "Change", "Difference", "ItemChange", "difference"]

ALPHA = 0.05
"""Two-sided level of the whole family: the chance that anything is called changed where nothing did."""

DIRECTIONS = ("worse", "better", "no evidence of change", "not tested")
"""What can be said of a measurement, in the order of interest."""

_UNEVEN = 0.05
"""Two-sided p below which two runs are taken to have lost items for different reasons (STATISTICS section 7)."""


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One item that moved."""

    item: str
    before: float
    """What it contributed in the first run."""
    after: float
    """The same in the second."""


@dataclass(frozen=True, slots=True)
class Change:
    """One measurement in both runs."""

    before: Entry
    after: Entry
    paired: Paired | None = None
    """Item by item; None where that is not fair."""
    obstacles: tuple[str, ...] = ()
    """Why not, a clause each; empty where it is."""
    p_adjusted: float | None = None
    """Holm-adjusted over every tested measurement of the two runs."""
    note: str = ""
    """How the gate differs; empty where it does not."""

    @property
    def difference(self) -> float | None:
        """After minus before, of the estimates; None where one is not there."""
        old, new = self.before["estimate"], self.after["estimate"]
        return None if old is None or new is None else float(new - old)

    @property
    def flipped(self) -> bool:
        """Whether the verdict is another one."""
        return outcome(self.before) != outcome(self.after)

    @property
    def direction(self) -> str:
        """One of DIRECTIONS. Nothing is called changed that its baseline tolerates."""
        if self.paired is None:
            return "not tested"
        if not self._significant or self.tolerated:
            return "no evidence of change"
        return "worse" if self.paired.mean * worse_side(self.after["metric"]) > 0 else "better"

    @property
    def tolerance(self) -> float:
        """By how much a number may move before a baseline calls it changed; 0 where no run had a baseline."""
        known = [(entry["baseline"] or {}).get("tolerance") or 0.0 for entry in (self.before, self.after)]
        return float(max(known))

    @property
    def tolerated(self) -> bool:
        """Whether there is evidence of a change, of a size that a baseline tolerates."""
        return self._significant and self.difference is not None and abs(self.difference) <= self.tolerance

    @property
    def _significant(self) -> bool:
        if self.paired is None or self.p_adjusted is None:
            return False
        # Mean and test must point the same way: a few far items may turn the one and not the other.
        return self.p_adjusted <= ALPHA and self.paired.mean * self.paired.tendency > 0

    @property
    def size(self) -> float:
        """The difference in half widths of its interval, so that units need not be alike; -1 where there is none.

        Of the paired difference where it has an interval, else of the estimates, with the mean of theirs.
        """
        if self.paired is not None and self.paired.interval.bounds:
            return _widths(self.paired.mean, [self.paired.interval.bounds])
        if self.difference is None:
            return -1.0
        return _widths(self.difference, [each["interval"] for each in (self.before, self.after) if each["interval"]])

    def moved_most(self, count: int = 5) -> Sequence[ItemChange]:
        """The items that changed most in the direction of the change, ties by name; none where nothing is certain."""
        if self.paired is None or self.direction not in ("worse", "better"):
            return ()
        toward = self.paired.change * np.sign(self.paired.mean)
        moved = zip(self.paired.items, self.paired.before.tolist(), self.paired.after.tolist(), strict=True)
        ranked = sorted(zip(-toward, moved, strict=True), key=lambda each: (each[0], each[1][0]))
        return tuple(ItemChange(*item) for against, item in ranked[:count] if against < 0)


@dataclass(frozen=True)
class Difference:
    """Two runs beside each other; the second is what the first became."""

    before: Side
    after: Side
    names: Renamed
    """What is called differently in them."""
    changes: tuple[Change, ...]
    """Matched measurements: changed verdicts first, then what is worse or better, then by size."""
    new: tuple[Entry, ...]
    """Measured in the second run only."""
    vanished: tuple[Entry, ...]
    """Measured in the first run only."""
    notes: tuple[str, ...]
    """What a reader of the numbers should know about the runs."""

    @cached_property
    def worse(self) -> bool:
        """Whether anything got significantly worse."""
        return any(change.direction == "worse" for change in self.changes)

    @property
    def tested(self) -> int:
        """How many measurements the correction is over."""
        return sum(change.paired is not None for change in self.changes)


def difference(before: Side, after: Side, given: Iterable[str] = ()) -> Difference:
    """Compare two runs; `given` are NAME_A=NAME_B. Raises UsageError for a name that its run does not have."""
    names = renamed(before, after, given)
    matched = match(before, after, names)
    changes = [_change(before, after, pair, names) for pair in matched.pairs]
    tested = [change.paired for change in changes if change.paired is not None]
    adjusted = iter(holm([paired.p_value for paired in tested]))
    changes = [replace(change, p_adjusted=next(adjusted)) if change.paired else change for change in changes]
    return Difference(
        before,
        after,
        names,
        tuple(sorted(changes, key=_interest)),
        tuple(sorted(matched.new, key=about)),
        tuple(sorted(matched.vanished, key=about)),
        tuple(run_notes(before, after, names)),
    )


def _widths(difference: float, bounds: Sequence[Sequence[float]]) -> float:
    half = float(np.mean([high - low for low, high in bounds])) / 2 if bounds else 0.0
    return 0.0 if difference == 0 else abs(difference) / half if half > 0 else float("inf")


def _interest(change: Change) -> tuple[object, ...]:
    worst = min(ORDER.index(outcome(entry)) for entry in (change.before, change.after))
    certain = DIRECTIONS.index(change.direction) if change.direction in ("worse", "better") else 2
    return (not change.flipped, certain, -change.size, worst, about(change.after))


def _change(before: Side, after: Side, pair: tuple[Entry, Entry], names: Renamed) -> Change:
    found = Change(*pair, note=threshold_note(*pair))
    if faults := tuple(obstacles(before, after, pair, names)):
        return replace(found, obstacles=faults)
    values = [contributions(side, entry) for side, entry in zip((before, after), pair, strict=True)]
    old, new = values
    if isinstance(old, str) or isinstance(new, str):
        return replace(found, obstacles=tuple(dict.fromkeys(lack for lack in values if isinstance(lack, str))))
    paired = _paired(pair, old, new)
    return replace(found, obstacles=(paired,)) if isinstance(paired, str) else replace(found, paired=paired)


def _paired(pair: tuple[Entry, Entry], old: Contributions, new: Contributions) -> Paired | str:
    """The comparison item by item, or why there is none."""
    if old.items != new.items:
        both = len(set(old.items) & set(new.items))
        apart = f"{len(old.items) - both} only in the first, {len(new.items) - both} only in the second"
        return f"the items differ: {both} are in both runs, {apart}"
    truth, now = (np.zeros(0) if side.truth is None else side.truth for side in (old, new))
    if not np.array_equal(truth, now, equal_nan=True):
        return "the truth is not the same in both runs"
    lost = [np.isnan(side.values) for side in (old, new)]
    known = ~(lost[0] | lost[1])
    if not known.any():
        return "no item has a value in both runs"
    uneven = mcnemar_two_sided(discordant(*lost))
    if uneven < _UNEVEN:
        counts = f"{lost[0].sum()} and {lost[1].sum()}, p = {uneven:.2g}"
        return f"the runs lost items differently ({counts}): the rest cannot be compared"
    items = [item for item, has in zip(old.items, known, strict=True) if has]
    entry = pair[1]
    common = {"confidence": entry["confidence"], "clusters": old.clusters}
    if entry["metric"] == "reward_auroc":
        if (rarer := min(int((truth[known] == answer).sum()) for answer in (0, 1))) < THIN_CLASS:
            return f"only {rarer} cases of the rarer answer of the truth: {THIN_CLASS} are needed"
        return pair_areas(items, old.values[known], new.values[known], truth[known], **common)
    return pair_items(entry["metric"], items, old.values[known], new.values[known], seed=_seed(pair), **common)


def _seed(pair: tuple[Entry, Entry]) -> int:
    """Equal for either order of the runs, so that exchanging them mirrors the interval."""
    entry = pair[1]
    subjects = " ".join(sorted({pair[0]["subject"], entry["subject"]}))
    scorer = None if entry["metric"] in REWARD_SUBJECT else entry["scorer"]
    return derive_seed("diff", entry["metric"], subjects, scorer, entry["group"])
