"""Building a prompt set: captions and dimensions are drawn, a writer rewrites, and what is no good is asked again.

The pairs depend on the seed and the writer's answers alone: not on which call came back first, nor on interruptions.
Source: PROTOCOL section 3 and rules R1 to R3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from aes_audit.endpoints.failures import shortened
from aes_audit.errors import AesAuditError, InfrastructureError
from aes_audit.evidence.progress import Progress
from aes_audit.prompts.building_filters import Filter
from aes_audit.prompts.building_journal import Answer, Journal
from aes_audit.prompts.building_output import Written
from aes_audit.prompts.building_writer import OpenWriter
from aes_audit.prompts.captions import Caption
from aes_audit.prompts.instruction import Instruction
from aes_audit.prompts.pairs import PromptPair

__all__ = ["HOPELESS", "Builder", "Built", "LeftOut"]

HOPELESS = 8
"""Captions given up, with not one pair to show, after which a writer is given up too."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A caption that became no pair."""

    caption: str
    """Its text."""
    reason: str
    """What was wrong with the last answer."""


@dataclass(slots=True)
class Built:
    """What came of a build."""

    pairs: list[Written] = field(default_factory=list)
    """In the order of the places that were drawn."""
    left_out: list[LeftOut] = field(default_factory=list)
    """Captions that were given up, in that order."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Answers turned down, by each of the reasons."""
    answers: int = 0
    """Answers used, now or in an interrupted build before."""
    models: set[str] = field(default_factory=set)
    """What the host called the models that answered."""
    usd: float = 0.0
    """What the answers cost, as far as is known."""


@dataclass(slots=True)
class _Place:
    """One pair to be: its dimensions stay, its caption may be replaced."""

    number: int
    dimensions: tuple[str, ...]
    caption: Caption
    attempt: int = 1
    complaint: str = ""
    written: Written | None = None


@dataclass(slots=True)
class Builder:
    """Asks for pairs until every place has one or no caption is left."""

    instruction: Instruction
    """What the writer is told."""
    writer: OpenWriter
    """Who writes."""
    journal: Journal
    """What was answered so far."""
    checks: Filter
    """What turns answers down."""
    attempts: int
    """Answers per caption."""
    replace: bool
    """Whether a caption that is given up makes room for another, as often as there are places."""
    stopped: Callable[[], bool] = lambda: False
    """Asked before each call: whether to start no more."""
    progress: Progress = field(default_factory=Progress)
    """Where the bar is drawn."""
    built: Built = field(default_factory=Built)
    """What came of it so far."""
    _spare: Iterator[Caption] = field(default=iter(()), init=False)
    _replacements: int = field(default=0, init=False)

    def build(self, dimensions: Sequence[tuple[str, ...]], captions: Iterator[Caption]) -> Built:
        """A pair for each entry of `dimensions`, as far as captions and answers go.

        Raises InfrastructureError when the host fails for good or no answer is any good, BudgetSpent when the next
        call cannot be paid, and KeyboardInterrupt when stopped. The journal then has what was answered.
        """
        self._spare = captions
        self._replacements = len(dimensions) if self.replace else 0
        drawn = list(zip(range(len(dimensions)), dimensions, captions, strict=False))
        places = [_Place(number, names, caption) for number, names, caption in drawn]
        with self.progress.bar("prompts", done=0, total=len(places), unit="pair") as tick:
            # A writer that cannot do it is found out on a few captions.
            for group in (places[:HOPELESS], places[HOPELESS:]):
                self._fill(group, tick)
        self.built.pairs = [place.written for place in places if place.written]
        if not self.built.pairs:
            raise InfrastructureError(f"no pair came about: {self._why()}")
        return self.built

    def _fill(self, places: Sequence[_Place], tick: Callable[[int], object]) -> None:
        """Rounds of one answer for each place that waits for one. Judged in order, so that chance decides nothing."""
        waiting = list(places)
        while waiting:
            answers = self._answers(waiting)
            settled = [self._settled(place, answer) for place, answer in zip(waiting, answers, strict=True)]
            tick(sum(settled))
            waiting = [place for place, done in zip(waiting, settled, strict=True) if not done]

    def _answers(self, places: Sequence[_Place]) -> list[Answer]:
        answers = self.writer.caller.map(self._answer, places)
        for answer in answers:
            if isinstance(answer, AesAuditError):
                raise answer
        return [answer for answer in answers if isinstance(answer, Answer)]

    def _answer(self, place: _Place) -> Answer:
        messages = self.instruction.messages(place.caption.text, place.dimensions, place.complaint)
        key = self.writer.writer.key(messages, place.attempt)
        if (known := self.journal.answers.get(key)) is not None:
            return known
        if self.stopped():
            raise KeyboardInterrupt
        answer = self.writer.ask(messages)
        self.journal.put(key, answer)
        return answer

    def _settled(self, place: _Place, answer: Answer) -> bool:
        """Take the answer, or see to it that the place is asked about again; False while it waits."""
        self.built.answers += 1
        self.built.usd += answer.usd or 0.0
        self.built.models |= {answer.model} - {""}
        if answer.fault:
            self.built.rejected[answer.fault] += 1
            return self._turned_down(place, f"{answer.fault}: {answer.said}", "")
        pair = PromptPair(place.caption.id, place.caption.text, answer.text, place.dimensions)
        objection = self.checks.objection(pair)
        if objection is not None:
            self.built.rejected.update(objection.rules)
            return self._turned_down(place, objection.text, objection.complaint)
        place.written = Written(pair, place.caption.place, place.attempt)
        return True

    def _turned_down(self, place: _Place, reason: str, complaint: str) -> bool:
        place.complaint = complaint
        place.attempt += 1
        if place.attempt <= self.attempts:
            return False
        self.built.left_out.append(LeftOut(place.caption.text, reason))
        if len(self.built.left_out) >= HOPELESS and not self.checks.passed:
            raise InfrastructureError(f"the first {HOPELESS} captions came to nothing: {self._why()}")
        replacement = next(self._spare, None) if self._replacements else None
        if replacement is None:
            return True
        self._replacements -= 1
        place.caption, place.attempt, place.complaint = replacement, 1, ""
        return False

    def _why(self) -> str:
        if not self.built.left_out:
            return "no caption of the source is fit; see the limits of `aes-audit prompts check`."
        counts = ", ".join(f"{count} {rule}" for rule, count in self.built.rejected.most_common())
        last = shortened(self.built.left_out[-1].reason).rstrip(".")
        return f"answers turned down: {counts}; the last one for this: {last}."
