"""A run that judges recorded evidence and touches no model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aes_audit.gates.reach import sight
from aes_audit.gates.thresholds import Gate, Profile, Thresholds
from aes_audit.measures.names import METRIC_NEEDS
from aes_audit.options import AuditConfig
from aes_audit.planning import Case, Subjects
from aes_audit.recorded_planning import recorded_cases
from aes_audit.report.escaping import printable
from aes_audit.session import AuditSession

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence

__all__ = ["RecordedSession"]


class RecordedSession(AuditSession):
    """Judges a recorded table and runs no model."""

    def __init__(self, config: AuditConfig, thresholds: Thresholds, profile: Profile, table: Evidence) -> None:
        """Plan what the table has rows for; raises UnknownName for a model or reward that is not in it."""
        super().__init__(config, thresholds, profile)
        self.table = table
        self._subjects, self._cases = recorded_cases(table, config, profile, thresholds)

    @property
    def subjects(self) -> Subjects:
        """What is under audit."""
        return self._subjects

    @property
    def cases(self) -> Sequence[Case]:
        """Every measurement that the table has rows for."""
        return self._cases

    def evidence(self, models: Sequence[str]) -> Evidence:
        """The whole table, whatever is asked for: nothing has to be collected."""
        return self.table

    @property
    def collected(self) -> Mapping[tuple[str, str], Evidence]:
        """The whole table, under the name of its file."""
        return {("", str(self.config.evidence)): self.table}

    def select(self, cases: Sequence[Case] | None, compared: Collection[Case] = ()) -> None:
        """Nothing follows from it: recorded evidence is complete, and nothing is curtailed."""

    def expected(self, case: Case) -> None:
        """Nothing was planned here: the table's items are all there is to expect."""
        return

    def header(self) -> list[str]:
        """Where the evidence comes from and whom it is about."""
        return [
            f"aes_audit: profile {self.profile.name}, {len(self.table)} rows of evidence from {self.config.evidence}",
            f"  generators: {', '.join(map(printable, self.subjects.generators))}",
            *(f"  gate {gate.metric} {gate.text}: {seen}" for gate, seen in self._sights()),
        ]

    def _sights(self) -> Iterator[tuple[Gate, str]]:
        """What each gate can see with the items that the table has for it; the most where models differ."""
        items: dict[Gate, int] = {}
        for case in self.cases:
            if case.gate is not None and not case.gate.advisory:
                found = len(self.table.items(case.models[0], METRIC_NEEDS[case.metric].set))
                items[case.gate] = max(items.get(case.gate, 0), found)
        for gate, count in items.items():
            if count and (seen := sight(gate, count)):
                yield gate, seen

    def provenance(self) -> Mapping[str, Any]:
        """The file that was judged."""
        return {"profile": self.profile.name, "evidence": str(self.config.evidence), "rows": len(self.table)}
