"""One audit case inside a pytest test: measure, judge, compare with the baseline, say it in one sentence."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from aes_audit.errors import AesAuditError, InvalidBaseline, MissingScores
from aes_audit.gates.baselines import baseline_index, changed_conditions, read_baseline, within_tolerance
from aes_audit.gates.verdicts import Judgement, Verdict
from aes_audit.measures.measurement import Measurement
from aes_audit.planning import Case
from aes_audit.report.results import Entry, entry

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

    from aes_audit.session import AuditSession

__all__ = ["Audit", "InconclusiveWarning"]


class InconclusiveWarning(UserWarning):
    """A verdict that could be either, under --audit-inconclusive=warn."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What the `audit` fixture hands to a test."""

    session: AuditSession
    """The run."""
    case: Case
    """What to measure and to ask."""
    name: str
    """The audit's name: the test file without `test_`."""
    record: Callable[[Entry], None]
    """Keeps an entry for the table and the results file, whatever the verdict."""
    snapshot: SnapshotAssertion
    """syrupy, with the extension that keeps baselines."""
    blessing: bool
    """Whether --snapshot-update was given."""

    def check(self) -> None:
        """Fail, skip or warn as the verdict and the policy say; raises AssertionError with one sentence."""
        __tracebackhide__ = True
        judgement = self._judgement()
        baseline, complaint = self._baseline(judgement)
        self.record({**entry(judgement, self.name, baseline), "subject": self.case.subject})
        self._enforce(judgement)
        if complaint:
            pytest.fail(complaint, pytrace=False)

    def _judgement(self) -> Judgement:
        try:
            return self.session.judgement(self.case)
        except MissingScores as lack:
            pytest.skip(f"nothing to measure: {lack}")
        except AesAuditError as error:
            return _not_measured(self.case, self.name, str(error))

    def _enforce(self, judgement: Judgement) -> None:
        __tracebackhide__ = True
        sentence = _sentence(self.case, judgement)
        if judgement.verdict in (Verdict.FAIL, Verdict.ERROR):
            pytest.fail(sentence, pytrace=False)
        if judgement.verdict is Verdict.INCONCLUSIVE:
            policy = self.session.config.inconclusive
            if policy == "fail":
                pytest.fail(f"{sentence} (--audit-inconclusive=warn lets it pass)", pytrace=False)
            if policy == "skip":
                pytest.skip(sentence)
            warnings.warn(sentence, InconclusiveWarning, stacklevel=3)

    def _baseline(self, judgement: Judgement) -> tuple[Mapping[str, Any] | None, str | None]:
        """What the baseline said, and a complaint when the measurement left its tolerance."""
        # What did not pass is red for its own reason, and is never blessed.
        if judgement.verdict not in (Verdict.PASS, Verdict.ADVISORY):
            return None, None
        index = baseline_index(self.case.subject, self.name, _key(self.case))
        try:
            old = read_baseline(self.session.config.baselines, index)
        except InvalidBaseline as error:
            return None, str(error)
        if old is None and not self.blessing:
            return None, None
        new = self._blessable(judgement)
        same = self.snapshot(name=index) == new
        shown = old or new
        found = {key: shown[key] for key in ("estimate", "interval", "n", "tolerance")}
        if same:
            return found, None
        unwritten = self._unwritten()
        return found, unwritten or _changed(self.case, new, shown)

    def _unwritten(self) -> str | None:
        """What kept syrupy from writing; it swallows the error and calls the snapshot unequal."""
        results = self.snapshot.executions
        error = results[max(results)].exception if results else None
        return str(error) if error else None

    def _blessable(self, judgement: Judgement) -> Mapping[str, Any]:
        measured, gate = judgement.measurement, judgement.gate
        provenance = self.session.provenance()
        models = provenance.get("models", {})
        used = [*self.case.models, self.case.base_model, self.case.scorer]
        revisions = {name: models[name]["revision"] for name in used if name in models}
        return {
            "metric": measured.metric,
            "set": measured.set,
            "scorer": measured.scorer,
            "estimate": measured.estimate,
            "interval": list(measured.interval) if measured.interval else None,
            "n": measured.n,
            "planned": measured.n + measured.missing,
            "tolerance": (gate.tolerance if gate else None) or 0.0,
            "prompts": provenance.get("prompts"),
            "revisions": revisions,
        }


def _key(case: Case) -> str:
    parts = [case.metric, case.scorer, case.truth or "", f"vs {case.base_model}" if case.base_model else ""]
    return " ".join(part for part in parts if part)


def _not_measured(case: Case, audit: str, reason: str) -> Judgement:
    measurement = Measurement(
        audit=audit,
        metric=case.metric,
        model="+".join(case.models),
        base_model=case.base_model,
        set="pairs",
        scorer=case.scorer,
        n=0,
        missing=0,
        estimate=None,
        group=case.group,
        reason=reason,
    )
    return Judgement(measurement, case.gate, Verdict.ERROR, f"not measured: {reason}")


def _sentence(case: Case, judgement: Judgement) -> str:
    measured = judgement.measurement
    about = f"{case.subject}: {measured.metric}"
    if case.subject != case.scorer:
        about += f" by {case.scorer}"
    if case.base_model:
        about += f" against {case.base_model}"
    number = "" if measured.estimate is None else f" is {measured.estimate:.4g} over {measured.n} items"
    hint = f" Look at: {judgement.gate.look_at}" if judgement.gate and judgement.gate.look_at else ""
    return f"{about}{number}: {judgement.verdict.value}, {judgement.reason}.{hint}"


def _changed(case: Case, new: Mapping[str, Any], old: Mapping[str, Any]) -> str:
    about = f"{case.subject}: {case.metric} by {case.scorer}"
    bless = "If the change is meant, bless it with --snapshot-update."
    if conditions := changed_conditions(new, old):
        detail = "; ".join(f"{name} was {json.dumps(old.get(name))}, is {json.dumps(new[name])}" for name in conditions)
        return f"{about} cannot be compared with its baseline: {detail}. {bless}"
    assert not within_tolerance(new, old)
    return (
        f"{about} left its baseline: old {old['estimate']:.6g}, new {new['estimate']:.6g}, "
        f"tolerance {old['tolerance']:g}. {bless}"
    )
