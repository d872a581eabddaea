"""A prompt set that was asked for: checked before anything is sent, built, and written with its provenance."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aes_audit.endpoints.budget import Budget, dollars
from aes_audit.endpoints.pacing import Clock
from aes_audit.errors import BudgetSpent, InfrastructureError, UnknownName, UsageError
from aes_audit.evidence.progress import Progress
from aes_audit.prompts.building import Builder, Built
from aes_audit.prompts.building_filters import Filter
from aes_audit.prompts.building_journal import Journal
from aes_audit.prompts.building_output import Output
from aes_audit.prompts.building_sampling import SIZES, draw_captions, draw_dimensions
from aes_audit.prompts.building_writer import Writer
from aes_audit.prompts.captions import Captions, read_captions
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.instruction import Instruction, read_instruction
from aes_audit.prompts.lexicon import read_lexicon
from aes_audit.prompts.validation import Rules

__all__ = ["BuildRequest", "Stop", "build_prompts"]


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Everything that determines a set, and what it may cost."""

    captions: str
    """Where base captions come from."""
    output: Output
    """The files to write."""
    writer: Writer
    """Who rewrites."""
    count: int = 300
    """Pairs wanted."""
    seed: int = 0
    """Of captions and dimensions."""
    balanced: bool = True
    """Whether dimensions and their numbers are used equally often."""
    dimensions: tuple[str, ...] = DIMENSIONS
    """The dimensions that may be drawn."""
    rewrites: int = 3
    """Answers per caption before it is given up."""
    replace: bool = True
    """Whether a caption that is given up makes room for another."""
    extra_effects: str = "forbid"
    """One of EXTRA_EFFECTS."""
    attribute_words: str = "free"
    """One of ATTRIBUTE_WORDS."""
    instruction: Path | None = None
    """A file of other words; None for the instruction that ships."""
    language: str = "en"
    """BCP 47 tag; in another language than English nothing reads the words."""
    caption_files: str | None = None
    """Pattern of a data set's files."""
    budget_usd: float | None = None
    """What this run may spend; None for no limit."""

    def refuse_unfit(self) -> None:
        """Raise UsageError or UnknownName for what cannot work; reads no caption and sends nothing."""
        for name in self.dimensions:
            if name not in DIMENSIONS:
                raise UnknownName("dimension", name, DIMENSIONS)
        if (named := len(set(self.dimensions))) < max(SIZES):
            raise UsageError(f"--dimensions names {named}: a pair has up to {max(SIZES)}, so name as many or more.")
        self.output.refuse_unfit()
        self.writer.refuse_unready(self.budget_usd)


@dataclass(slots=True)
class Stop:
    """A wish to end: calls under way are finished, none is started, and waiting ends at once."""

    wished: threading.Event = field(default_factory=threading.Event)
    """Set once somebody wishes so."""

    def listening(self) -> AbstractContextManager[None]:
        """Around everything that is asked; whoever takes wishes from people says how."""
        return nullcontext()

    def clock(self) -> Clock:
        """Time for the calls; a pause that the wish cuts short raises KeyboardInterrupt."""

        def sleep(seconds: float) -> None:
            if self.wished.wait(seconds):
                raise KeyboardInterrupt

        return Clock(sleep=sleep)


def build_prompts(
    request: BuildRequest, *, progress: Progress | None = None, stop: Stop | None = None, clock: Clock | None = None
) -> Built:
    """Build and write the set; goes on where an interrupted build of the same request ended.

    Raises UsageError for what cannot work, InfrastructureError, BudgetSpent and KeyboardInterrupt with a message that
    says what is kept.
    """
    request.refuse_unfit()
    instruction = read_instruction(
        request.instruction, extra_effects=request.extra_effects, attribute_words=request.attribute_words
    )
    captions = read_captions(request.captions, request.caption_files)
    lexicon = read_lexicon() if request.language.lower().split("-")[0] == "en" else None
    rules, skipped, stop = Rules(), Counter[str](), stop or Stop()
    budget = Budget(request.budget_usd)
    with Journal.opened(request.output.journal) as journal, _keeping(journal, budget, request.count):
        builder = Builder(
            instruction,
            request.writer.opened(budget, clock or stop.clock()),
            journal,
            Filter(instruction, lexicon, rules, request.extra_effects),
            request.rewrites,
            request.replace,
            stop.wished.is_set,
            progress or Progress(),
        )
        dimensions = draw_dimensions(request.count, request.seed, balanced=request.balanced, allowed=request.dimensions)
        drawn = draw_captions(captions.captions, request.seed, lexicon, rules, skipped)
        with stop.listening():
            built = builder.build(dimensions, drawn)
        request.output.write(built.pairs, _companion(request, captions, instruction, built, skipped, journal.begun))
        journal.finish()
    return built


@contextmanager
def _keeping(journal: Journal, budget: Budget, count: int) -> Iterator[None]:
    """Say with every end that is not the end what is kept, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted: {_kept(journal)}") from None
    except BudgetSpent:
        raise BudgetSpent(
            f"the budget of {dollars(budget.limit_usd or 0.0)} is spent before all of {count} pairs are written: "
            f"{_kept(journal)}, with a --budget of its own"
        ) from None
    except InfrastructureError as error:
        # Without its cause: the client library's error holds the request, and so the key.
        raise InfrastructureError(f"{str(error).rstrip('.')}; {_kept(journal)}.") from None


def _kept(journal: Journal) -> str:
    if not journal.answers:
        return "no answer came in, so the same command starts anew"
    return f"{len(journal.answers)} answers are kept in {journal.file}, the same command goes on"


def _companion(
    request: BuildRequest,
    captions: Captions,
    instruction: Instruction,
    built: Built,
    skipped: Counter[str],
    begun: str,
) -> Mapping[str, Any]:
    writer = request.writer
    told = {
        "command": "aes-audit prompts build",
        "begun": begun,
        **captions.provenance,
        "seed": request.seed,
        "balanced": request.balanced,
        "wanted": request.count,
        "written": len(built.pairs),
        **({} if request.dimensions == DIMENSIONS else {"dimensions": list(request.dimensions)}),
        "model": writer.model,
        "model_reported": sorted(built.models),
        "endpoint": writer.address.host,
        "temperature": "default" if writer.temperature is None else writer.temperature,
        "schema": writer.schema,
        "instruction": request.instruction.name if request.instruction else "shipped",
        "instruction_sha256": instruction.digest,
        "extra_effects": request.extra_effects,
        "attribute_words": request.attribute_words,
        "rewrites": request.rewrites,
        "replace": request.replace,
        "answers": built.answers,
        "captions_left_out": len(built.left_out),
        **({"usd": round(built.usd, 6)} if built.usd else {}),
        "rejected": dict(sorted(built.rejected.items())),
        "captions_skipped": dict(sorted(skipped.items())),
        "versions": {name: version(name) for name in ("aes-audit", "openai")},
    }
    procedure = (
        f"Captions drawn from {captions.provenance['captions']} with seed {request.seed}, rewritten by {writer.model} "
        f"at {writer.address.host}; what was asked for and turned down is told under provenance."
    )
    return {"language": request.language, "procedure": procedure, "provenance": told}
