"""What an audit run is: its subjects, its cases, its evidence, and how a case becomes a judgement. Starts light."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aes_audit.gates.thresholds import Gate, Profile, Thresholds
from aes_audit.options import AuditConfig
from aes_audit.planning import Case, Subjects

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence
    from aes_audit.gates.verdicts import Judgement
    from aes_audit.measures.measurement import Measurement
    from aes_audit.prompts.pairs import PromptPair

__all__ = ["AuditSession", "same_family"]


class AuditSession(ABC):
    """What both kinds of session share: configuration, thresholds, and how a case becomes a judgement."""

    def __init__(self, config: AuditConfig, thresholds: Thresholds, profile: Profile) -> None:
        """Keep what was asked for and the profile it is judged by."""
        self.config = config
        self.thresholds = thresholds
        self.profile = profile
        self._measured: dict[Case, Measurement] = {}

    @property
    @abstractmethod
    def subjects(self) -> Subjects:
        """What is under audit."""

    @property
    @abstractmethod
    def cases(self) -> Sequence[Case]:
        """Every measurement of this run."""

    @abstractmethod
    def evidence(self, models: Sequence[str]) -> Evidence:
        """The evidence of these generators: the prompt pairs, and what else was recorded."""

    @property
    @abstractmethod
    def collected(self) -> Mapping[tuple[str, str], Evidence]:
        """What this process has collected or was handed so far, by set and generator."""

    @property
    def texts(self) -> Mapping[str, PromptPair]:
        """The prompts of each item; empty where only scores were recorded."""
        return {}

    @abstractmethod
    def select(self, cases: Sequence[Case] | None, compared: Collection[Case] = ()) -> None:
        """Learn which cases will be checked; None when a test reads the whole evidence.

        `compared` are those that have a baseline.
        """

    @abstractmethod
    def expected(self, case: Case) -> frozenset[str] | None:
        """The items that were planned, or None when the evidence itself says which there are."""

    @abstractmethod
    def header(self) -> list[str]:
        """What pytest prints before the first test."""

    @abstractmethod
    def provenance(self) -> Mapping[str, Any]:
        """What the results file says about how the numbers came about; JSON values only."""

    def close(self) -> None:
        """Give back what it holds; a session that only reads holds nothing."""
        return

    def judgement(self, case: Case) -> Judgement:
        """Measure a case and hold it against its gate; raises InfrastructureError or StoreUnusable."""
        from aes_audit.gates.verdicts import judge
        from aes_audit.measures.registry import METRICS

        measurement, p_adjusted = self._in_family(case)
        return judge(measurement, self.gate(case), METRICS[case.metric].bad, p_adjusted)

    def gate(self, case: Case) -> Gate | None:
        """The gate that the complete evidence of a case is held against."""
        return case.gate

    def measurement(self, case: Case) -> Measurement:
        """Measure a case, once."""
        if case not in self._measured:
            self._measured[case] = self._measure(case)
        return self._measured[case]

    def _in_family(self, case: Case) -> tuple[Measurement, float | None]:
        """The measurement, and its p-value adjusted over the declared family of gates on the same subject."""
        measurement = self.measurement(case)
        family = case.gate.family if case.gate else None
        if family is None or measurement.p_value is None:
            return measurement, None
        from aes_audit.statistics.multiplicity import holm

        members = sorted((other for other in self.cases if same_family(case, other)), key=lambda member: member.label)
        p_values = [self.measurement(member).p_value for member in members]
        # A member that could not be measured keeps its place: dropping it would make the others look stronger.
        adjusted = holm([1.0 if value is None else value for value in p_values])[members.index(case)]
        shown = {"family": family, "family_members": [member.label for member in members], "p_adjusted": adjusted}
        return replace(measurement, details={**measurement.details, **shown}), adjusted

    def evidence_of(self, case: Case) -> Evidence:
        """The evidence that a case reads."""
        return self.evidence([model for _, model in case.reads])

    def _measure(self, case: Case) -> Measurement:
        from aes_audit.measures.registry import measure

        gate = self.gate(case)
        return measure(
            case.metric,
            self.evidence_of(case),
            model=case.models[0] if len(case.models) == 1 else case.models,
            base_model=case.base_model,
            scorer=case.scorer,
            truth=case.truth,
            group=case.group,
            reference=case.reference,
            expected=self.expected(case),
            confidence=gate.confidence if gate else 0.95,
            interval=gate.interval if gate else "exact",
        )


def same_family(case: Case, other: Case) -> bool:
    """Gates of one declared family about one subject and one base model."""
    if case.gate is None or other.gate is None or case.gate.family != other.gate.family:
        return False
    return (case.models, case.base_model) == (other.models, other.base_model)
