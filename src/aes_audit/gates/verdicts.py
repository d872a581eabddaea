"""From a measurement and a gate to a verdict. Pure functions; no verdict is truthy by accident."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aes_audit.gates.thresholds import Gate
from aes_audit.measures.discrimination import THIN_CLASS
from aes_audit.measures.measurement import Measurement

__all__ = ["Judgement", "Verdict", "judge"]


UNEVEN_LOSS = 0.05
"""Two-sided p below which two arms are taken to have lost items for different reasons."""


class Verdict(Enum):
    """What a gate says about a measurement (STATISTICS section 1)."""

    PASS = "pass"
    """The interval, or the contract, shows the good side."""
    FAIL = "fail"
    """The interval, the contract or a test shows the bad side."""
    INCONCLUSIVE = "inconclusive"
    """Both sides remain possible with these items."""
    ERROR = "error"
    """Not measured; never a regression."""
    ADVISORY = "advisory"
    """Measured and shown; no gate, or one declared as report-only."""

    def __bool__(self) -> bool:
        """Refused: compare with `is`, since an inconclusive verdict is neither true nor false."""
        raise TypeError("a verdict has no truth value: compare it, for instance `verdict is Verdict.PASS`")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A measurement beside what was asked of it."""

    measurement: Measurement
    """What was measured."""
    gate: Gate | None
    """What was asked; None when the profile asks nothing."""
    verdict: Verdict
    """The answer."""
    reason: str
    """The answer in one sentence."""


def judge(measurement: Measurement, gate: Gate | None, bad: str, p_adjusted: float | None = None) -> Judgement:
    """Hold a measurement against its gate.

    `bad` is the metric's bad side, `up` or `down`; `p_adjusted` is the p-value adjusted over the gate's family,
    and stands in for the measurement's own.
    """
    if gate is None:
        return Judgement(measurement, None, Verdict.ADVISORY, "measured; this profile sets no gate for it")
    if not gate.asks and measurement.n > 0:
        return Judgement(measurement, gate, Verdict.ADVISORY, "measured; only a change from its baseline is judged")
    verdict, reason = _decide(measurement, gate, bad, measurement.p_value if p_adjusted is None else p_adjusted)
    if gate.advisory:
        return Judgement(measurement, gate, Verdict.ADVISORY, f"would be {verdict.value}: {reason}")
    return Judgement(measurement, gate, verdict, reason)


def _decide(measurement: Measurement, gate: Gate, bad: str, p_value: float | None) -> tuple[Verdict, str]:
    planned = measurement.n + measurement.missing
    if measurement.n == 0:
        return Verdict.ERROR, f"not measured: {measurement.reason or f'0 of {planned} items have a score'}"
    # Divided, not multiplied: 29 of 100 is exactly .29, but .29 times 100 is a little less than 29.
    if measurement.missing / planned > gate.max_missing:
        limit = f"more than the allowed {gate.max_missing:.0%}"
        return Verdict.ERROR, f"not measured: {measurement.missing} of {planned} items are missing, {limit}"
    if measurement.estimate is None:
        return Verdict.INCONCLUSIVE, measurement.reason or "no estimate"
    if flaw := _undecidable(measurement):
        return Verdict.INCONCLUSIVE, flaw
    if gate.margin is not None:
        return _non_inferior(measurement, gate, gate.margin, bad, p_value)
    if gate.kind == "contractual":
        return _contract(measurement, measurement.estimate, gate)
    return _by_interval(measurement, gate)


def _undecidable(measurement: Measurement) -> str | None:
    """Why the numbers, although measured, can decide nothing (STATISTICS sections 4 and 7)."""
    details = measurement.details
    if details.get("thin_class"):
        return f"only {min(details['P'], details['N'])} cases of the rarer answer of the truth: {THIN_CLASS} are needed"
    # Two models (base, aligned), or the two images of one model (original, wide).
    lost = dict(details.get("lost") or {"p_value": 1.0})
    p_value = lost.pop("p_value")
    if p_value < UNEVEN_LOSS:
        counts = " and ".join(f"{count} of {arm}" for arm, count in lost.items())
        return f"the two sides lost items differently ({counts}, p = {p_value:.3g}): the rest cannot be compared"
    return None


def _contract(measurement: Measurement, estimate: float, gate: Gate) -> tuple[Verdict, str]:
    """A promise about these very items: a rate breaks it only if it does with every missing item a success."""
    promised = f"the estimate {estimate:.4g} was promised to be {gate.text}"
    if _keeps(estimate, gate):
        return Verdict.PASS, promised
    best = measurement.details.get("best_estimate")
    if best is not None and _keeps(float(best), gate):
        return Verdict.INCONCLUSIVE, f"{promised}; with the {measurement.missing} missing items it could be {best:.4g}"
    return Verdict.FAIL, promised


def _keeps(estimate: float, gate: Gate) -> bool:
    return estimate >= gate.at_least if gate.at_least is not None else estimate <= (gate.at_most or 0.0)


def _by_interval(measurement: Measurement, gate: Gate) -> tuple[Verdict, str]:
    """Wholly on the good side pass, wholly on the bad side fail; touching the threshold is inconclusive."""
    if measurement.interval is None:
        return Verdict.INCONCLUSIVE, measurement.reason or "no interval"
    low, high = measurement.interval
    shown = f"the {gate.confidence:.0%} interval [{low:.4g}, {high:.4g}]"
    if gate.at_least is not None:
        good = _bound(measurement, "worst_interval", 0, low) > gate.at_least
        failing = _bound(measurement, "best_interval", 1, high) < gate.at_least
    else:
        good, failing = high < (gate.at_most or 0.0), low > (gate.at_most or 0.0)
    if good:
        return Verdict.PASS, f"{shown} lies wholly on the good side of {gate.text}"
    if failing:
        return Verdict.FAIL, f"{shown} lies wholly on the bad side of {gate.text}"
    return Verdict.INCONCLUSIVE, f"{shown} leaves both sides of {gate.text} possible"


def _bound(measurement: Measurement, name: str, side: int, otherwise: float) -> float:
    # A rate with missing items may only pass if it would with all of them failed, and only fail if it would with
    # all of them succeeded.
    bounds = measurement.details.get(name)
    return float(bounds[side]) if bounds else otherwise


def _non_inferior(
    measurement: Measurement, gate: Gate, margin: float, bad: str, p_value: float | None
) -> tuple[Verdict, str]:
    """Fail needs a significant test and an estimate worse by the margin; pass needs the whole interval within it."""
    assert measurement.estimate is not None
    sign = 1.0 if bad == "up" else -1.0
    worse = sign * measurement.estimate
    shown = f"worse than the base model by {worse:.4g}" if worse > 0 else f"better than the base model by {-worse:.4g}"
    if p_value is not None and p_value <= gate.alpha and worse >= margin:
        return Verdict.FAIL, f"{shown} (margin {margin:g}), p = {p_value:.3g}"
    if measurement.interval is None:
        return Verdict.INCONCLUSIVE, measurement.reason or "no interval"
    worst = max(sign * bound for bound in measurement.interval)
    if worst < margin:
        return Verdict.PASS, f"{shown}, at worst by {worst:.4g}: within the margin {margin:g}"
    return Verdict.INCONCLUSIVE, f"{shown}, but {worst:.4g} remains possible: beyond the margin {margin:g}"
