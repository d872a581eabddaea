"""Third stage: a judge that looks is shown both images of every pair, and each of its answers is kept at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aes_audit.evidence.batches import fixed_batches
from aes_audit.evidence.keys import digest, item_seed
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.schema import ORDERS_AGREE, ORIGINAL_FIRST, WIDE_FIRST
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.judges.protocol import (
    FIRST,
    NEITHER,
    SECOND,
    ImagePreferenceJudge,
    NotAnswered,
    PairQuestion,
    PreferenceAnswer,
    ResolvedImagePreference,
)

__all__ = [
    "Columns",
    "PairJob",
    "answered",
    "is_unseen",
    "left_to_ask",
    "prefer",
    "preference_key",
    "shown_orders",
    "unseen",
]

_FORMAT = 1
"""Raised when the meaning of an answer changes, so that no older one is taken for a new one."""

TIE = 0.5
_SHOWN = {ORIGINAL_FIRST: "original shown first", WIDE_FIRST: "wide shown first"}

Columns = Mapping[str, Any]
"""Value, error and extra columns of one row of evidence."""


@dataclass(frozen=True, slots=True)
class PairJob:
    """Both images of one pair, and what they are held against."""

    item: str
    """The prompt pair."""
    text: str
    """p_a."""
    original: ImageRecord
    """I_o; where it is missing nothing is asked."""
    wide: ImageRecord
    """I_a."""
    orders: tuple[str, ...]
    """ORIGINAL_FIRST, WIDE_FIRST, or both: the orders in which the images are shown."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The orders that need an answer: none without both images, and none where the two are one and the same."""
        there = self.original.sha256 is not None and self.wide.sha256 is not None
        return self.orders if there and self.original.sha256 != self.wide.sha256 else ()

    def images(self, order: str) -> tuple[ImageRecord, ImageRecord]:
        """The images as they are shown, first and second."""
        return (self.original, self.wide) if order == ORIGINAL_FIRST else (self.wide, self.original)


class _Showing(NamedTuple):
    """One pair in one order."""

    key: str
    job: PairJob
    order: str


def shown_orders(orders: str, prompt_set: str, item: str, repeat: int = 0) -> tuple[str, ...]:
    """The orders in which a pair is shown: both, or for `one` that which the item's seed draws.

    The draw is the same for every model and judge, so that models are compared under equal conditions.
    """
    if orders == "both":
        return (ORIGINAL_FIRST, WIDE_FIRST)
    # A stream of its own: the seed itself already decides the noise of the images.
    odd = item_seed(f"{prompt_set}, order", item, repeat) % 2
    return (WIDE_FIRST if odd else ORIGINAL_FIRST,)


def preference_key(judge: Mapping[str, Any], text: str, first_sha256: str, second_sha256: str) -> str:
    """Key of what a judge of this identity answers about two images in this order."""
    return digest({"preference": _FORMAT, "judge": judge, "text": text, "first": first_sha256, "second": second_sha256})


_UNSEEN = "not made yet"


def unseen(key: str) -> ImageRecord:
    """An image that the store does not have yet, for counting the questions that it will be asked about in."""
    return ImageRecord(key, None, _UNSEEN, {})


def is_unseen(record: ImageRecord) -> bool:
    """Whether an image is one that the store does not have yet."""
    return record.error == _UNSEEN


def answered(judge: ResolvedImagePreference, jobs: Sequence[PairJob], store: Store) -> int:
    """How many questions the store has an answer to."""
    showings = list(_showings(judge, jobs))
    return len({showing.key for showing in showings}) - len(_unanswered(store, showings))


def left_to_ask(judge: ResolvedImagePreference, jobs: Sequence[PairJob], store: Store) -> int:
    """How many questions the store has no answer to; pairs with an image that is not made yet will be asked about."""
    to_come = sum(len(job.orders) for job in jobs if _to_come(job))
    return to_come + len(_unanswered(store, list(_showings(judge, jobs))))


def _to_come(job: PairJob) -> bool:
    errors = {job.original.error, job.wide.error}
    return _UNSEEN in errors and errors <= {_UNSEEN, None}


def prefer(
    judge: ResolvedImagePreference,
    jobs: Sequence[PairJob],
    store: Store,
    progress: Progress,
    load: Callable[[], ImagePreferenceJudge] | None = None,
) -> list[Columns]:
    """Value, error and extra columns per pair, in order; asks only what the store has no answer to.

    The value is 1 where both orders choose I_a, 0 where both choose I_o, and 0.5 for a tie or where the orders differ
    (rule R18). A pair without a valid answer in each order is missing. Raises InfrastructureError, StoreUnusable, or
    BudgetSpent once everything that was answered is kept; CorruptObject for an image whose bytes have changed.
    """
    showings = list(_showings(judge, jobs))
    if missing := list(_all_recorded(store, showings)).count(None):
        store.refuse_missing(f"{missing} of {len(showings)} answers by {judge.name}")
        with store.lock(digest(judge.identity)):
            _ask_missing(judge, showings, store, progress, load or judge.load)
    found = zip(showings, _all_recorded(store, showings), strict=True)
    answers = {(asked.job.item, asked.order): answer for asked, answer in found}
    return [_columns(job, {order: answers[job.item, order] for order in job.asked}) for job in jobs]


def _showings(judge: ResolvedImagePreference, jobs: Sequence[PairJob]) -> Iterator[_Showing]:
    for job in jobs:
        for order in job.asked:
            first, second = (str(record.sha256) for record in job.images(order))
            yield _Showing(preference_key(judge.identity, job.text, first, second), job, order)


def _ask_missing(
    judge: ResolvedImagePreference,
    showings: Sequence[_Showing],
    store: Store,
    progress: Progress,
    load: Callable[[], ImagePreferenceJudge],
) -> None:
    # One question per key: two items may have the same images and text.
    missing = _unanswered(store, showings)
    total = len({showing.key for showing in showings})
    loaded: ImagePreferenceJudge | None = None
    with progress.bar(f"{judge.name}: answers", done=total - len(missing), total=total, unit="question") as tick:
        for batch in fixed_batches(list(missing.values()), judge.batch_size):
            loaded = loaded or load()
            questions = [_question(store, showing) for showing in batch]
            failed: list[NotAnswered] = []
            for showing, answer in zip(batch, loaded.ask(questions), strict=True):
                if isinstance(answer, NotAnswered):
                    failed.append(answer)
                else:
                    store.put_scores(showing.key, _record(judge, showing, answer))
            if failed:
                raise failed[0].failure
            tick(len(batch))


def _question(store: Store, showing: _Showing) -> PairQuestion:
    first, second = (store.read_image(record) for record in showing.job.images(showing.order))
    return PairQuestion(showing.job.text, first, second)


def _record(judge: ResolvedImagePreference, showing: _Showing, answer: PreferenceAnswer) -> Mapping[str, Any]:
    first, second = showing.job.images(showing.order)
    return {
        "judge": dict(judge.identity),
        "text": showing.job.text,
        "first_sha256": first.sha256,
        "second_sha256": second.sha256,
        "answer": answer.choice,
        "error": answer.error,
        "attempts": answer.attempts,
        "notes": dict(answer.notes),
    }


def _unanswered(store: Store, showings: Sequence[_Showing]) -> dict[str, _Showing]:
    """Key -> what the store has no answer to."""
    found = zip(showings, _all_recorded(store, showings), strict=True)
    return {showing.key: showing for showing, answer in found if answer is None}


def _all_recorded(store: Store, showings: Sequence[_Showing]) -> list[PreferenceAnswer | None]:
    return list(map(_answer, store.all_scores(showing.key for showing in showings)))


def _answer(found: Mapping[str, Any] | None) -> PreferenceAnswer | None:
    record = found or {}
    choice, error = record.get("answer"), record.get("error")
    if type(choice) is int and choice in (FIRST, SECOND, NEITHER):
        return PreferenceAnswer(choice)
    return PreferenceAnswer(None, error) if choice is None and isinstance(error, str) else None


def _columns(job: PairJob, answers: Mapping[str, PreferenceAnswer | None]) -> Columns:
    lost = {"original": job.original.error, "wide": job.wide.error}
    if reasons := [f"{image}: {error}" for image, error in lost.items() if error]:
        return _missing("; ".join(reasons))
    if not answers:
        return {"value": TIE, "error": None, **_raw({}, None)}
    given = {order: answer for order, answer in answers.items() if answer is not None}
    raw = {order: answer.choice for order, answer in given.items()}
    faults = [f"{_SHOWN[order]}: {answer.error}" for order, answer in given.items() if answer.choice is None]
    # Another process may have taken an answer away since; then it is missing for now, and asked for next time.
    faults += [f"{_SHOWN[order]}: its answer is gone from the store" for order in answers if order not in given]
    if faults:
        return _missing("; ".join(faults), raw)
    values = [_value(order, choice) for order, choice in raw.items()]
    agree = len(set(values)) == 1
    return {
        "value": values[0] if agree else TIE,
        "error": None,
        **_raw(raw, agree if len(values) > 1 else None),
    }


def _missing(reason: str, raw: Mapping[str, int | None] | None = None) -> Columns:
    return {"value": None, "error": reason, **_raw(raw or {}, None)}


def _raw(raw: Mapping[str, int | None], agree: bool | None) -> Columns:
    return {ORIGINAL_FIRST: raw.get(ORIGINAL_FIRST), WIDE_FIRST: raw.get(WIDE_FIRST), ORDERS_AGREE: agree}


def _value(order: str, choice: int | None) -> float:
    """1 for I_a, 0 for I_o, 0.5 for neither."""
    if choice == NEITHER:
        return TIE
    return float((choice == SECOND) == (order == ORIGINAL_FIRST))
