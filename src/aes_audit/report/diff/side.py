"""One of the two runs that are compared: its entries, checked and with every field there, and what lies behind them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aes_audit.errors import UsageError
from aes_audit.measures.names import METRIC_NEEDS, REWARD_SUBJECT
from aes_audit.report.outcome import ORDER
from aes_audit.report.results import Entry
from aes_audit.report.run_folder import RunFolder

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence

__all__ = ["Side", "part_of", "read_side"]

_ABSENT: Mapping[str, Any] = {
    "base_model": None,
    "group": None,
    "interval": None,
    "confidence": 0.95,
    "threshold": None,
    "baseline": None,
    "published": None,
    "reason": None,
}
_TEXTS = ("model", "set", "scorer", "audit", "subject")


@dataclass(frozen=True, slots=True)
class Side:
    """A run, read back."""

    folder: RunFolder
    """Where it lies."""
    entries: tuple[Entry, ...]
    """Its measurements, in the order of the file."""
    evidence: Evidence | None
    """The rows behind them; None where the run left none."""

    @property
    def run(self) -> Mapping[str, Any]:
        """Provenance."""
        return self.folder.run

    @property
    def name(self) -> str:
        """The path that was given."""
        return str(self.folder.path)

    @property
    def generators(self) -> tuple[str, ...]:
        """Generators that verdicts are about, sorted."""
        return tuple(sorted({entry["model"] for entry in self.entries if entry["metric"] not in REWARD_SUBJECT}))

    @property
    def rewards(self) -> tuple[str, ...]:
        """Rewards (and judges) that verdicts are about, sorted."""
        return tuple(sorted({entry["subject"] for entry in self.entries if entry["metric"] in REWARD_SUBJECT}))


def read_side(path: str | os.PathLike[str]) -> Side:
    """Read a run folder or a results file. Raises UsageError in one sentence for what is no run."""
    folder = RunFolder.read(path)
    entries = tuple(_entry(folder, position, entry) for position, entry in enumerate(folder.measurements))
    if not entries:
        raise UsageError(f"{str(path)!r} holds no measurement: nothing can be compared with it.")
    return Side(folder, entries, folder.evidence())


def part_of(about: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object within provenance or details; empty where there is none."""
    found = about.get(name)
    return found if isinstance(found, Mapping) else {}


def _entry(folder: RunFolder, position: int, raw: Entry) -> Entry:
    """The entry with every field that a comparison reads; raises UsageError for one that nobody could have written."""
    metric = raw["metric"]
    if not isinstance(metric, str) or metric not in METRIC_NEEDS:
        raise UsageError(f"{folder.path}: measurement {position + 1} is of metric {metric!r}, which is not known here.")
    whole = {**_ABSENT, "audit": metric, "set": METRIC_NEEDS[metric].set, "n": 0, "missing": 0, **raw}
    whole["details"] = raw.get("details") or {}
    whole.setdefault("subject", whole.get("scorer") if metric in REWARD_SUBJECT else whole.get("model"))
    if fault := _fault(whole):
        raise UsageError(
            f"{folder.path}: measurement {position + 1} ({metric}) {fault}: give the file as it was written."
        )
    return whole


def _fault(entry: Entry) -> str | None:
    for name in _TEXTS:
        if not isinstance(entry.get(name), str):
            return f"has no {name!r}"
    if entry.get("verdict") not in ORDER:
        return f"has the verdict {entry.get('verdict')!r}"
    estimate = entry.get("estimate", "")
    if estimate is not None and not _is_number(estimate):
        return f"has the estimate {estimate!r}"
    bounds = entry["interval"]
    if bounds is not None and not (isinstance(bounds, list) and len(bounds) == 2 and all(map(_is_number, bounds))):
        return f"has the interval {bounds!r}"
    if not all(isinstance(entry[name] or {}, Mapping) for name in ("details", "threshold", "baseline")):
        return "holds text where an object belongs"
    if not all(isinstance(entry[name], int) for name in ("n", "missing")) or not _is_number(entry["confidence"]):
        return "has no number of items or no confidence"
    if not _is_number((entry["baseline"] or {}).get("tolerance") or 0.0):
        return "has a baseline whose tolerance is no number"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
