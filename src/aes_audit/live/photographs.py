"""Photographs in a live run: read at the start, and one measurement per reward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aes_audit.gates.thresholds import Profile, Thresholds
from aes_audit.options import AuditConfig
from aes_audit.planning import Case

if TYPE_CHECKING:
    from aes_audit.evidence.photographs import PhotographSet

__all__ = ["LivePhotographs", "live_photographs"]

METRIC = "prefers_wide"


@dataclass(frozen=True, slots=True)
class LivePhotographs:
    """The photographs of a run."""

    photographs: PhotographSet
    """Pairs of a photograph and its clean counterpart."""
    model: str
    """Their name in the evidence."""

    def cases(self, rewards: Sequence[str], profile: Profile, thresholds: Thresholds) -> Iterator[Case]:
        """How often each reward prefers the photograph under the caption that asks for it."""
        for reward in rewards:
            yield Case(METRIC, (self.model,), None, reward, None, thresholds.gate(profile.name, METRIC, reward))

    def header(self) -> Iterator[str]:
        """One line for the head of the run."""
        found = self.photographs
        yield f"  photographs: {len(found.pairs)} pairs of {found.name} ({found.digest[:12]})"

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the results file says about them."""
        found = self.photographs
        return {"set": found.name, "digest": found.digest, "pairs": len(found.pairs)}


def live_photographs(config: AuditConfig) -> LivePhotographs | None:
    """The photographs that were named; None without. Raises UsageError."""
    if config.photographs is None:
        return None
    from aes_audit.evidence.photographs import PHOTOGRAPHS, read_photographs

    return LivePhotographs(read_photographs(config.photographs), PHOTOGRAPHS)
