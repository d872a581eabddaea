"""What a live run collects besides prompt pairs: each set brings its cases and its collector."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from aes_audit.planning import Case

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence
    from aes_audit.evidence.workload import Work
    from aes_audit.generators.protocol import ImageRequest
    from aes_audit.live.session import LiveSession

__all__ = ["LiveSet", "live_sets"]


class LiveSet(Protocol):
    """One collection of items that is measured besides the prompt pairs of the audited generators.

    Made when the session opens, from names alone: what it needs of the session's models is looked up when it is asked.
    """

    @property
    def set(self) -> str:
        """The evidence set its rows belong to."""

    @property
    def metrics(self) -> Collection[str]:
        """The metrics that only this set measures, whose number of items it plans."""

    @property
    def generators(self) -> Sequence[str]:
        """SPECs of generators that it needs, be they audited or not."""

    @property
    def models(self) -> Collection[str]:
        """Names in the `model` column of what it collects."""

    @property
    def scorers(self) -> Collection[str]:
        """Names in the `scorer` column that nothing else has: what a matcher is asked differs from set to set."""

    @property
    def divisible(self) -> bool:
        """Whether a part of it can be collected for itself; where not, a part of a run leaves it to a whole one."""

    def requests(self, model: str) -> Sequence[ImageRequest]:
        """What it asks a generator to draw from words alone, for whoever counts what that costs."""

    def cases(self) -> Sequence[Case]:
        """Every measurement it serves."""

    def collect(self, model: str) -> Evidence:
        """The rows of one of its models, made where the store lacks them.

        Of a part of a run, only that part of them. Raises InfrastructureError, StoreUnusable or BudgetSpent.
        """

    def work(self, model: str) -> Iterator[Work]:
        """What collecting the rows of one of its models would do, model by model; nothing is loaded."""

    def expected(self, case: Case) -> frozenset[str]:
        """The items that were planned for one of its cases."""

    def planned(self, metric: str) -> int:
        """The items of one of its metrics, at most."""

    def revision(self, model: str) -> str | None:
        """Which items or texts exactly a name stands for, for a baseline; None where that is a generator."""

    def header(self) -> Iterator[str]:
        """Lines for the head of the run."""

    def provenance(self) -> Mapping[str, Any]:
        """What the results file says about it, under a key of its own; JSON values only."""


def live_sets(session: LiveSession) -> tuple[LiveSet, ...]:
    """Every set of this run. Raises UsageError for one that was named and cannot be read."""
    from aes_audit.live.art import live_art
    from aes_audit.live.edits import live_edits
    from aes_audit.live.emotion import live_emotion
    from aes_audit.live.faces import live_faces
    from aes_audit.live.photographs import live_photographs

    made_by = (live_edits, live_art, live_emotion, live_faces, live_photographs)
    return tuple(found for make in made_by if (found := make(session)) is not None)
