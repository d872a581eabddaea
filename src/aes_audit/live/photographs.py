"""Photographs in a live run: read at the start, and one measurement per reward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aes_audit.planning import Case

if TYPE_CHECKING:
    from aes_audit.evidence.photographs import PhotographSet
    from aes_audit.evidence.table import Evidence
    from aes_audit.evidence.workload import Work
    from aes_audit.generators.protocol import ImageRequest
    from aes_audit.live.session import LiveSession
    from aes_audit.rewards.protocol import ResolvedReward

__all__ = ["LivePhotographs", "live_photographs"]

METRIC = "prefers_wide"


@dataclass(frozen=True, slots=True)
class LivePhotographs:
    """The photographs of a run; they are pairs like any other, of a model that is a camera."""

    session: LiveSession
    """The run."""
    photographs: PhotographSet
    """Pairs of a photograph and its clean counterpart."""
    model: str
    """Their name in the evidence."""

    set = "pairs"
    metrics = frozenset[str]()
    generators: Sequence[str] = ()
    scorers: Sequence[str] = ()
    divisible = True

    @property
    def models(self) -> tuple[str, ...]:
        """One name."""
        return (self.model,)

    def requests(self, model: str) -> Sequence[ImageRequest]:
        """None."""
        return ()

    def cases(self) -> Sequence[Case]:
        """How often each reward prefers the photograph under the caption that asks for it."""
        session = self.session
        return tuple(
            Case(
                METRIC, (self.model,), None, reward, None, session.thresholds.gate(session.profile.name, METRIC, reward)
            )
            for reward in session.subjects.rewards
        )

    def collect(self, model: str) -> Evidence:
        """Both pictures of every pair under the caption, by the audited rewards."""
        from aes_audit.evidence.photographs import collect_photographs

        session = self.session
        return collect_photographs(
            self.photographs, self.rewards, session.store, session.engine, session.part(self.set, model)
        )

    def work(self, model: str) -> Iterator[Work]:
        """Every audited reward is asked about every picture."""
        from aes_audit.evidence.bench import Bench
        from aes_audit.evidence.photographs import showings
        from aes_audit.evidence.workload import shown_work

        bench = Bench.of(self.photographs.digest, self.rewards, self.session.store)
        return shown_work(bench, self.set, model, [shown for *_, shown in showings(self.photographs)])

    @property
    def rewards(self) -> list[ResolvedReward]:
        """The audited ones."""
        return [self.session.rewards[reward] for reward in self.session.subjects.rewards]

    def expected(self, case: Case) -> frozenset[str]:
        """Ids of the pairs."""
        return self.photographs.items

    def planned(self, metric: str) -> int:
        """The number of pairs."""
        return len(self.photographs.pairs)

    def revision(self, model: str) -> str:
        """The set and its digest."""
        return f"{self.photographs.name}, {self.photographs.digest}"

    def header(self) -> Iterator[str]:
        """One line for the head of the run."""
        found = self.photographs
        yield f"  photographs: {len(found.pairs)} pairs of {found.name} ({found.digest[:12]})"

    def provenance(self) -> Mapping[str, Any]:
        """What the results file says about them."""
        found = self.photographs
        return {"photographs": {"set": found.name, "digest": found.digest, "pairs": len(found.pairs)}}


def live_photographs(session: LiveSession) -> LivePhotographs | None:
    """The photographs that were named; None without, or where no reward is audited. Raises UsageError."""
    if session.config.photographs is None or not session.subjects.rewards:
        return None
    from aes_audit.evidence.photographs import PHOTOGRAPHS, read_photographs

    return LivePhotographs(session, read_photographs(session.config.photographs), PHOTOGRAPHS)
