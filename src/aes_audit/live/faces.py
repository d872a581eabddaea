"""Faces that the audited generators draw in a live run: by which templates, and what is measured of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aes_audit.evidence.schema import EMOTIONS, FACE
from aes_audit.live.account import short
from aes_audit.planning import Case, face_cases
from aes_audit.prompts.emotion import EmotionTemplates, read_templates

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence
    from aes_audit.evidence.workload import Work
    from aes_audit.generators.protocol import ImageRequest
    from aes_audit.live.session import LiveSession

__all__ = ["LiveFaces", "live_faces"]


@dataclass(frozen=True, slots=True)
class LiveFaces:
    """What generators make of a face that is asked to show an emotion."""

    session: LiveSession
    """The run."""
    templates: EmotionTemplates
    """What they are asked, in four emotions each."""

    set = "emotion"
    metrics = frozenset({"emotion_rendering", "positivity_shift", "realignment_emotion"})
    generators: Sequence[str] = ()
    divisible = True

    @property
    def models(self) -> tuple[str, ...]:
        """The audited generators and their base."""
        subjects = self.session.subjects
        return tuple(dict.fromkeys([*subjects.models, *([subjects.base_model] if subjects.base_model else [])]))

    @property
    def scorers(self) -> tuple[str, ...]:
        """One name."""
        return (self.scorer,)

    @property
    def scorer(self) -> str:
        """The profile's matcher, asked about faces."""
        return f"{self.session.named_profile.matcher}{FACE}"

    def cases(self) -> tuple[Case, ...]:
        """Each emotion of each generator, how much happier its faces are than asked, and what its base does better."""
        session = self.session
        return tuple(face_cases(session.subjects, self.scorer, session.profile, session.thresholds))

    def requests(self, model: str) -> Sequence[ImageRequest]:
        """Every face, of those generators that draw them."""
        from aes_audit.evidence.faces import face_jobs

        if model not in self.models:
            return ()
        return [job.request for job in face_jobs(self.templates, self.session.prompts.repeat)]

    def collect(self, model: str) -> Evidence:
        """The faces of one generator under the four statements."""
        from aes_audit.evidence.faces import collect_faces

        session = self.session
        matcher = session.rewards[session.named_profile.matcher]
        generator, repeat = session.generators[model], session.prompts.repeat
        return collect_faces(
            generator, self.templates, matcher, session.store, session.engine, repeat, session.part(self.set, model)
        )

    def work(self, model: str) -> Iterator[Work]:
        """Every face is drawn, and the matcher is asked about it."""
        from aes_audit.evidence.faces import FaceMatcher, face_jobs, statements_about
        from aes_audit.evidence.workload import drawn_work, scored_work

        session = self.session
        jobs = face_jobs(self.templates, session.prompts.repeat)
        drawn, records = drawn_work(session.generators[model], jobs, self.set, session.store)
        yield drawn
        matcher = FaceMatcher.of(session.rewards[session.named_profile.matcher]).scorer
        asked = zip(records, statements_about(self.templates, jobs), strict=True)
        yield scored_work(matcher, self.set, model, asked, session.store)

    def expected(self, case: Case) -> frozenset[str]:
        """Ids of the templates."""
        return frozenset(template.id for template in self.templates.templates)

    def planned(self, metric: str) -> int:
        """The number of templates."""
        return len(self.templates.templates)

    def revision(self, name: str) -> str | None:
        """Of the scorer: the matcher and what it is asked; None for a generator."""
        if name != self.scorer:
            return None
        return f"{self.session.rewards[self.session.named_profile.matcher].revision}, {self.templates.digest}"

    def header(self) -> Iterator[str]:
        """How many faces, by which templates, and who says what they show."""
        if self.models:
            count, found = self.planned("emotion_rendering"), self.templates
            yield (
                f"  faces: {count} templates of {found.name} ({short(found.digest)}) in {len(EMOTIONS)} emotions, "
                f"{count * len(EMOTIONS)} images per generator, read by {self.scorer}"
            )

    def provenance(self) -> Mapping[str, Any]:
        """The templates and the matcher."""
        return {"faces": {**self.templates.provenance, "scorer": self.scorer}} if self.models else {}


def live_faces(session: LiveSession) -> LiveFaces | None:
    """The faces of the profile; None where it names no templates or no generator is audited. Raises InvalidPrompts.

    A partial run with fewer pairs than there are templates draws as few faces.
    """
    if not (session.profile.faces and session.subjects.models):
        return None
    return LiveFaces(session, read_templates(session.profile.faces).first(len(session.prompts.pairs)))
