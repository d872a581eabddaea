"""What collecting asks of every model, counted from the plan and the store: no model is loaded, nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aes_audit.evidence.bench import Bench, Shown
from aes_audit.evidence.collecting import IMAGES, image_jobs, pair_jobs
from aes_audit.evidence.generating import ImageJob, key_of
from aes_audit.evidence.images import told_apart
from aes_audit.evidence.keys import score_key
from aes_audit.evidence.measuring import Instruments, Scorers
from aes_audit.evidence.preferring import answered, is_unseen, left_to_ask, unseen
from aes_audit.evidence.rates import ELSEWHERE, device_of
from aes_audit.evidence.scorers import Scorer
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.generators.protocol import ResolvedGenerator
from aes_audit.judges.protocol import ResolvedJudge
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.pairs import PromptSet

__all__ = [
    "DRAWN",
    "LOOKED_AT",
    "SCORED",
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
    total: int
    """Images to draw, images to score, or questions about pairs."""
    stored: int
    """How many of them the store has."""
    answers: int
    """Answers in all: an image under two texts has two; for a generator as many as images."""
    identity: Mapping[str, Any]
    """What its rate is kept under."""
    device: str
    """The kind of hardware it runs on."""
    paid: bool = False
    """Whether somebody sends a bill."""
    price: float | None = None
    """US dollars for each of `total`; None where nobody knows."""
    at_most: bool = False
    """Whether there may be less to do, which is known once another stage is done; `stored` is then not looked up."""

    @property
    def left(self) -> int:
        """What the store lacks."""
        return self.total - self.stored


def drawn_work(
    generator: ResolvedGenerator, jobs: Sequence[ImageJob], set_: str, store: Store
) -> tuple[Work, list[ImageRecord]]:
    """The images of a generator, and a record for each: those to come are `unseen`."""
    keys = [key_of(generator, job.request) for job in jobs]
    # Two items may ask for the same text with the same seed.
    unique = list(dict.fromkeys(keys))
    known = dict(zip(unique, store.images(unique), strict=True))
    stored = sum(record is not None for record in known.values())
    records = [known[key] or unseen(key) for key in keys]
    return drawing(generator, set_, generator.name, len(known), stored), told_apart(jobs, records)


def drawing(generator: ResolvedGenerator, set_: str, model: str, total: int, stored: int, **more: bool) -> Work:
    """The images of a generator, counted."""
    return Work(
        DRAWN,
        generator.name,
        set_,
        model,
        total,
        stored,
        total,
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
    there, coming = dict[str, int](), list[int]()
    for record, queries in asked:
        if record.sha256 is not None:
            there[score_key(scorer.identity, record.sha256, queries)] = len(queries)
        elif is_unseen(record):
            coming.append(len(queries))
    stored = sum(store.have_scores(there))
    total, answers = len(there) + len(coming), sum(there.values()) + sum(coming)
    return scoring(scorer, set_, model, total, stored, answers)


def scoring(scorer: Scorer, set_: str, model: str, total: int, stored: int, answers: int, **more: bool) -> Work:
    """The images that a scorer is asked about, counted."""
    return Work(SCORED, scorer.name, set_, model, total, stored, answers, scorer.identity, scorer.device, **more)


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
            total,
            total - left,
            total,
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
    for name, scorer in bench.scorers.items():
        stored = sum(found.scores[name] is not None for _, found in readable)
        yield scoring(scorer, set_, model, len(readable), stored, answers)
