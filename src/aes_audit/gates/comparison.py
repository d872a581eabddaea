"""A new measurement against its baseline: comparable at all, inside the tolerance, or worse item by item.

Both sides are entries as a baseline file keeps them. Source: STATISTICS sections 5 and 9.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aes_audit.gates.baselines import Baseline
from aes_audit.gates.verdicts import Verdict
from aes_audit.measures.catalogue import METRICS
from aes_audit.statistics.paired import discordant, mcnemar, wilcoxon

__all__ = ["CONDITIONS", "Comparison", "changed_conditions", "compare", "other_circumstances", "within_tolerance"]

CONDITIONS = ("schema", "subject", "metric", "set", "scorer", "planned", "prompts", "items", "instruments")
"""What must be equal before two numbers are compared: definition, set, number of items, items and instruments."""

CIRCUMSTANCES = ("device", "libraries")
"""What may move a score by a little without anybody's wish; `--audit-baseline-mismatch` says what it means."""

_SHORT = 16
"""Digests are shown by their first characters."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of a measurement that has a baseline."""

    verdict: Verdict
    """PASS, FAIL, INCONCLUSIVE, or ERROR when the two cannot be compared."""
    reason: str
    """The answer in a few words, with old, new and tolerance."""
    notes: tuple[str, ...] = ()
    """What a reader should know although it decides nothing."""
    mismatch: str | None = None
    """Under which other circumstances the baseline was blessed; None when they were these."""


def compare(new: Baseline, old: Baseline, mismatch: str = "compare") -> Comparison:
    """Hold a new entry against the blessed one; `mismatch` is the policy for other hardware or library versions."""
    if changed := changed_conditions(new, old):
        told = "; ".join(part for name in changed for part in _told(name, old.get(name), new[name]))
        return Comparison(Verdict.ERROR, f"not comparable with its baseline: {told}")
    circumstances = other_circumstances(new, old)
    notes = (f"blessed under other circumstances: {circumstances}",) if circumstances else ()
    if circumstances and mismatch == "error":
        told = f"not comparable with its baseline, which was blessed under other circumstances: {circumstances}"
        return Comparison(Verdict.ERROR, told, notes, circumstances)
    if new["estimate"] is None:
        return Comparison(Verdict.ERROR, "not measured, but it has a baseline", notes, circumstances)
    verdict, reason, hint = _moved(new, old)
    return Comparison(verdict, reason, (*notes, *hint), circumstances)


def changed_conditions(new: Baseline, old: Baseline) -> list[str]:
    """Names of the conditions under which the two are not comparable."""
    return [name for name in CONDITIONS if _condition(new, name) != _condition(old, name)]


def other_circumstances(new: Baseline, old: Baseline) -> str | None:
    """Hardware and library versions that differ, old and new; None when they are the same or one side knows none."""
    now, then = new.get("provenance") or {}, old.get("provenance") or {}
    both = [name for name in CIRCUMSTANCES if now.get(name) and then.get(name)]
    return "; ".join(part for name in both for part in _told(name, then[name], now[name])) or None


def within_tolerance(new: Baseline, old: Baseline) -> bool:
    """Whether the estimate moved by no more than the blessed tolerance."""
    # Relative slack: .80 - .75 is a little more than .05 in floating point; a tolerance of zero stays exact.
    return bool(abs(new["estimate"] - old["estimate"]) <= old["tolerance"] * (1 + 1e-9))


def _moved(new: Baseline, old: Baseline) -> tuple[Verdict, str, tuple[str, ...]]:
    numbers = f"old {old['estimate']:.6g}, new {new['estimate']:.6g}, tolerance {old['tolerance']:.4g}"
    if within_tolerance(new, old):
        return Verdict.PASS, f"within the tolerance of its baseline: {numbers}", ()
    if _worse(new["metric"], new["estimate"] - old["estimate"]) < 0:
        better = f"better than its baseline: {numbers}"
        return Verdict.PASS, better, (f"{better}; bless it, so that the next run is held against it",)
    p_value, test = _by_item(new, old)
    if p_value is None:
        return Verdict.FAIL, f"worse than its baseline: {numbers} ({test})", ()
    worse = f"worse than its baseline: {numbers}; item by item {test}, p = {p_value:.3g}"
    if p_value <= new["alpha"]:
        return Verdict.FAIL, worse, ()
    return Verdict.INCONCLUSIVE, f"{worse}, which could be chance (alpha {new['alpha']:g})", ()


def _worse(metric: str, change: Any) -> Any:
    """A change turned so that above zero is worse."""
    return change if METRICS[metric].bad == "up" else -change


def _by_item(new: Baseline, old: Baseline) -> tuple[float | None, str]:
    """One-sided p of "the items got worse", and what was counted; None without item values on both sides."""
    columns = [_values(entry) for entry in (old, new)]
    if any(values is None for values in columns):
        return None, "no item values were kept to test with"
    before, after = np.array(columns, dtype=np.float64)
    known = ~np.isnan(before) & ~np.isnan(after)
    if not known.any():
        return None, "no item has a value on both sides"
    change = _worse(new["metric"], after[known] - before[known])
    if METRICS[new["metric"]].unit == "rate":
        pairs = discordant(change > 0, change < 0)
        return mcnemar(pairs), f"{pairs.regressed} got worse and {pairs.improved} better (McNemar)"
    return wilcoxon(change, "pratt").p_greater, f"{int((change > 0).sum())} of {len(change)} got worse (Wilcoxon)"


def _values(entry: Baseline) -> list[float | None] | None:
    values: list[float | None] | None = (entry.get("items") or {}).get("values")
    return values


def _condition(entry: Baseline, name: str) -> Any:
    value = entry.get(name)
    return (value or {}).get("digest") if name == "items" else value


def _told(name: str, old: Any, new: Any) -> Iterator[str]:
    """What differs, part by part where both sides have parts."""
    if name == "items":
        old, new = _digest(old), _digest(new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                yield f"{name} {key} was {_short(old.get(key))}, is {_short(new.get(key))}"
    elif old != new:
        yield f"{name} was {_short(old)}, is {_short(new)}"


def _digest(items: Any) -> Any:
    return {"digest": items.get("digest")} if isinstance(items, Mapping) else items


def _short(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    plain = value.removeprefix("sha256:")
    return plain[:_SHORT] if len(plain) >= 40 and " " not in plain else value
