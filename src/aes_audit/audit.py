"""One audit case inside a pytest test: measure, judge, compare with the baseline or bless, say it in one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from aes_audit.blessing import baseline_entry, blessed, refusal
from aes_audit.errors import AesAuditError, BudgetSpent, InvalidBaseline, MissingScores
from aes_audit.gates.baselines import Baseline, baseline_file, baseline_index, read_baseline
from aes_audit.gates.calibration import Calibration
from aes_audit.gates.comparison import Comparison, compare
from aes_audit.gates.verdicts import Judgement, Verdict
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.names import METRIC_NEEDS
from aes_audit.planning import Case
from aes_audit.report.escaping import printable
from aes_audit.report.results import Entry, entry

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

    from aes_audit.repeating import Repeats
    from aes_audit.session import AuditSession

__all__ = ["Audit", "InconclusiveWarning", "MismatchWarning"]

_BLESS = 'If the change is meant, bless it: --snapshot-update --audit-bless "why".'

_NOT_COMPARED = "not compared, because the run was stopped early; --audit-early-stop=off compares"


class InconclusiveWarning(UserWarning):
    """A verdict that could be either, under --audit-inconclusive=warn."""


class MismatchWarning(UserWarning):
    """A change against a baseline of other hardware or library versions, under --audit-baseline-mismatch=warn."""


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
    repeats: Callable[[], Repeats] | None
    """Opens the repeats of --audit-calibrate; None without it."""

    def check(self) -> None:
        """Fail, skip or warn as verdict, baseline and policies say; raises AssertionError with one sentence."""
        __tracebackhide__ = True
        if self._writes and self.session.config.bless is None:
            pytest.fail('--snapshot-update of an audit needs --audit-bless "reason".', pytrace=False)
        judgement = self._judgement()
        try:
            old = read_baseline(self.session.config.baselines, self._index)
            new = self._entry(judgement) if old is not None or self._writes else None
        except InvalidBaseline as broken:
            self._record(judgement, None)
            self._enforce(judgement)
            pytest.fail(str(broken), pytrace=False)
        if self._writes and (old is None or self.snapshot.update_snapshots):
            self._bless(judgement, new, old)
        else:
            self._compare(judgement, new, old)

    @property
    def _writes(self) -> bool:
        return bool(self.snapshot.update_snapshots or self.snapshot.update_new_snapshots_only)

    @property
    def _index(self) -> str:
        return baseline_index(self.case.subject, self.name, self.case.baseline_key)

    def _judgement(self) -> Judgement:
        try:
            return self.session.judgement(self.case)
        except MissingScores as lack:
            pytest.skip(f"nothing to measure: {lack}")
        except BudgetSpent as spent:
            # Money says nothing about the model: neither a regression nor a fault, and the next run can go on.
            return _not_measured(self.case, self.name, str(spent), Verdict.INCONCLUSIVE, {"budget": "spent"})
        except AesAuditError as error:
            return _not_measured(self.case, self.name, str(error))

    def _entry(self, judgement: Judgement) -> Baseline | None:
        stopped = judgement.measurement.details.get("early_stop")
        unmeasured = judgement.verdict is Verdict.ERROR or "budget" in judgement.measurement.details
        return None if stopped or unmeasured else baseline_entry(self.session, self.case, judgement)

    def _compare(self, judgement: Judgement, new: Baseline | None, old: Baseline | None) -> None:
        __tracebackhide__ = True
        comparison = None
        if new is not None and old is not None and judgement.verdict in (Verdict.PASS, Verdict.ADVISORY):
            comparison = compare(new, old, self.session.config.mismatch)
        stopped = bool(judgement.measurement.details.get("early_stop"))
        self._record(judgement, _shown(old, comparison, stopped) if old else None)
        self._enforce(judgement)
        # A gate declared as report-only is measured and green, also against its baseline.
        if comparison and not (judgement.gate and judgement.gate.advisory):
            self._enforce_comparison(comparison)

    def _bless(self, judgement: Judgement, new: Baseline | None, old: Baseline | None) -> None:
        __tracebackhide__ = True
        file = baseline_file(self.session.config.baselines, self._index)
        reason = refusal(self.session, judgement, new, old, file)
        calibration = None
        if reason is None and self.repeats is not None:
            calibration, reason = _calibrated(self.repeats(), self.case)
        if reason is not None or new is None:
            self._record(judgement, None)
            pytest.fail(f"not blessed, because {reason}. {_sentence(self.case, judgement)}", pytrace=False)
        kept = blessed(new, old, calibration, self.session.config)
        _ = self.snapshot(name=self._index) == kept
        self._record(judgement, _numbers(kept))
        if unwritten := self._unwritten():
            pytest.fail(unwritten, pytrace=False)

    def _unwritten(self) -> str | None:
        """What kept syrupy from writing; it swallows the error and calls the snapshot unequal."""
        results = self.snapshot.executions
        error = results[max(results)].exception if results else None
        return str(error) if error else None

    def _record(self, judgement: Judgement, baseline: Mapping[str, Any] | None) -> None:
        shown = {"subject": self.case.subject, "sentence": _sentence(self.case, judgement)}
        self.record({**entry(judgement, self.name, baseline), **shown})

    def _enforce(self, judgement: Judgement) -> None:
        __tracebackhide__ = True
        sentence = _sentence(self.case, judgement)
        if judgement.verdict in (Verdict.FAIL, Verdict.ERROR):
            pytest.fail(sentence, pytrace=False)
        if judgement.verdict is Verdict.INCONCLUSIVE:
            self._enforce_inconclusive(sentence)

    def _enforce_comparison(self, comparison: Comparison) -> None:
        __tracebackhide__ = True
        if comparison.verdict is Verdict.PASS:
            return
        notes = f" ({'; '.join(comparison.notes)})" if comparison.notes else ""
        sentence = f"{_about(self.case)}: {comparison.reason}{notes}. {_BLESS}"
        if comparison.mismatch and self.session.config.mismatch == "warn" and comparison.verdict is not Verdict.ERROR:
            warnings.warn(sentence, MismatchWarning, stacklevel=4)
        elif comparison.verdict is Verdict.INCONCLUSIVE:
            self._enforce_inconclusive(sentence)
        else:
            pytest.fail(sentence, pytrace=False)

    def _enforce_inconclusive(self, sentence: str) -> None:
        __tracebackhide__ = True
        policy = self.session.config.inconclusive
        if policy == "fail":
            pytest.fail(f"{sentence} (--audit-inconclusive=warn lets it pass)", pytrace=False)
        if policy == "skip":
            pytest.skip(sentence)
        warnings.warn(sentence, InconclusiveWarning, stacklevel=4)


def _calibrated(repeats: Repeats, case: Case) -> tuple[Calibration | None, str | None]:
    """The noise of the repeats, or why it cannot be told."""
    try:
        runs = repeats.measurements(case)
    except AesAuditError as error:
        return None, f"a repeat was not measured: {str(error).removesuffix('.')}"
    estimates = [run.estimate for run in runs if run.estimate is not None and not run.missing]
    if len(estimates) < len(runs):
        return None, f"{len(runs) - len(estimates)} of {len(runs)} repeats were not measured whole"
    practical = (case.gate.tolerance if case.gate else None) or 0.0
    return Calibration(repeats.mode, tuple(estimates), practical), None


def _numbers(kept: Baseline) -> dict[str, Any]:
    return {key: kept[key] for key in ("estimate", "interval", "n", "tolerance")}


def _shown(old: Baseline, comparison: Comparison | None, stopped: bool) -> Mapping[str, Any]:
    """The baseline as the results file shows it, with what became of the comparison."""
    if comparison is None:
        return {**_numbers(old), "notes": [_NOT_COMPARED] if stopped else []}
    outcome = {"verdict": comparison.verdict.value, "reason": comparison.reason, "notes": list(comparison.notes)}
    return {**_numbers(old), **outcome}


def _not_measured(
    case: Case, audit: str, reason: str, verdict: Verdict = Verdict.ERROR, details: Mapping[str, Any] | None = None
) -> Judgement:
    measurement = Measurement(
        audit=audit,
        metric=case.metric,
        model="+".join(case.models),
        base_model=case.base_model,
        set=METRIC_NEEDS[case.metric].set,
        scorer=case.scorer,
        n=0,
        missing=0,
        estimate=None,
        group=case.group,
        details=details or {},
        reason=reason,
    )
    return Judgement(measurement, case.gate, verdict, f"not measured: {reason}")


def _about(case: Case) -> str:
    about = f"{case.subject}: {case.metric}"
    if case.subject != case.scorer:
        about += f" by {case.scorer}"
    if case.base_model:
        about += f" against {case.base_model}"
    if case.group:
        about += f" ({case.group})"
    return printable(about)


def _sentence(case: Case, judgement: Judgement) -> str:
    measured = judgement.measurement
    number, hint = "", ""
    if measured.estimate is not None:
        number = f" is {measured.estimate:.4g} over {measured.n} items"
        hint = f" Look at: {judgement.gate.look_at}" if judgement.gate and judgement.gate.look_at else ""
    return f"{_about(case)}{number}: {judgement.verdict.value}, {judgement.reason.removesuffix('.')}.{hint}"
