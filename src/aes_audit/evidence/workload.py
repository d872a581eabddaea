"""What collecting asks of every model, counted from the plan and the store: no model is loaded, nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from aes_audit.evidence.batches import fixed_batches
from aes_audit.evidence.bench import Bench, Shown
from aes_audit.evidence.collecting import IMAGES, image_jobs, pair_jobs
from aes_audit.evidence.generating import ImageJob, ImageStage
from aes_audit.evidence.images import told_apart
from aes_audit.evidence.measuring import Instruments, Scorers
from aes_audit.evidence.preferring import answered, is_unseen, left_to_ask, unseen
from aes_audit.evidence.rates import ELSEWHERE, device_of
from aes_audit.evidence.scorers import BATCH, Question, Scorer
from aes_audit.evidence.scoring import ScoreStage
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.generators.passes import passes_per_image
from aes_audit.generators.protocol import ResolvedGenerator
from aes_audit.judges.protocol import ResolvedJudge
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.pairs import PromptSet

__all__ = [
    "DRAWN",
    "LOOKED_AT",
    "SCORED",
    "Counted",
    "Work",
    "drawing",
    "drawn_work",
    "pairs_work",
    "scored_work",
    "scoring",
    "shown_work",
]

DRAWN, SCORED, LOOKED_AT = "draws", "scores", "looks at"
"""What a model does: images are drawn, images are scored, pairs of images are looked at."""


class Counted(NamedTuple):
    """What is asked of one model, in items: images to draw, images to score, or questions about pairs."""

    total: int
    """All of them."""
    stored: int
    """How many of them the store has."""
    run: int
    """How many go through the model for what is left: a batch that lacks one is run whole."""
    answers: int
    """Answers in all: an image under two texts has two; for a generator as many as images."""
    run_answers: int
    """Answers about what goes through the model."""

    @classmethod
    def afresh(cls, total: int, answers: int) -> Counted:
        """Nothing of it is stored."""
        return cls(total, 0, total, answers, answers)


@dataclass(frozen=True, slots=True)
class Work:
    """What one model has to do for the rows of one model of a set."""

    does: str
    """DRAWN, SCORED or LOOKED_AT."""
    who: str
    """The generator, the scorer or the judge."""
    set: str
    """The evidence set."""
    model: str
    """Whose rows they become."""
    counted: Counted
    """How much it is."""
    passes: int | None
    """Forward passes for what is left: of one image through the denoiser, or for one answer; None for unknown."""
    identity: Mapping[str, Any]
    """What its rate is kept under."""
    device: str
    """The kind of hardware it runs on."""
    paid: bool = False
    """Whether somebody sends a bill."""
    price: float | None = None
    """US dollars for each item; None where nobody knows."""
    at_most: bool = False
    """Whether there may be less to do, which is known once another stage is done; `stored` is then not looked up."""

    @property
    def left(self) -> int:
        """What the store lacks."""
        return self.counted.total - self.counted.stored


def drawn_work(
    generator: ResolvedGenerator, jobs: Sequence[ImageJob], set_: str, store: Store
) -> tuple[Work, list[ImageRecord]]:
    """The images of a generator, and a record for each: those to come are `unseen`."""
    stage = ImageStage.of(generator, jobs)
    left = stage.left(store)
    missing = {key for batch in left for key in batch.wanted}
    # Two items may ask for the same text with the same seed.
    known = dict.fromkeys(key for key, _ in stage.entries if key not in missing)
    found = dict(zip(known, store.images(known), strict=True))
    total, run = len(found) + len(missing), sum(len(batch.entries) for batch in left)
    counted = Counted(total, len(found), run, total, run)
    records = [found.get(key) or unseen(key) for key, _ in stage.entries]
    return drawing(generator, set_, generator.name, counted), told_apart(jobs, records)


def drawing(generator: ResolvedGenerator, set_: str, model: str, counted: Counted, **more: bool) -> Work:
    """The images of a generator, counted."""
    each = passes_per_image(generator) if counted.run else 0
    return Work(
        DRAWN,
        generator.name,
        set_,
        model,
        counted,
        None if each is None else each * counted.run,
        generator.identity,
        device_of(generator),
        hasattr(generator, "price"),
        getattr(generator, "price", None),
        **more,
    )


def scored_work(
    scorer: Scorer, set_: str, model: str, asked: Iterable[tuple[ImageRecord, tuple[str, ...]]], store: Store
) -> Work:
    """The images that a scorer is asked about; one that is to come will be asked about, a missing one will not."""
    stage = ScoreStage.of(scorer, [Question(_as_made(record), queries) for record, queries in asked])
    answers = {key: len(question.queries) for key, question in stage.entries if key is not None}
    left = stage.left(store)
    missing = sum(len(batch.wanted) for batch in left)
    run = sum(len(batch.entries) for batch in left)
    run_answers = sum(len(question.queries) for batch in left for _, question in batch.entries)
    counted = Counted(len(answers), len(answers) - missing, run, sum(answers.values()), run_answers)
    return scoring(scorer, set_, model, counted)


def _as_made(record: ImageRecord) -> ImageRecord:
    """An image that is to come as if it were there: no store has answers about its key."""
    return replace(record, sha256=record.key) if is_unseen(record) else record


def scoring(scorer: Scorer, set_: str, model: str, counted: Counted, **more: bool) -> Work:
    """The images that a scorer is asked about, counted."""
    # What a host does for an answer it does not say.
    passes = counted.run_answers if scorer.portable or not counted.run else None
    return Work(SCORED, scorer.name, set_, model, counted, passes, scorer.identity, scorer.device, **more)


def pairs_work(
    generator: ResolvedGenerator, prompts: PromptSet, instruments: Instruments, store: Store
) -> Iterator[Work]:
    """What `collect_pairs` would do."""
    jobs = image_jobs(prompts)
    drawn, records = drawn_work(generator, jobs, "pairs", store)
    yield drawn
    texts = [(pair.original, pair.wide) for pair in prompts.pairs for _ in IMAGES]
    scorers = Scorers.of(instruments)
    for scorer in scorers.rewards.values():
        yield scored_work(scorer, "pairs", generator.name, zip(records, texts, strict=True), store)
    if instruments.judge and scorers.judge:
        asked = ((record, DIMENSIONS) for record in records)
        yield _judged(instruments.judge, scored_work(scorers.judge, "pairs", generator.name, asked, store))
    for judge in instruments.onlookers:
        shown = pair_jobs(prompts, records, judge.orders)
        left = left_to_ask(judge, shown, store)
        total = left + answered(judge, shown, store)
        price = getattr(judge, "price", None)
        each = price.question if price else None
        yield Work(
            LOOKED_AT,
            judge.name,
            "pairs",
            generator.name,
            # What is stored is not asked again.
            Counted(total, total - left, left, total, left),
            None if left else 0,
            judge.identity,
            ELSEWHERE,
            True,
            each,
        )


def _judged(judge: ResolvedJudge, work: Work) -> Work:
    """The same, with what a judge behind an endpoint costs: it is asked each dimension by itself."""
    if not hasattr(judge, "price"):
        return work
    price = judge.price
    return replace(work, paid=True, price=None if price is None else price * len(DIMENSIONS))


def shown_work(bench: Bench, set_: str, model: str, shown: Sequence[Shown]) -> Iterator[Work]:
    """What the rewards of a bench are asked about pictures that are there."""
    known = bench.known(shown)
    readable = [(each, found) for each, found in zip(shown, known, strict=True) if found.error is None]
    answers = sum(len(each.texts) for each, _ in readable)
    run, run_answers = Counter[str](), Counter[str]()
    for batch in fixed_batches(list(zip(shown, known, strict=True)), BATCH):
        for name, pictures in bench.to_show(batch):
            run[name] += len(pictures)
            run_answers[name] += sum(len(each.texts) for each in pictures)
    for name, scorer in bench.scorers.items():
        stored = sum(found.scores[name] is not None for _, found in readable)
        yield scoring(scorer, set_, model, Counted(len(readable), stored, run[name], answers, run_answers[name]))
