"""`aes-audit score`: every distinct image decoded once, every distinct text asked once, answers put back row by row."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aes_audit.command.answers_file import answer_rows, refuse_clashing_columns
from aes_audit.command.ledger import Key, Ledger
from aes_audit.command.listing import listing, reasons
from aes_audit.command.pairs import PairsTable, csv_text
from aes_audit.command.pictures import Group, Picture, batches, open_pictures
from aes_audit.command.request import ScoreRequest
from aes_audit.command.scorers import Scorer, resolve_scorers
from aes_audit.device import pick_device
from aes_audit.errors import StoreUnusable, UsageError
from aes_audit.evidence import files
from aes_audit.evidence.progress import Progress
from aes_audit.rewards.protocol import Answer

__all__ = ["score"]


@dataclass(frozen=True, slots=True)
class _Known:
    """Everything known at the end of a run."""

    pictures: Mapping[Path, Picture]
    """By resolved path, without their pixels."""
    ledger: Ledger

    def answer(self, scorer: Scorer, path: Path, text: str) -> Answer:
        picture = self.pictures[path]
        if picture.error:
            return Answer(None, picture.error)
        return self.ledger.answers[Key(scorer.key, picture.digest, text)]


def score(request: ScoreRequest) -> int:
    """Score the request's pairs, write or print them; 0 when at least one has a value, else 1.

    Raises UsageError, InfrastructureError, and KeyboardInterrupt with a message that says what is kept.
    """
    refuse_clashing_columns(request.pairs, len(request.rewards))
    scorers = resolve_scorers(request.rewards, pick_device(request.device), _fingerprints())
    progress = request.output.with_name(f"{request.output.name}.progress") if request.output else None
    ledger, finished = Ledger(progress), False
    try:
        answered = _answered(request, scorers, ledger)
        _write(request, scorers, answered)
        finished = True
    except KeyboardInterrupt:
        kept = f": {len(ledger.answers)} scores are kept in {progress}, the same command goes on" if progress else ""
        raise KeyboardInterrupt(f"interrupted{kept}") from None
    finally:
        ledger.close(finished=finished)
    return _concluded(request.pairs, scorers, answered)


def _answered(request: ScoreRequest, scorers: Sequence[Scorer], ledger: Ledger) -> list[tuple[Answer, ...]]:
    """For every row, the answer of every scorer."""
    paths = {image: request.pairs.path(image).resolve() for image in {image for image, _ in request.pairs.pairs}}
    groups = _groups(request.pairs, paths)
    pictures: dict[Path, Picture] = {}

    def needed(group: Group, digest: str) -> bool:
        return any(Key(s.key, digest, text) not in ledger.answers for s in scorers for text in group.texts)

    with Progress(sys.stderr.isatty).bar("score", done=0, total=len(groups), unit="image") as tick:
        for batch in batches(open_pictures(groups, needed), request.batch_size):
            for scorer in scorers:
                ledger.put(scorer.answer(batch, ledger))
            pictures.update((each.group.path, Picture(each.group, each.digest, None, each.error)) for each in batch)
            tick(len(batch))
    known = _Known(pictures, ledger)
    return [
        tuple(known.answer(scorer, paths[image], text) for scorer in scorers) for image, text in request.pairs.pairs
    ]


def _groups(pairs: PairsTable, paths: Mapping[str, Path]) -> list[Group]:
    """Rows by image; images with the same first text together, so that a text is encoded once and not again later."""
    texts: dict[Path, dict[str, None]] = {}
    names: dict[Path, str] = {}
    first: dict[str, int] = {}
    for image, text in pairs.pairs:
        texts.setdefault(paths[image], {})[text] = None
        names.setdefault(paths[image], image)
        first.setdefault(text, len(first))
    groups = [Group(names[path], path, tuple(asked)) for path, asked in texts.items()]
    return sorted(groups, key=lambda group: first[group.texts[0]])


def _write(request: ScoreRequest, scorers: Sequence[Scorer], answered: Sequence[tuple[Answer, ...]]) -> None:
    labels = [scorer.label for scorer in scorers]
    if request.output is None:
        print(listing(request.pairs.pairs, labels, answered))
        for reason in reasons(request.pairs.pairs, labels, answered):
            _say(reason)
        return
    text = csv_text(answer_rows(request.pairs, labels, answered, _outputs(scorers)))
    try:
        files.write(request.output, text.encode())
    except StoreUnusable as error:
        reason = str(error).removeprefix("store: ")
        raise UsageError(f"--output: {reason} What was scored is kept beside it.") from error


def _outputs(scorers: Sequence[Scorer]) -> frozenset[str]:
    """What the loaded rewards say they answer besides the value."""
    return frozenset(name for scorer in scorers for name in scorer.outputs)


def _concluded(pairs: PairsTable, scorers: Sequence[Scorer], answered: Sequence[tuple[Answer, ...]]) -> int:
    """Say on stderr what a reader of the numbers must know."""
    for index, scorer in enumerate(scorers):
        column = [row[index] for row in answered]
        _say(f"{scorer.label}: {scorer.recipe}")
        cut = {text for (_, text), answer in zip(pairs.pairs, column, strict=True) if answer.extra.get("truncated")}
        if cut:
            _say(f"{scorer.label}: {len(cut)} of the texts are longer than the reward reads, and were cut")
        notes = Counter(note for answer in column if (note := answer.extra.get("recipe_note")))
        for note, rows in notes.items():
            _say(f"{scorer.label}: {rows} rows: {note}")
    lost = sum(any(answer.value is None for answer in row) for row in answered)
    if lost:
        causes = Counter(answer.error for row in answered for answer in row if answer.error)
        cause, _ = causes.most_common(1)[0]
        _say(f"{lost} of {len(answered)} rows have no value; the most common reason: {cause}")
    return 0 if any(answer.value is not None for row in answered for answer in row) else 1


def _say(message: str) -> None:
    print(f"aes-audit: {' '.join(message.split())}", file=sys.stderr)


def _fingerprints() -> Path:
    """Digests of large checkpoints are remembered per user, so that a start does not read them again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aes_audit" / "fingerprints"
