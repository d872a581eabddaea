"""What a gate can see with the planned items: refused when it can never pass, otherwise said in the header."""

from __future__ import annotations

from pathlib import Path

from aes_audit.errors import UnreachableThreshold
from aes_audit.gates.thresholds import Gate

__all__ = ["refuse_unreachable", "sight"]

RATES = frozenset({"success_rate", "prefers_wide", "emotion_accuracy", "emotion_accuracy_happy"})
"""Metrics whose number of trials is the number of planned items."""

MEANS = frozenset(
    {
        "quality_shift",
        "wide_quality",
        "dimension_shift",
        "dimension_shift_all",
        "concept_kept",
        "edit_shift",
        "emotion_rendering",
        "positivity_shift",
    }
)
"""Metrics that are means of item values."""

DISCORDANT = 0.2
"""Share of pairs on which two models differ, assumed when the McNemar gate's sight is computed."""


def refuse_unreachable(path: Path, gate: Gate, planned: int) -> None:
    """Raise UnreachableThreshold for a gate whose best possible outcome cannot pass; names the smallest n that can."""
    if gate.metric not in RATES or gate.kind != "evidential" or gate.advisory or gate.at_least is None:
        return
    from aes_audit.statistics.intervals import proportion
    from aes_audit.statistics.power import minimal_n

    where = f"{path}: gate {gate.metric}: at_least = {gate.at_least:g}"
    if not 0 < gate.at_least < 1:
        raise UnreachableThreshold(f"{where} can never be shown by an interval: choose a rate between 0 and 1.")
    best = proportion(planned, planned, gate.confidence, gate.interval).bounds
    if best is None or best[0] <= gate.at_least:
        bound = "none" if best is None else f"{best[0]:.3f}"
        needed = minimal_n(gate.at_least, gate.confidence, gate.interval)
        raise UnreachableThreshold(
            f"{where} cannot pass with {planned} items: even {planned}/{planned} has a lower bound of {bound}. "
            f"Lower it, or plan {needed} items or more."
        )


def sight(gate: Gate, planned: int) -> str | None:
    """What the gate sees with 80% power at `planned` items; None where that has no closed answer."""
    if not gate.asks:
        return None
    from aes_audit.statistics.power import detectable_drop, detectable_mean, detectable_rank_shift, detectable_rate

    if gate.metric in RATES and gate.at_least is not None:
        rate = detectable_rate(planned, gate.at_least, gate.confidence, gate.interval)
        return None if rate is None else f"passes from a true rate of {rate:.2f}"
    if gate.metric in MEANS:
        return f"tells {detectable_mean(planned, confidence=gate.confidence):.2f} SD from the threshold"
    if gate.metric in ("realignment_quality", "realignment_emotion"):
        return f"sees a shift of {detectable_rank_shift(planned, alpha=gate.alpha):.2f} SD"
    if gate.metric == "realignment_success":
        drop = detectable_drop(planned, DISCORDANT, gate.alpha)
        return None if drop is None else f"sees a drop of {drop:.2f} if {DISCORDANT:.0%} of the pairs differ"
    return None
