"""What the page says in sentences: the verdict, by how much a gate was missed, what an item shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aes_audit.measures.catalogue import METRICS
from aes_audit.measures.names import REWARD_SUBJECT
from aes_audit.report.html.material import is_regression
from aes_audit.report.outcome import outcome, overall
from aes_audit.report.results import Entry

__all__ = ["Headline", "asked", "distance", "gap_of", "headline", "interval", "number", "scored_by"]

_RATE, _DIFFERENCE = "rate", "difference of rates"
_POINTS = " points"
_ABOUT_ALIGNMENT = frozenset(METRICS) - {"image_faults", "concept_kept"} - REWARD_SUBJECT
"""Metrics of a generator that are bad when it beautifies; without pictures or subject it is broken, not beautified."""

_TITLES = {"fail": "FAIL", "error": "ERROR", "inconclusive": "INCONCLUSIVE", "pass": "PASS", "advisory": "NO GATE"}


class Headline(NamedTuple):
    """The first line of the page and the sentence under it."""

    verdict: str
    """The run's verdict: the worst of its measurements, `empty` where there is none."""
    title: str
    """Verdict and what it is about, in a few words."""
    reason: str
    """Why, in one or two sentences."""


def headline(entries: Sequence[Entry], *, interrupted: bool = False) -> Headline:
    """Verdict and reason of a run, of its first subject with the worst verdict where there are several."""
    if not entries:
        reason = "The run was interrupted before the first verdict." if interrupted else "No audit had a verdict."
        return Headline("empty", "Nothing was judged", reason)
    verdict = overall(entries)
    gated = [entry for entry in entries if _gated(entry)]
    worst = [entry for entry in gated or entries if outcome(entry) == verdict]
    subjects = list(dict.fromkeys(str(entry["subject"]) for entry in worst))
    about = f"{subjects[0]} {_says(verdict, [entry for entry in worst if entry['subject'] == subjects[0]])}"
    more = f"; and {len(subjects) - 1} more" if len(subjects) > 1 else ""
    return Headline(verdict, f"{_TITLES[verdict]}: {about}{more}", _reason(verdict, gated, worst))


def _gated(entry: Entry) -> bool:
    return outcome(entry) != "advisory"


def _says(verdict: str, entries: Sequence[Entry]) -> str:
    if verdict == "fail":
        return _fails(entries)
    return {
        "error": "could not be measured",
        "inconclusive": "may or may not be over-aligned: the numbers leave both open",
        "pass": "keeps to what was asked, by every gate of this run",
        "advisory": "was measured, and nothing was asked of it",
    }[verdict]


def _fails(entries: Sequence[Entry]) -> str:
    metrics = {entry["metric"] for entry in entries}
    if all(map(is_regression, entries)):
        return "is worse than its baseline"
    if metrics & REWARD_SUBJECT:
        return "does not reward what was asked for"
    if metrics & _ABOUT_ALIGNMENT:
        return "is aesthetically over-aligned"
    return "does not draw what was planned"


def _reason(verdict: str, gated: Sequence[Entry], worst: Sequence[Entry]) -> str:
    if not gated:
        return f"{len(worst)} measurements stand below; none of them has a gate."
    of = f"{len(worst)} of {len(gated)} gates"
    means = {
        "fail": f"{of} failed: {_meaning(worst)}",
        "error": f"{of} could not be measured. That is a fault of the run and says nothing about the model.",
        "inconclusive": f"{of} cannot be decided with this many items, and none failed. More items decide it.",
        "pass": f"All {len(gated)} gates passed: each interval lies wholly on the good side of what was asked.",
    }
    return means[verdict]


def _meaning(worst: Sequence[Entry]) -> str:
    metrics = {entry["metric"] for entry in worst}
    if metrics & REWARD_SUBJECT:
        return "asked which of two pictures fits an unconventional request, it prefers the conventional one too often."
    if metrics & _ABOUT_ALIGNMENT:
        return (
            "asked for a dark, blurred, sad or deliberately plain picture, it draws the conventionally pretty one too "
            "often. This says that requests are not followed, not that the pictures are bad."
        )
    return "see below what was asked and what was found."


def number(value: float | None, metric: str = "") -> str:
    """Three digits; a rate as a percentage, the difference of two in points of it."""
    if value is None:
        return "-"
    unit = METRICS[metric].unit if metric in METRICS else ""
    if unit == _RATE:
        return f"{value:.1%}"
    if unit == _DIFFERENCE:
        return _points(value)
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def _points(share: float) -> str:
    return f"{100 * share:.1f}{_POINTS}"


def interval(entry: Entry) -> str:
    """The bounds in brackets; a dash without."""
    bounds = entry["interval"] or entry["details"].get("bounds")
    if not bounds:
        return "-"
    low, high = (number(bound, entry["metric"]) for bound in bounds)
    return f"[{low.removesuffix(_POINTS)}, {high}]"


def asked(entry: Entry) -> str:
    """What the gate asks, in words."""
    threshold: Mapping[str, Any] = entry["threshold"] or {}
    if "at_least" in threshold:
        return f"at least {number(threshold['at_least'], entry['metric'])}"
    if "at_most" in threshold:
        return f"at most {number(threshold['at_most'], entry['metric'])}"
    if "margin" in threshold:
        return f"within {number(threshold['margin'], entry['metric'])} of its base"
    return "no more than the baseline allows" if entry["threshold"] else "nothing"


def distance(entry: Entry) -> str:
    """By how much a measurement missed or kept what was asked; empty where there is nothing to compare."""
    gap = gap_of(entry)
    if gap is None:
        return ""
    is_rate = entry["metric"] in METRICS and METRICS[entry["metric"]].unit == _RATE
    shown = _points(abs(gap)) if is_rate else number(abs(gap), entry["metric"])
    return f"missed by {shown}" if gap < 0 else f"{shown} to spare"


def gap_of(entry: Entry) -> float | None:
    """How far the estimate lies on the good side of what was asked (negative: on the bad side), in its unit."""
    threshold, estimate = entry["threshold"] or {}, entry["estimate"]
    if estimate is None:
        return None
    if "at_least" in threshold:
        return float(estimate - threshold["at_least"])
    if "at_most" in threshold:
        return float(threshold["at_most"] - estimate)
    if "margin" in threshold:
        worse = estimate if METRICS[entry["metric"]].bad == "up" else -estimate
        return float(threshold["margin"] - worse)
    return None


def scored_by(entry: Entry) -> str:
    """What stands behind the number."""
    if entry["subject"] != entry["scorer"]:
        return str(entry["scorer"])
    details = entry["details"]
    return str(details.get("truth") or (details.get("reference") or {}).get("model") or entry["model"])
