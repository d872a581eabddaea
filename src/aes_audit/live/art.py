"""Artworks in a live run: which set, against whose originals, and what is said about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aes_audit.errors import UsageError
from aes_audit.planning import Case, art_cases
from aes_audit.statistics.bootstrap import MIN_ITEMS

if TYPE_CHECKING:
    from aes_audit.evidence.artworks import ArtSet
    from aes_audit.evidence.table import Evidence
    from aes_audit.evidence.workload import Work
    from aes_audit.generators.protocol import ImageRequest
    from aes_audit.live.session import LiveSession
    from aes_audit.rewards.protocol import ResolvedReward

__all__ = ["LiveArt", "live_art"]


@dataclass(frozen=True, slots=True)
class LiveArt:
    """The artworks of a run."""

    session: LiveSession
    """The run."""
    art: ArtSet
    """What is scored."""
    reference: str
    """The generator whose originals are the population it is compared with."""

    set = "art"
    metrics = frozenset({"art_z"})
    scorers: Sequence[str] = ()
    divisible = True

    @property
    def generators(self) -> tuple[str, ...]:
        """The one that art is compared with."""
        return (self.reference,)

    @property
    def models(self) -> tuple[str, ...]:
        """Who made them: `human` or `drawn`."""
        return (self.art.model,)

    def requests(self, model: str) -> Sequence[ImageRequest]:
        """None besides the pairs of its reference."""
        return ()

    def cases(self) -> Sequence[Case]:
        """Where each audited reward places the works, and those of each style with enough of them."""
        styles = tuple(style for style, count in sorted(self.art.styles.items()) if count >= MIN_ITEMS)
        session = self.session
        return tuple(
            art_cases(
                session.subjects.rewards, self.art.model, self.reference, styles, session.profile, session.thresholds
            )
        )

    def collect(self, model: str) -> Evidence:
        """Every work under its caption and another's, by the audited rewards and the matcher."""
        from aes_audit.evidence.art import collect_art

        session = self.session
        return collect_art(self.art, self.rewards, session.store, session.engine, session.part(self.set, model))

    def work(self, model: str) -> Iterator[Work]:
        """Every reward is asked about every work."""
        from aes_audit.evidence.art import exhibits
        from aes_audit.evidence.bench import Bench
        from aes_audit.evidence.workload import shown_work

        bench = Bench.of(self.art.digest, self.rewards, self.session.store)
        return shown_work(bench, self.set, model, [exhibit.shown for exhibit in exhibits(self.art)])

    @property
    def rewards(self) -> list[ResolvedReward]:
        """Beside the audited ones the matcher, which says whether the captions fit the works."""
        session = self.session
        names = dict.fromkeys([*session.subjects.rewards, session.named_profile.matcher])
        return [session.rewards[name] for name in names]

    def expected(self, case: Case) -> frozenset[str]:
        """Ids of the works."""
        return frozenset(work.id for work in self.art.works)

    def planned(self, metric: str) -> int:
        """The number of works."""
        return len(self.art.works)

    def revision(self, model: str) -> str:
        """The set and its digest."""
        return f"{self.art.name}, {self.art.digest}"

    def header(self) -> Iterator[str]:
        """One line for the head of the run."""
        made = "drawn by code, no real art" if self.art.drawn else "works"
        control = f", control arm of {len(self.art.control)}" if self.art.control else ""
        yield (
            f"  art: {len(self.art.works)} {made}, of {self.art.name} ({self.art.digest[:12]}){control}, "
            f"against originals of {self.reference}"
        )

    def provenance(self) -> Mapping[str, Any]:
        """What the results file says about it."""
        return {
            "art": {
                "set": self.art.name,
                "digest": self.art.digest,
                "model": self.art.model,
                "drawn": self.art.drawn,
                "works": len(self.art.works),
                "control_arm": len(self.art.control),
                "reference": self.reference,
                **self.art.provenance,
            }
        }


def live_art(session: LiveSession) -> LiveArt | None:
    """The art that was named, else the profile's; None without either, or where no reward is audited.

    Raises UsageError.
    """
    profile = session.profile
    named = session.config.art or profile.art
    if not named or not session.subjects.rewards:
        return None
    reference = profile.art_reference or next(iter(profile.pool), "")
    if not reference:
        raise UsageError(f"--art={named}: profile {profile.name!r} has no art_reference to compare with.")
    from aes_audit.evidence.artworks import read_art

    art = read_art(named, session.config.rootdir)
    if session.config.require_pinned == "on":
        _refuse_floating(named, art)
    return LiveArt(session, art, reference)


def _refuse_floating(named: str, art: ArtSet) -> None:
    from aes_audit.evidence.art_hub import parse_hub

    commit = art.provenance.get("commit")
    if commit and (pinned := parse_hub(named).pinned(str(commit))):
        raise UsageError(f"--audit-require-pinned refuses revisions that may change: write {pinned!r} for {named!r}.")
