"""What becomes a baseline and what must not: the entry with its provenance, and the reasons to refuse it."""

from __future__ import annotations

import getpass
import math
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from aes_audit.device import device_class
from aes_audit.evidence.keys import digest, item_seed
from aes_audit.gates.baselines import Baseline
from aes_audit.gates.calibration import Calibration
from aes_audit.gates.comparison import changed_conditions
from aes_audit.gates.verdicts import Judgement, Verdict
from aes_audit.judges.protocol import PreferenceJudge
from aes_audit.live.session import LiveSession
from aes_audit.measures.item_values import item_values
from aes_audit.measures.names import METRIC_NEEDS, REWARD_SUBJECT
from aes_audit.options import AuditConfig
from aes_audit.planning import Case
from aes_audit.report.results import run_provenance
from aes_audit.session import AuditSession

__all__ = ["SCHEMA", "baseline_entry", "blessed", "refusal"]

SCHEMA = 1
"""Raised when an entry, or a metric in it, changes its meaning: older entries are then not comparable."""

DIGITS = 6
"""Significant digits of the item values that are kept."""


def baseline_entry(session: AuditSession, case: Case, judgement: Judgement) -> Baseline:
    """A judged measurement as a baseline keeps it, without who blessed it and why. Raises MissingScores."""
    measured = judgement.measurement
    # A group without a gate of its own may move as far as its metric: with none at all, rounding would be a change.
    gate = judgement.gate or session.thresholds.gate(session.profile.name, case.metric, case.scorer)
    return {
        "schema": SCHEMA,
        "subject": case.subject,
        "metric": measured.metric,
        "set": measured.set,
        "scorer": measured.scorer,
        "estimate": measured.estimate,
        "interval": list(measured.interval) if measured.interval else None,
        "n": measured.n,
        "planned": measured.n + measured.missing,
        "tolerance": (gate.tolerance if gate else None) or 0.0,
        "alpha": gate.alpha if gate else 0.05,
        "prompts": session.provenance().get("prompts"),
        "items": _items(session, case),
        "instruments": _instruments(session, case),
        "calibration": None,
        "provenance": _provenance(session, case, measured.details.get("seed")),
    }


def blessed(entry: Baseline, old: Baseline | None, calibration: Calibration | None, config: AuditConfig) -> Baseline:
    """The entry as it is written: with reason, date and author, and with a calibrated tolerance where there is one.

    The noise belongs to the instruments and the items, so a later blessing keeps it as long as these are the same.
    """
    signed = {
        **entry["provenance"],
        "reason": config.bless,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": _author(),
        "command": ["pytest", *config.command],
    }
    entry = {**entry, "provenance": signed}
    if calibration is not None:
        new = {"estimate": calibration.mean, "tolerance": calibration.tolerance, "calibration": calibration.record}
        return {**entry, **new}
    if old is not None and old.get("calibration") and not changed_conditions(entry, old):
        noise = old["calibration"]["factor"] * old["calibration"]["sd"]
        return {**entry, "tolerance": max(entry["tolerance"], noise), "calibration": old["calibration"]}
    return entry


def refusal(
    session: AuditSession, judgement: Judgement, new: Baseline | None, old: Baseline | None, file: Path
) -> str | None:
    """Why a measurement must not become a baseline, in one line; None when it may."""
    measured = judgement.measurement
    if judgement.verdict not in (Verdict.PASS, Verdict.ADVISORY):
        return f"its verdict is {judgement.verdict.value}"
    if measured.details.get("early_stop"):
        return (
            f"it was stopped early at {measured.details.get('stopped_at')} of {measured.details.get('planned')} items; "
            "run it whole, with --audit-early-stop=off"
        )
    if measured.estimate is None or new is None:
        return f"it was not measured: {measured.reason or 'it has no estimate'}"
    if measured.missing:
        return f"{measured.missing} of {measured.n + measured.missing} items are missing"
    if isinstance(session, LiveSession) and (pairs := len(session.prompts.pairs)) < session.profile.pairs:
        return f"the run is partial: {pairs} pairs, profile {session.profile.name!r} plans {session.profile.pairs}"
    if old is None:
        return None
    if old.get("subject") != new["subject"]:
        return f"{file} holds the baseline of subject {old.get('subject')!r}"
    if {"prompts", "items"}.intersection(changed_conditions(new, old)):
        return f"the prompt set is not that of the old baseline; if that is meant, remove {file} and bless again"
    return None


def _items(session: AuditSession, case: Case) -> Mapping[str, Any]:
    """Which items were planned, and what each contributed, in the order of their names."""
    found = item_values(
        case.metric,
        session.evidence_of(case),
        models=case.models,
        base_model=case.base_model,
        scorer=case.scorer,
        expected=session.expected(case),
        group=case.group,
        reference=case.reference,
    )
    identity = {"digest": digest({"items": list(found.items)})}
    if found.values is None:
        return identity
    return {**identity, "values": [_compact(value) for value in found.values.tolist()]}


def _compact(value: float) -> float | int | None:
    if math.isnan(value):
        return None
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded


def _instruments(session: AuditSession, case: Case) -> Mapping[str, str]:
    """Revisions of everything in the number but the subject: scorer, truth, base model, pool, source of edits."""
    if not isinstance(session, LiveSession):
        return {}
    # What is known about images without a score has no instrument.
    scored_by = [] if METRIC_NEEDS[case.metric].scorer == "images" else [case.scorer]
    scorers = case.models if case.metric in REWARD_SUBJECT else scored_by
    names = [case.truth, case.base_model, case.source, case.reference, *scorers]
    return {name: _revision(session, name, case.set) for name in sorted(filter(None, names))}


def _revision(session: LiveSession, name: str, set_: str) -> str:
    if name in session.generators:
        return session.generators[name].revision
    if name in session.rewards:
        return session.rewards[name].revision
    for found in session.sets:
        # What code draws has one name in every set.
        if found.set == set_ and name in (*found.models, *found.scorers) and (revision := found.revision(name)):
            return revision
    for onlooker in session.preferences.onlookers:
        if onlooker.name == name:
            return f"{onlooker.model}, {digest({**onlooker.identity, 'orders': onlooker.orders})}"
    for preference in session.preferences.deciding:
        if preference.name == name:
            # A rule on top of scores: what it reads, and the rule with its settings.
            return f"{_read_by(session, preference)}, {preference!r}"
    return session.judge.revision


def _read_by(session: LiveSession, preference: PreferenceJudge) -> str:
    matcher = str(getattr(preference, "matcher", ""))
    return session.rewards[matcher].revision if matcher in session.rewards else session.judge.revision


def _provenance(session: AuditSession, case: Case, bootstrap_seed: int | None) -> dict[str, Any]:
    common = {"profile": session.profile.name, "aes_audit": _software()["aes_audit"], "python": _software()["python"]}
    if not isinstance(session, LiveSession):
        said = session.provenance()
        seeds = {"bootstrap": bootstrap_seed}
        return {**common, "evidence": said.get("evidence"), "rows": said.get("rows"), "seeds": seeds}
    used = [*case.models, case.base_model, case.source, case.scorer]
    revisions = {name: model.revision for name, model in session.generators.items()}
    revisions |= {name: model.revision for name, model in session.rewards.items()}
    prompts = session.prompts
    drawn = [item_seed(prompts.name, pair.id, prompts.repeat) for pair in prompts.pairs]
    return {
        **common,
        "models": {name: revisions[name] for name in used if name in revisions},
        "device": device_class(session.device),
        "libraries": _software()["libraries"],
        "seeds": {"images": digest({"seeds": drawn}), "bootstrap": bootstrap_seed},
    }


@cache
def _software() -> Mapping[str, Any]:
    return run_provenance({}, 0.0)


def _author() -> str:
    for variable in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN"):
        if name := os.environ.get(variable):
            return name
    try:
        return f"{getpass.getuser()}@{platform.node()}"
    except (OSError, KeyError, ImportError):
        return platform.node()
