"""Faces in four emotions in a live run: which tuples the audited rewards are shown, and what is measured of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aes_audit.errors import UsageError
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.generators.editing import ResolvedEditor
from aes_audit.generators.resolve import DiffusersModel
from aes_audit.live.account import short
from aes_audit.options import EDITED_FACES
from aes_audit.planning import Case, emotion_cases

if TYPE_CHECKING:
    from aes_audit.evidence.emotion_edits import EditedTuples
    from aes_audit.evidence.emotion_tuples import TupleSet
    from aes_audit.evidence.table import Evidence
    from aes_audit.evidence.workload import Work
    from aes_audit.generators.protocol import ImageRequest
    from aes_audit.live.session import LiveSession
    from aes_audit.prompts.emotion import EmotionTemplates
    from aes_audit.rewards.protocol import ResolvedReward

__all__ = ["LiveEditedTuples", "LiveEmotion", "LiveTuples", "live_emotion"]

STRENGTH = 0.7
"""How strongly faces are edited: at 0.5 they go on smiling, at 0.85 the place changes too (docs/emotion.md)."""

TEMPLATES = "emotion_templates"
"""What an editor draws where the profile names no `faces`."""


class LiveEmotion(ABC):
    """One scene in four emotions, many times."""

    set = "emotion"
    metrics = frozenset({"emotion_accuracy", "emotion_accuracy_happy"})
    generators: Sequence[str] = ()
    scorers: Sequence[str] = ()
    divisible: bool

    def __init__(self, session: LiveSession, name: str, model: str, items: Sequence[str]) -> None:
        """`name` is the set's, `model` what the evidence calls its tuples, `items` their ids."""
        self.session = session
        self.name = name
        self.model = model
        self.items = frozenset(items)

    @property
    @abstractmethod
    def digest(self) -> str:
        """Of captions, and of what makes the pictures as far as it is known before they are looked at."""

    @property
    @abstractmethod
    def about(self) -> Mapping[str, Any]:
        """What the provenance says besides name, digest and number."""

    @abstractmethod
    def collect(self, model: str) -> Evidence:
        """The pictures under the captions that are compared, by the audited rewards and the matcher."""

    @abstractmethod
    def work(self, model: str) -> Iterator[Work]:
        """The pictures that are made, and what the rewards are asked about them."""

    @property
    def models(self) -> tuple[str, ...]:
        """One name."""
        return (self.model,)

    @property
    def rewards(self) -> list[ResolvedReward]:
        """Beside the audited ones the matcher, which says whether the pictures show their emotions."""
        session = self.session
        return [
            session.rewards[name] for name in dict.fromkeys([*session.subjects.rewards, session.named_profile.matcher])
        ]

    def requests(self, model: str) -> Sequence[ImageRequest]:
        """None: its pictures are there, or edits."""
        return ()

    def cases(self) -> Sequence[Case]:
        """For each audited reward and negative emotion, whether it is recognised, and happiness beside it."""
        session = self.session
        return tuple(emotion_cases(session.subjects.rewards, self.model, session.profile, session.thresholds))

    def expected(self, case: Case) -> frozenset[str]:
        """Ids of the tuples."""
        return self.items

    def planned(self, metric: str) -> int:
        """The number of tuples."""
        return len(self.items)

    def revision(self, model: str) -> str:
        """The set and its digest."""
        return f"{self.name}, {self.digest}"

    def header(self) -> Iterator[str]:
        """One line for the head of the run."""
        yield f"  emotion: {len(self.items)} tuples of {self.name} ({self.digest[:12]}), {self.made}"

    @property
    @abstractmethod
    def made(self) -> str:
        """Who made the pictures, in words."""

    def provenance(self) -> Mapping[str, Any]:
        """What the results file says about them."""
        about = {"set": self.name, "model": self.model, "digest": self.digest, "tuples": len(self.items)}
        return {"emotion": {**about, **self.about}}


class LiveTuples(LiveEmotion):
    """Tuples whose pictures are there: of a folder, or drawn by code."""

    divisible = True

    def __init__(self, session: LiveSession, tuples: TupleSet) -> None:
        """`tuples` are scored as they are."""
        super().__init__(session, tuples.name, tuples.model, [one.id for one in tuples.tuples])
        self.tuples = tuples

    @property
    def digest(self) -> str:
        """Of the table, or of the drawing."""
        return self.tuples.digest

    @property
    def made(self) -> str:
        """Drawings are called so."""
        return "drawn by code" if self.tuples.drawn else "pictures of the folder"

    @property
    def about(self) -> Mapping[str, Any]:
        """Whether code drew them."""
        return {"drawn": self.tuples.drawn}

    def collect(self, model: str) -> Evidence:
        """Every picture under its captions."""
        from aes_audit.evidence.emotion import collect_emotion

        session = self.session
        return collect_emotion(self.tuples, self.rewards, session.store, session.engine, session.part(self.set, model))

    def work(self, model: str) -> Iterator[Work]:
        """Every reward is asked about every picture."""
        from aes_audit.evidence.bench import Bench
        from aes_audit.evidence.emotion import faces_shown
        from aes_audit.evidence.workload import shown_work

        bench = Bench.of(self.tuples.digest, self.rewards, self.session.store)
        return shown_work(bench, self.set, model, [shown for *_, shown in faces_shown(self.tuples.tuples)])


class LiveEditedTuples(LiveEmotion):
    """Tuples that a model makes: it draws happy faces, and edits them."""

    divisible = False

    def __init__(self, session: LiveSession, spec: str, templates: EmotionTemplates) -> None:
        """`spec` names the model, `templates` what it draws."""
        super().__init__(session, templates.name, f"{spec} edits", [one.id for one in templates.templates])
        self.spec = spec
        self.templates = templates
        self.generators = (spec,)

    @cached_property
    def tuples(self) -> EditedTuples:
        """Model and templates, pinned; raises UsageError for a model that takes no picture."""
        from aes_audit.evidence.emotion_edits import EditedTuples

        model = self.session.generators[self.spec]
        if not isinstance(model, DiffusersModel):
            raise UsageError(
                f"--emotion={EDITED_FACES}{self.spec}: it cannot edit here; name a model of diffusers, or put its "
                "pictures into a folder (docs/emotion.md)."
            )
        return EditedTuples(ResolvedEditor(model, STRENGTH), self.templates, self.session.prompts.repeat)

    def cases(self) -> Sequence[Case]:
        """As always; raises UsageError, while the session opens, for a model that takes no picture."""
        _ = self.tuples
        return super().cases()

    @property
    def digest(self) -> str:
        """Of model, settings and captions."""
        return self.tuples.digest

    @property
    def made(self) -> str:
        """By whom, and how strongly edited."""
        revision = short(self.session.generators[self.spec].revision)
        return f"happy faces of {self.spec} ({revision}) and its edits of them, strength {STRENGTH:g}"

    @property
    def about(self) -> Mapping[str, Any]:
        """The editor and its templates."""
        return {"editor": self.spec, "strength": STRENGTH, "templates": dict(self.templates.provenance)}

    def collect(self, model: str) -> Evidence:
        """The pictures, made where the store lacks them, under their captions."""
        from aes_audit.evidence.emotion_edits import collect_edited_emotion

        return collect_edited_emotion(self.tuples, model, self.rewards, self.session.store, self.session.engine)

    def work(self, model: str) -> Iterator[Work]:
        """Faces and their edits; at most so many edits and scores, until the faces are there that they are made of."""
        from aes_audit.evidence.emotion_edits import edit_jobs, happy_jobs
        from aes_audit.evidence.workload import Counted, drawing, drawn_work

        store, editor = self.session.store, self.tuples.editor
        jobs = happy_jobs(self.tuples)
        drawn, records = drawn_work(editor.model, jobs, self.set, store)
        yield replace(drawn, model=model)
        if drawn.left:
            edits = len(self.items) * (len(EMOTIONS) - 1)
            yield drawing(editor, self.set, model, Counted.afresh(edits, edits), at_most=True)
            yield from self._scores_at_most(model)
            return
        happy = {job.item: record for job, record in zip(jobs, records, strict=True)}
        edited, _ = drawn_work(editor, edit_jobs(self.tuples, happy, store), self.set, store)
        yield replace(edited, model=model)
        yield from self._scores_at_most(model) if edited.left else self._scores(model)

    def _scores_at_most(self, model: str) -> Iterator[Work]:
        from aes_audit.evidence.emotion import captions_of
        from aes_audit.evidence.scorers import reward_scorer
        from aes_audit.evidence.workload import Counted, scoring

        faces = len(self.items)
        answers = faces * sum(len(captions_of(emotion)) for emotion in EMOTIONS)
        for reward in self.rewards:
            asked = Counted.afresh(faces * len(EMOTIONS), answers)
            yield scoring(reward_scorer(reward), self.set, model, asked, at_most=True)

    def _scores(self, model: str) -> Iterator[Work]:
        from aes_audit.evidence.bench import Bench
        from aes_audit.evidence.emotion import faces_shown
        from aes_audit.evidence.emotion_edits import made_tuples
        from aes_audit.evidence.engines.looking import LookingEngine
        from aes_audit.evidence.workload import shown_work

        store = self.session.store
        made = made_tuples(self.tuples, store, LookingEngine(), [])
        bench = Bench.of(self.tuples.digest, self.rewards, store)
        return shown_work(bench, self.set, model, [shown for *_, shown in faces_shown(made)])


def live_emotion(session: LiveSession) -> LiveEmotion | None:
    """The tuples that were named, else the profile's; None without either, or where no reward is audited.

    Raises UsageError, InvalidPrompts.
    """
    named = session.config.emotion or session.profile.emotion
    if not named or not session.subjects.rewards:
        return None
    if named.startswith(EDITED_FACES):
        from aes_audit.prompts.emotion import read_templates

        templates = read_templates(session.profile.faces or TEMPLATES).first(len(session.prompts.pairs))
        return LiveEditedTuples(session, named.removeprefix(EDITED_FACES), templates)
    from aes_audit.evidence.emotion_tuples import read_tuples

    tuples = read_tuples(named, session.config.rootdir)
    if tuples.model in session.subjects.generators:
        raise UsageError(
            f"--emotion={named}: in the evidence its tuples would pass for faces that the generator {tuples.model!r} "
            "drew; rename the folder."
        )
    return LiveTuples(session, tuples)
