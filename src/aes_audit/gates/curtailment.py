"""Stopping early: a verdict before the last item, when nothing that is still to come could change it.

**Curtailment** (the default) loses nothing. The gate's own `judge` is asked about every way the items left could turn
out; when all answers are the same, that is the verdict of the full run. Only if so many of the items left would have
been lost that the full run could not be judged at all (too many missing, or lost unevenly by the two models), the full
run would have said so instead.

**Anytime-valid stopping** (opt-in) also ends a run when a bettor's wealth shows the answer (statistics.sequential). It
may differ from the full run; the chance of a wrong verdict stays within the gate's level at any number of looks,
because one fifth of the level is spent on the way and only four fifths (`final_gate`) at the end.

Both need items in the order of `order`. Source: STATISTICS section 8.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import Judgement, Verdict, judge
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.registry import METRICS
from aes_audit.statistics.bootstrap import Floats
from aes_audit.statistics.intervals import bonett_price, proportion
from aes_audit.statistics.paired import Discordant, mcnemar, mcnemar_two_sided
from aes_audit.statistics.sequential import FLOOR, first_reach, split_level, wealth_above, wealth_below
from aes_audit.statistics.sequential_interval import confidence_sequence

__all__ = ["Seen", "Settled", "can_settle", "final_gate", "look", "order"]

RATES = frozenset({"success_rate", "prefers_wide", "emotion_accuracy"})
"""Metrics that are a share of the planned items; only of one generator, since pooled rows share items."""
COMPARISONS = frozenset({"realignment_success"})
"""Metrics that are a McNemar test of two models."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known so far, item by item in the order of `order`."""

    planned: int
    """Items of the full run."""
    hits: tuple[bool | None, ...]
    """Whether the model under audit succeeded; None where that is missing."""
    base_hits: tuple[bool | None, ...] | None = None
    """The same of the base model, for gates that compare two."""

    def __post_init__(self) -> None:
        """Refuse, with a ValueError, more items than planned and models that have seen different items."""
        if len(self.hits) > self.planned:
            raise ValueError(f"{len(self.hits)} items were seen, but only {self.planned} planned")
        if self.base_hits is not None and len(self.base_hits) != len(self.hits):
            raise ValueError(f"{len(self.hits)} items of one model beside {len(self.base_hits)} of the other")

    def first(self, count: int) -> Seen:
        """What was known after `count` items."""
        base = None if self.base_hits is None else self.base_hits[:count]
        return Seen(self.planned, self.hits[:count], base)


@dataclass(frozen=True, slots=True)
class Settled:
    """A verdict that no longer depends on the items left."""

    gate: Gate
    """What was asked."""
    verdict: Verdict
    """The answer; of an advisory gate, what it would be."""
    rule: str
    """`curtailment` or `anytime`."""
    at: int
    """Items seen."""
    planned: int
    """Items of the full run."""
    bounds: tuple[float, float]
    """Where the estimate of the full run lies (curtailment), or the running interval of the truth (anytime)."""

    @property
    def stopped(self) -> bool:
        """Whether items are left; such a run shows bounds, no bare rate, and is never a baseline."""
        return self.at < self.planned

    @property
    def reason(self) -> str:
        """The answer in one sentence."""
        low, high = self.bounds
        if self.rule == "anytime":
            shown = f"the running interval [{low:.4g}, {high:.4g}] may be read at any time"
        else:
            shown = f"no outcome of the items left changes it: the full run ends within [{low:.4g}, {high:.4g}]"
        return f"stopped at {self.at} of {self.planned} items, {shown}"

    def judgement(self, partial: Measurement) -> Judgement:
        """What to report: `partial`, measured on the items seen, without the estimate that stopping has biased."""
        how = {"early_stop": self.rule, "stopped_at": self.at, "planned": self.planned, "bounds": list(self.bounds)}
        blank: dict[str, Any] = dict.fromkeys(("estimate", "interval", "statistic", "p_value"))
        kept = {key: partial.details[key] for key in ("lost", "ties", "position") if key in partial.details}
        shown = replace(partial, **blank, details={**kept, **how}, reason=self.reason)
        if self.gate.advisory:
            return Judgement(shown, self.gate, Verdict.ADVISORY, f"would be {self.verdict.value}: {self.reason}")
        return Judgement(shown, self.gate, self.verdict, self.reason)


def order(items: Collection[str], seed: int, strata: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The items shuffled once by `seed`, the strata mixed so that every beginning holds each in proportion.

    Follows from the names and the seed alone, on every machine and Python version, whatever the order of `items`.
    """
    place: dict[str, float] = {}
    group = strata or {}
    sizes = Counter(group.get(item, "") for item in items)
    taken: Counter[str] = Counter()
    for draw, item in sorted((_draw(seed, group.get(item, ""), item), item) for item in items):
        stratum = group.get(item, "")
        # A random place within the item's own share of the run: regular places would let the strata take turns.
        place[item] = (taken[stratum] + draw[1]) / sizes[stratum]
        taken[stratum] += 1
    return tuple(sorted(place, key=lambda item: (place[item], item)))


def can_settle(gate: Gate | None) -> bool:
    """Whether the gate can be settled before the last item; means and ungated metrics need every item."""
    return gate is not None and gate.asks and (gate.metric in RATES or gate.metric in COMPARISONS)


def final_gate(gate: Gate) -> Gate:
    """The gate that a run with anytime stopping is held against at its end: four fifths of the level are left.

    A contract has no level, and the interval of a comparison is not spent on the way: both stay as they are.
    """
    if gate.metric in COMPARISONS:
        return replace(gate, alpha=split_level(gate.alpha).final)
    if gate.metric in RATES and gate.kind == "evidential":
        return replace(gate, confidence=1 - 2 * split_level((1 - gate.confidence) / 2).final)
    return gate


def look(gate: Gate, seen: Seen, *, family: int = 1, anytime: bool = False) -> Settled | None:
    """The verdict if it is settled by what was seen, else None; call it after every batch.

    `family` is the number of gates in the gate's Holm family: the verdict must hold whatever p the others have.
    With `anytime` a wealth that was high enough after any item counts, so a later look never takes a verdict back.
    Raises ValueError for a gate that cannot be settled early, or a comparison without outcomes of the base model.
    """
    if not can_settle(gate):
        raise ValueError(f"{gate.metric} has no verdict before the last item")
    if (gate.metric in COMPARISONS) != (seen.base_hits is not None):
        raise ValueError(f"{gate.metric}: outcomes of a base model are for comparisons, and needed there")
    asked = replace(gate, advisory=False)
    if anytime and (early := _betting(asked, seen, family)):
        return replace(early, gate=gate)
    counts = _Pairs.of(seen) if seen.base_hits is not None else _Rate.of(seen)
    verdict = counts.settled(final_gate(asked) if anytime else asked, family)
    if verdict is None:
        return None
    return Settled(gate, verdict, "curtailment", len(seen.hits), seen.planned, counts.bounds)


@dataclass(frozen=True, slots=True)
class _Rate:
    """A rate so far."""

    planned: int
    left: int
    successes: int
    missing: int

    @classmethod
    def of(cls, seen: Seen) -> _Rate:
        return cls(seen.planned, seen.planned - len(seen.hits), seen.hits.count(True), seen.hits.count(None))

    @property
    def bounds(self) -> tuple[float, float]:
        return self.successes / self.planned, (self.successes + self.left) / self.planned

    def settled(self, gate: Gate, family: int) -> Verdict | None:
        def verdict(successes: int, lost: int) -> Verdict:
            return _rate_verdict(gate, successes, self.missing + lost, self.planned)

        def completions(lost: int) -> Iterator[Verdict]:
            ends = range(self.successes, self.successes + self.left - lost + 1)
            return (verdict(successes, lost) for successes in ends)

        extremes = (verdict(self.successes, 0), verdict(self.successes + self.left, 0))
        return _agreed(extremes, completions, self.left)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """A comparison so far."""

    planned: int
    left: int
    pairs: Discordant
    lost_base: int
    lost_aligned: int
    missing: int

    @classmethod
    def of(cls, seen: Seen) -> _Pairs:
        both = Counter(zip(seen.base_hits or (), seen.hits, strict=True))
        gone = {arm: sum(count for pair, count in both.items() if pair[arm] is None) for arm in (0, 1)}
        missing = gone[0] + gone[1] - both[None, None]
        pairs = Discordant(both[True, False], both[False, True])
        return cls(seen.planned, seen.planned - len(seen.hits), pairs, gone[0], gone[1], missing)

    @property
    def bounds(self) -> tuple[float, float]:
        n, gained = max(1, self.planned - self.missing), self.pairs.improved - self.pairs.regressed
        return max(-1.0, (gained - self.left) / n), min(1.0, (gained + self.left) / n)

    def settled(self, gate: Gate, family: int) -> Verdict | None:
        # A loss that is uneven now could still be evened out, so the verdict must also hold as if it were.
        uneven = {self.uneven, 1.0}

        def verdicts(regressed: int, improved: int, lost: int) -> Iterator[Verdict]:
            n = self.planned - self.missing - lost
            for loss in uneven:
                yield from _pair_verdicts(gate, Discordant(regressed, improved), n, self.missing + lost, loss, family)

        def completions(lost: int) -> Iterator[Verdict]:
            for regressed, improved in _edge(self.left - lost):
                yield from verdicts(self.pairs.regressed + regressed, self.pairs.improved + improved, lost)

        worst = verdicts(self.pairs.regressed + self.left, self.pairs.improved, 0)
        best = verdicts(self.pairs.regressed, self.pairs.improved + self.left, 0)
        return _agreed((*worst, *best), completions, self.left)

    @property
    def uneven(self) -> float:
        both = self.lost_base + self.lost_aligned - self.missing
        return mcnemar_two_sided(Discordant(self.lost_base - both, self.lost_aligned - both))


def _agreed(extremes: Iterable[Verdict], completions: Callable[[int], Iterable[Verdict]], left: int) -> Verdict | None:
    """The verdict of every completion, None if there are two; `completions` takes how many of the items are lost.

    Losses that make the full run an error are left out: an item that is not generated is not missing.
    """
    found = set(extremes)
    # Nearly always the extremes differ until the verdict is settled, which spares going through the rest.
    if len(found) > 1 or found == {Verdict.ERROR}:
        return found.pop() if len(found) == 1 else None
    for lost in range(left + 1):
        ends = set(completions(lost))
        if lost and Verdict.ERROR in ends:
            break
        found |= ends
        if len(found) > 1:
            return None
    return found.pop()


def _edge(left: int) -> Iterator[tuple[int, int]]:
    """The (regressed, improved) among `left` pairs that matter: the edge of the triangle of all of them.

    The test rises with one and falls with the other. The interval's bound at a given difference widens with the
    number of discordant pairs, so it is extreme where these are fewest or most; by parity, one of two diagonals.
    """
    for one in range(left + 1):
        yield from {(one, 0), (0, one), (one, left - one), (one, max(0, left - 1 - one))}


@lru_cache(maxsize=1 << 17)
def _rate_verdict(gate: Gate, successes: int, missing: int, planned: int) -> Verdict:
    return judge(_rate_measurement(gate, successes, missing, planned), gate, METRICS[gate.metric].bad).verdict


@lru_cache(maxsize=1 << 17)
def _pair_verdicts(
    gate: Gate, pairs: Discordant, n: int, missing: int, uneven: float, family: int
) -> tuple[Verdict, Verdict]:
    """The verdicts at the smallest and the largest p that Holm's method can make of the gate's own."""
    measured, bad = _pair_measurement(gate, pairs, n, missing, uneven), METRICS[gate.metric].bad
    p_value = 1.0 if measured.p_value is None else measured.p_value
    alone, among_others = (judge(measured, gate, bad, p) for p in (p_value, min(1.0, family * p_value)))
    return alone.verdict, among_others.verdict


def _rate_measurement(gate: Gate, successes: int, missing: int, planned: int) -> Measurement:
    """What `measures.rates` makes of these counts, as far as a verdict reads it."""
    shown = _measurement(gate, planned - missing, missing)
    if shown.n == 0:
        return shown
    bounds = proportion(successes, planned, gate.confidence, gate.interval).bounds
    best = proportion(successes + missing, planned, gate.confidence, gate.interval).bounds
    details = {"best_interval": best, "best_estimate": (successes + missing) / planned}
    return replace(shown, estimate=successes / planned, interval=bounds, details=details)


def _pair_measurement(gate: Gate, pairs: Discordant, n: int, missing: int, uneven: float) -> Measurement:
    """What `measures.realignment` makes of these counts, as far as a verdict reads it."""
    shown = _measurement(gate, n, missing)
    if n == 0:
        return shown
    interval = bonett_price(*pairs, n, gate.confidence)
    estimate = (pairs.improved - pairs.regressed) / n
    return replace(
        shown, estimate=estimate, interval=interval, p_value=mcnemar(pairs), details={"lost": {"p_value": uneven}}
    )


def _measurement(gate: Gate, n: int, missing: int) -> Measurement:
    metric = gate.metric
    return Measurement(metric, metric, "", METRICS[metric].set, gate.scorer, n, missing, None, None, gate.confidence)


def _betting(gate: Gate, seen: Seen, family: int) -> Settled | None:
    """The verdict that a bettor's wealth has shown, None if none has."""
    if seen.base_hits is None:
        return None if gate.kind == "contractual" else _rate_bets(gate, seen)
    base, aligned = _known(seen.base_hits, None), _known(seen.hits, None)
    discordant = np.abs(base - aligned) == 1
    reached = _reached(wealth_above(base == 1, 0.5, discordant), split_level(gate.alpha, family).early)
    for at in reached:
        # The bettor stands for the test; margin and losses are judged on what was seen.
        counts = _Pairs.of(seen.first(at))
        measured = _pair_measurement(gate, counts.pairs, at - counts.missing, counts.missing, counts.uneven)
        if judge(measured, gate, METRICS[gate.metric].bad, 0.0).verdict is Verdict.FAIL:
            return Settled(gate, Verdict.FAIL, "anytime", len(seen.hits), seen.planned, _difference(gate, seen))
    return None


def _rate_bets(gate: Gate, seen: Seen) -> Settled | None:
    threshold = gate.at_least if gate.at_least is not None else gate.at_most
    if threshold is None or not 0 < threshold < 1:
        return None
    level = split_level((1 - gate.confidence) / 2).early
    # Missing items count against whatever would be concluded.
    low, high = _known(seen.hits, False), _known(seen.hits, True)
    above, below = Verdict.PASS, Verdict.FAIL
    if gate.at_least is None:
        above, below = below, above
    bets = [(at, above) for at in _reached(wealth_above(low, threshold), level)]
    bets += [(at, below) for at in _reached(wealth_below(high, threshold), level)]
    for at, verdict in sorted(bets, key=lambda bet: bet[0]):
        if seen.hits[:at].count(None) / at <= gate.max_missing:
            alpha = 1 - gate.confidence
            bounds = float(confidence_sequence(low, alpha)[0][-1]), float(confidence_sequence(high, alpha)[1][-1])
            return Settled(gate, verdict, "anytime", len(seen.hits), seen.planned, bounds)
    return None


def _reached(wealth: Floats, level: float) -> list[int]:
    """Every number of items, from the floor on, at which the wealth stands at 1 / `level` or more."""
    first = int(first_reach(wealth, level)) if len(wealth) >= FLOOR else len(wealth) + 1
    return [at for at in range(first, len(wealth) + 1) if wealth[at - 1] >= 1 / level]


def _difference(gate: Gate, seen: Seen) -> tuple[float, float]:
    """Running interval of the difference of rates, aligned - base, from one for either kind of discordant pair."""
    base, aligned = _known(seen.base_hits or (), None), _known(seen.hits, None)
    known = ~np.isnan(base) & ~np.isnan(aligned)
    difference, alpha = (aligned - base)[known], (1 - gate.confidence) / 2
    worse, better = (confidence_sequence(difference == sign, alpha) for sign in (-1, 1))
    return float(better[0][-1] - worse[1][-1]), float(better[1][-1] - worse[0][-1])


def _known(hits: tuple[bool | None, ...], missing: bool | None) -> Floats:
    """Outcomes as numbers; a missing one as `missing`, NaN for None."""
    lost = np.nan if missing is None else float(missing)
    return np.array([lost if hit is None else float(hit) for hit in hits], dtype=np.float64)


def _draw(seed: int, stratum: str, item: str) -> tuple[int, float]:
    """A whole number to sort by and a fraction in [0, 1), from the digest of seed and names."""
    identity = json.dumps([seed, stratum, item], ensure_ascii=True, separators=(",", ":"))
    drawn = hashlib.sha256(identity.encode("ascii")).digest()
    return int.from_bytes(drawn[:8], "big"), int.from_bytes(drawn[8:14], "big") / (1 << 48)
