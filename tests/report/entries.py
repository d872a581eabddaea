"""Entries as an audit records them, for tests of what is made from them."""

from __future__ import annotations

from typing import Any

from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import Judgement, Verdict
from aes_audit.measures.measurement import Measurement
from aes_audit.report.results import Entry, entry


def line(
    verdict: str = "pass", *, subject: str = "flux-dev", baseline: dict[str, Any] | None = None, **more: Any
) -> Entry:
    """One entry; `outcome`, `sentence` and `test` are what the plugin adds, the rest is of the measurement."""
    added: dict[str, Any] = {name: more.pop(name) for name in ("outcome", "sentence", "test") if name in more}
    gate = more.pop("gate", Gate("here", "quality_shift", at_most=-0.5))
    known = {"audit": "a", "metric": "quality_shift", "model": subject, "set": "pairs", "scorer": "tiny-reward"}
    values = {"n": 300, "missing": 0, "estimate": -1.105, "interval": (-1.34, -0.87)}
    measurement = Measurement(**{**known, **values, **more})
    judged = Judgement(measurement, gate, Verdict(verdict), "because")
    return {**entry(judged, "a", baseline), "subject": subject, **added}
