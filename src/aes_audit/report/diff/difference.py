"""What changed between two runs, as data: every measurement before and after, tested where that is fair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from aes_audit.errors import AesAuditError
from aes_audit.measures.item_values import ItemValues, item_values
from aes_audit.measures.names import REWARD_SUBJECT
from aes_audit.report.diff.conditions import obstacles, run_notes, threshold_note
from aes_audit.report.diff.matching import Renamed, match, renamed
from aes_audit.report.diff.pairing import Paired, artists_of, pair_items
from aes_audit.report.diff.side import Side, part_of
from aes_audit.report.html.items import worse_side
from aes_audit.report.html.material import models_of
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
    values = [_values(side, entry) for side, entry in zip((before, after), pair, strict=True)]
    if lack := next((value for value in values if isinstance(value, str)), None):
        return replace(found, obstacles=(lack,))
    old, new = (value for value in values if isinstance(value, ItemValues))
    paired = _paired(before, pair, old, new)
    return replace(found, obstacles=(paired,)) if isinstance(paired, str) else replace(found, paired=paired)


def _values(side: Side, entry: Entry) -> ItemValues | str:
    """What each item contributed, or why that is not known."""
    if side.evidence is None:
        return f"{side.name} has no evidence"
    try:
        found = item_values(
            entry["metric"],
            side.evidence,
            models=models_of(entry, side.evidence),
            base_model=entry["base_model"],
            scorer=entry["scorer"],
            group=entry["group"],
            reference=part_of(entry["details"], "reference").get("model"),
        )
    except AesAuditError as error:
        return f"the evidence of {side.name} does not have it: {str(error).removesuffix('.')}"
    return f"{entry['metric']} has no value per item" if found.values is None else found


def _paired(before: Side, pair: tuple[Entry, Entry], old: ItemValues, new: ItemValues) -> Paired | str:
    """The comparison item by item, or why there is none."""
    assert old.values is not None
    assert new.values is not None
    if old.items != new.items:
        both = len(set(old.items) & set(new.items))
        apart = f"{len(old.items) - both} only in the first, {len(new.items) - both} only in the second"
        return f"the items differ: {both} are in both runs, {apart}"
    lost = [np.isnan(values) for values in (old.values, new.values)]
    known = ~(lost[0] | lost[1])
    if not known.any():
        return "no item has a value in both runs"
    uneven = mcnemar_two_sided(discordant(*lost))
    if uneven < _UNEVEN:
        counts = f"{lost[0].sum()} and {lost[1].sum()}, p = {uneven:.2g}"
        return f"the runs lost items differently ({counts}): the rest cannot be compared"
    entry = pair[1]
    # Equal for either order of the runs, so that exchanging them mirrors the interval.
    subjects = " ".join(sorted({pair[0]["subject"], entry["subject"]}))
    scorer = None if entry["metric"] in REWARD_SUBJECT else entry["scorer"]
    return pair_items(
        entry["metric"],
        [item for item, has in zip(old.items, known, strict=True) if has],
        old.values[known],
        new.values[known],
        seed=derive_seed("diff", entry["metric"], subjects, scorer, entry["group"]),
        confidence=entry["confidence"],
        clusters=artists_of(before.evidence, pair[0]["model"]) if entry["set"] == "art" and before.evidence else None,
    )
