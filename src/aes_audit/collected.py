"""What a live run has collected: one table per evidence set and generator, each made once and when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from aes_audit.errors import AesAuditError, EngineUnreachable

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence

__all__ = ["CollectedEvidence", "Collector"]

Collector = Callable[[str, str], "Evidence"]
"""Makes the table of a set (first argument) for the generator of a name (second argument)."""


class CollectedEvidence:
    """Tables by set and generator; what failed is not tried again for every case that reads it."""

    def __init__(self, collect: Collector) -> None:
        """`collect` makes what is asked for the first time."""
        self._collect = collect
        self._tables: dict[tuple[str, str], Evidence] = {}
        self._failed: dict[tuple[str, str], AesAuditError] = {}

    def of(self, wanted: Iterable[tuple[str, str]]) -> Evidence:
        """The tables of these sets and generators as one; raises what collecting one of them raised, then and now.

        An engine that cannot be reached is told in full the first time.
        """
        from aes_audit.evidence.table import Evidence

        tables = [self._table(*place) for place in dict.fromkeys(wanted)]
        return tables[0] if len(tables) == 1 else Evidence.concat(tables)

    @property
    def tables(self) -> Mapping[tuple[str, str], Evidence]:
        """What was collected so far, by set and generator."""
        return self._tables

    def _table(self, set_: str, generator: str) -> Evidence:
        place = (set_, generator)
        if place in self._failed:
            raise self._failed[place]
        if place not in self._tables:
            try:
                self._tables[place] = self._collect(set_, generator)
            except AesAuditError as error:
                self._failed[place] = error.again if isinstance(error, EngineUnreachable) else error
                raise
        return self._tables[place]
