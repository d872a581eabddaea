"""Artworks in a live run: which set, against whose originals, and what is said about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aes_audit.errors import UsageError
from aes_audit.gates.thresholds import Profile
from aes_audit.options import AuditConfig
from aes_audit.planning import ArtPlan
from aes_audit.statistics.bootstrap import MIN_ITEMS

if TYPE_CHECKING:
    from aes_audit.evidence.artworks import ArtSet

__all__ = ["LiveArt", "live_art"]


@dataclass(frozen=True, slots=True)
class LiveArt:
    """The artworks of a run."""

    art: ArtSet
    """What is scored."""
    reference: str
    """The generator whose originals are the population it is compared with."""

    @property
    def plan(self) -> ArtPlan:
        """What planning needs to know of it."""
        styles = tuple(style for style, count in sorted(self.art.styles.items()) if count >= MIN_ITEMS)
        return ArtPlan(self.art.model, self.reference, styles)

    @property
    def items(self) -> frozenset[str]:
        """Ids of the works."""
        return frozenset(work.id for work in self.art.works)

    def header(self) -> Iterator[str]:
        """One line for the head of the run."""
        made = "drawn by code, no real art" if self.art.drawn else "works"
        control = f", control arm of {len(self.art.control)}" if self.art.control else ""
        yield (
            f"  art: {len(self.art.works)} {made}, of {self.art.name} ({self.art.digest[:12]}){control}, "
            f"against originals of {self.reference}"
        )

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the results file says about it."""
        return {
            "set": self.art.name,
            "digest": self.art.digest,
            "model": self.art.model,
            "drawn": self.art.drawn,
            "works": len(self.art.works),
            "control_arm": len(self.art.control),
            "reference": self.reference,
        }


def live_art(config: AuditConfig, profile: Profile) -> LiveArt | None:
    """The art that was named, else the profile's; None without either. Raises UsageError."""
    named = config.art or profile.art
    if not named:
        return None
    reference = profile.art_reference or next(iter(profile.pool), "")
    if not reference:
        raise UsageError(f"--art={named}: profile {profile.name!r} has no art_reference to compare with.")
    from aes_audit.evidence.artworks import read_art

    return LiveArt(read_art(named, config.rootdir), reference)
