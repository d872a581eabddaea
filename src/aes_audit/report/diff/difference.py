"""What changed between two runs, as data: every measurement before and after, tested where that is fair."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from aes_audit.measures.discrimination import THIN_CLASS
from aes_audit.measures.names import REWARD_SUBJECT
from aes_audit.report.diff.change import DIRECTIONS, Change
from aes_audit.report.diff.conditions import obstacles, run_notes, threshold_note
from aes_audit.report.diff.contributions import Contributions, contributions
from aes_audit.report.diff.matching import Renamed, match, renamed
from aes_audit.report.diff.pairing import Paired, pair_areas, pair_items
from aes_audit.report.diff.side import Side
from aes_audit.report.outcome import ORDER, about, outcome
from aes_audit.report.results import Entry
from aes_audit.statistics.multiplicity import holm
from aes_audit.statistics.paired import discordant, mcnemar_two_sided
from aes_audit.statistics.seeds import derive_seed

__all__ = ["Difference", "difference"]

_UNEVEN = 0.05
"""Two-sided p below which two runs are taken to have lost items for different reasons (STATISTICS section 7)."""


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
