"""Edits in a live run: whose wide images the audited generators edit, and what is measured of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aes_audit.errors import InfrastructureError, UsageError
from aes_audit.generators.editing import STRENGTH, ResolvedEditor
from aes_audit.generators.resolve import DiffusersModel
from aes_audit.live.account import short
from aes_audit.planning import Case, editing_cases
from aes_audit.prompts.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from aes_audit.evidence.editing import EditSources
    from aes_audit.evidence.measuring import Instruments
    from aes_audit.evidence.table import Evidence
    from aes_audit.evidence.workload import Work
    from aes_audit.generators.protocol import ImageRequest
    from aes_audit.live.session import LiveSession

__all__ = ["LiveEdits", "live_edits"]


class LiveEdits:
    """What editors make of wide images that are what was asked for."""

    set = "edits"
    metrics = frozenset({"edit_shift"})
    scorers: Sequence[str] = ()
    divisible = False

    def __init__(self, session: LiveSession, source: str) -> None:
        """`source` is the SPEC of the generator whose wide images are edited."""
        self._session = session
        self.source = source

    @property
    def generators(self) -> tuple[str, ...]:
        """The one whose images are edited."""
        return (self.source,)

    @cached_property
    def editors(self) -> Mapping[str, ResolvedEditor]:
        """The audited generators as editors, pinned; without those that are asked over a network."""
        audited = {name: self._session.generators[name] for name in self._session.subjects.models}
        return {name: ResolvedEditor(model) for name, model in audited.items() if isinstance(model, DiffusersModel)}

    @property
    def models(self) -> tuple[str, ...]:
        """Those that can edit."""
        return tuple(self.editors)

    def requests(self, model: str) -> Sequence[ImageRequest]:
        """Edits start from pictures, and are made where that costs nothing."""
        return ()

    def cases(self) -> tuple[Case, ...]:
        """How far each editor lifts each instrument's score."""
        session = self._session
        return tuple(editing_cases(self.models, self.source, session.named_profile, session.thresholds))

    @cached_property
    def sources(self) -> EditSources:
        """The wide images that are edited; collects the pairs of the generator that draws them."""
        from aes_audit.evidence.editing import choose_sources

        session = self._session
        pairs = session.evidence([self.source])
        limit = session.profile.edits
        return choose_sources(session.generators[self.source], session.plan, pairs, truth=session.truth, limit=limit)

    def collect(self, model: str) -> Evidence:
        """Sources and edits of one editor, scored."""
        from aes_audit.evidence.editing import collect_edits

        session = self._session
        return collect_edits(self.editors[model], self.sources, self._instruments, session.store, session.engine)

    def work(self, model: str) -> Iterator[Work]:
        """What is left of the edits; at most so many, until the images are there that they are chosen among.

        The sources have their scores by then: they are chosen by what is found in them.
        """
        known = self._known_sources
        return self._counted(model, known) if known else self._at_most(model)

    @property
    def _known_sources(self) -> EditSources | None:
        """The sources, where the store says which they are; nothing is made or asked for it."""
        from aes_audit.evidence.engines.looking import LookingEngine

        session = self._session
        # Judges that look are asked by no engine, and asking costs money.
        if any(session.questions.left(judge) for judge in session.preferences.onlookers):
            return None
        assert isinstance(session.engine, LookingEngine)
        try:
            return self.sources
        except InfrastructureError:
            return None

    def _counted(self, model: str, sources: EditSources) -> Iterator[Work]:
        from aes_audit.evidence.editing import edit_jobs, source_records
        from aes_audit.evidence.measuring import Scorers
        from aes_audit.evidence.workload import drawn_work, scored_work

        session = self._session
        found = source_records(sources, session.store, session.engine)
        jobs = edit_jobs(sources, found, session.store)
        drawn, records = drawn_work(self.editors[model], jobs, self.set, session.store)
        yield replace(drawn, model=model)
        by_id = {pair.id: pair for pair in sources.pairs}
        texts = [(by_id[job.item].original, by_id[job.item].wide) for job in jobs]
        scorers = Scorers.of(self._instruments)
        for reward in scorers.rewards.values():
            yield scored_work(reward, self.set, model, zip(records, texts, strict=True), session.store)
        if scorers.judge:
            asked = ((record, DIMENSIONS) for record in records)
            yield scored_work(scorers.judge, self.set, model, asked, session.store)

    def _at_most(self, model: str) -> Iterator[Work]:
        from aes_audit.evidence.measuring import Scorers
        from aes_audit.evidence.workload import Counted, drawing, scoring

        count = self.planned("edit_shift")
        yield drawing(self.editors[model], self.set, model, Counted.afresh(count, count), at_most=True)
        scorers = Scorers.of(self._instruments)
        for reward in scorers.rewards.values():
            yield scoring(reward, self.set, model, Counted.afresh(count, 2 * count), at_most=True)
        if scorers.judge:
            asked = Counted.afresh(count, len(DIMENSIONS) * count)
            yield scoring(scorers.judge, self.set, model, asked, at_most=True)

    @property
    def _instruments(self) -> Instruments:
        """What is not measured from edits is not asked about them: here, whether the concept is there."""
        from aes_audit.evidence.measuring import Instruments

        session = self._session
        return Instruments(tuple(session.rewards[name] for name in session.named_profile.quality), session.judge, ())

    def expected(self, case: Case) -> frozenset[str]:
        """Ids of the pairs whose wide images are edited."""
        return frozenset(pair.id for pair in self.sources.pairs)

    def planned(self, metric: str) -> int:
        """How many wide images are edited at most."""
        return min(len(self._session.prompts.pairs), self._session.profile.edits)

    def revision(self, model: str) -> None:
        """Every name is a generator's."""

    def header(self) -> Iterator[str]:
        """Whose images, which of them, and how strongly."""
        if self.models:
            session = self._session
            drawn = f"wide images of {self.source} ({short(session.generators[self.source].revision)})"
            at_most = self.planned("edit_shift")
            yield f"  edits: up to {at_most} {drawn} with {session.truth} = 1, strength {STRENGTH:g}"

    def provenance(self) -> Mapping[str, Any]:
        """The rule by which the images were chosen, and how many there were."""
        if not self.models:
            return {}
        known: EditSources | None = self.__dict__.get("sources")
        return {
            "edits": {
                "source": self.source,
                "rule": f"the first wide images with {self._session.truth} = 1, in the order of collection",
                "at_most": self.planned("edit_shift"),
                "edited": None if known is None else len(known.pairs),
                "strength": STRENGTH,
            }
        }


def live_edits(session: LiveSession) -> LiveEdits | None:
    """The edits of the profile, of the source that was named; None where nothing is edited. Raises UsageError."""
    profile, named = session.profile, session.config.edit_source
    if named and not profile.edits:
        raise UsageError(f"--audit-edit-source={named}: profile {profile.name!r} edits nothing; give it `edits`.")
    if not (profile.edits and session.subjects.models):
        return None
    return LiveEdits(session, named or profile.edit_source)
