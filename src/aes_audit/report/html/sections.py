"""The sections of the page: per audit its measurements against everything they can be held against, and its plots."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aes_audit.errors import AesAuditError
from aes_audit.measures.catalogue import METRICS
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.names import METRIC_NEEDS, PAIRED, REWARD_SUBJECT
from aes_audit.measures.registry import measure
from aes_audit.report.html.commands import command_of
from aes_audit.report.html.material import Material, is_regression, severity
from aes_audit.report.html.plots.art import strip
from aes_audit.report.html.plots.canvas import Plot
from aes_audit.report.html.plots.discrimination import roc
from aes_audit.report.html.plots.distributions import distributions
from aes_audit.report.html.plots.emotions import confusion
from aes_audit.report.html.words import asked, distance, interval, number, scored_by
from aes_audit.report.outcome import outcome
from aes_audit.report.results import Entry

__all__ = ["Line", "Section", "anchor_of", "base_measurements", "line_of", "sections"]


@dataclass(frozen=True, slots=True)
class Line:
    """One measurement, as the page shows it."""

    subject: str
    metric: str
    """With its sub-group."""
    question: str
    """What the metric answers."""
    by: str
    """What stands behind the number."""
    estimate: str
    interval: str
    level: str
    """Of the interval."""
    items: str
    """How many were measured, and how many are missing."""
    asked: str
    """What the gate asks."""
    distance: str
    """By how much that was missed or kept."""
    base: str
    """The base model's own number."""
    baseline: str
    """The blessed number of an earlier release."""
    paper: str
    """The number that the paper printed."""
    paper_note: str
    """Where it stands there, and what is to be known about it."""
    verdict: str
    reason: str
    command: str
    """What measures this again."""


@dataclass(frozen=True, slots=True)
class Section:
    """One audit."""

    anchor: str
    title: str
    verdict: str
    """The worst of its measurements."""
    lines: tuple[Line, ...]
    plots: tuple[Plot, ...]


def sections(material: Material, base: Mapping[int, Measurement]) -> Sequence[Section]:
    """One section per audit, worst first; `base` as `base_measurements` gives it."""
    by_audit: dict[str, list[int]] = {}
    for position, entry in enumerate(material.entries):
        by_audit.setdefault(str(entry["audit"]), []).append(position)
    made = []
    for audit, positions in by_audit.items():
        anchor = anchor_of(audit)
        entries = [material.entries[position] for position in positions]
        lines = tuple(line_of(material, material.entries[position], base.get(position)) for position in positions)
        plots = tuple(_plots(material, entries, anchor))
        made.append(Section(anchor, audit.replace("_", " ").capitalize(), lines[0].verdict, lines, plots))
    return made


def anchor_of(audit: str) -> str:
    """Where the section of an audit stands on the page."""
    return f"audit-{re.sub('[^a-z0-9]+', '-', audit.lower())}"


def base_measurements(material: Material) -> Mapping[int, Measurement]:
    """What the base model itself measures, by the position of the audited model's entry; left out where unknown."""
    found: dict[int, Measurement] = {}
    name, evidence = material.base_model, material.evidence
    if name is None or evidence is None:
        return found
    for position, entry in enumerate(material.entries):
        metric = entry["metric"]
        if metric in PAIRED or metric in REWARD_SUBJECT or entry["model"] == name:
            continue
        if METRIC_NEEDS[metric].set != "pairs" or METRICS[metric].needs_truth or not evidence.items(name, "pairs"):
            continue
        try:
            found[position] = measure(
                metric,
                evidence,
                model=name,
                scorer=entry["scorer"],
                group=entry["group"],
                confidence=entry["confidence"],
            )
        except AesAuditError:
            continue
    return found


def line_of(material: Material, entry: Entry, base: Measurement | None) -> Line:
    """One measurement in words and numbers."""
    metric, published = entry["metric"], entry["published"] or {}
    missing = f" ({entry['missing']} missing)" if entry["missing"] else ""
    baseline = entry["baseline"] or {}
    regression = f" {baseline.get('reason', '')}" if is_regression(entry) else ""
    return Line(
        subject=str(entry["subject"]) + (f" against {entry['base_model']}" if entry["base_model"] else ""),
        metric=f"{metric} ({entry['group']})" if entry["group"] else metric,
        question=METRICS[metric].question if metric in METRICS else "",
        by=scored_by(entry),
        estimate=number(entry["estimate"], metric),
        interval=interval(entry),
        level=f"{entry['confidence']:.0%}",
        items=f"{entry['n']}{missing}",
        asked=asked(entry),
        distance=distance(entry),
        base=number(base.estimate if base else None, metric),
        baseline=number(baseline.get("estimate"), metric),
        paper=number(published.get("estimate"), metric),
        paper_note="; ".join(str(published[key]) for key in ("source", "note") if published.get(key)),
        verdict=outcome(entry),
        reason=f"{entry['reason'] or ''}{regression}",
        command=command_of(entry, material.run),
    )


def _plots(material: Material, entries: Sequence[Entry], anchor: str) -> Iterator[Plot]:
    """What the evidence can show about these measurements, each plot once."""
    evidence = material.evidence
    if evidence is None:
        return
    drawn: set[Any] = set()
    for entry in sorted(entries, key=severity):
        metric, scorer = entry["metric"], entry["scorer"]
        key = ("faces" if metric in _FACES else metric, entry["model"], scorer)
        if key in drawn or entry["estimate"] is None:
            continue
        drawn.add(key)
        name = f"{anchor}-{len(drawn)}"
        plot = None
        if metric == "quality_shift":
            models = dict.fromkeys([entry["model"], *([material.base_model] if material.base_model else [])])
            plot = distributions(evidence, list(models), scorer, name)
        elif metric == "reward_auroc":
            plot = roc(entry, evidence, name)
        elif metric == "art_z" and not entry["group"]:
            plot = strip(entry, evidence, name)
        elif metric in _FACES:
            plot = confusion(evidence, entry["model"], scorer, name)
        if plot:
            yield plot


_FACES = frozenset({"emotion_rendering", "positivity_shift"})
