"""The set `art`: artworks under their captions, scored by every reward as they stream by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aes_audit.evidence.artworks import ArtSet, Artwork
from aes_audit.evidence.batches import WHOLE, Part
from aes_audit.evidence.bench import Bench, Known, Shown
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.keys import digest
from aes_audit.evidence.schema import ARTIST, CONTROL_ARM, STYLE, WORDS
from aes_audit.evidence.scorers import BATCH
from aes_audit.evidence.showing import show
from aes_audit.evidence.store import Store
from aes_audit.evidence.table import Evidence
from aes_audit.rewards.protocol import ResolvedReward

__all__ = ["Exhibit", "collect_art", "exhibits", "shuffled_captions"]


def collect_art(
    art: ArtSet, rewards: Sequence[ResolvedReward], store: Store, engine: Engine, part: Part = WHOLE
) -> Evidence:
    """The `art` evidence: every work under its caption and under another work's, the control arm under its own.

    Touches a reward only for what the store does not hold. A picture that cannot be read is missing, with its reason.
    Raises InfrastructureError or StoreUnusable.
    """
    bench = Bench.of(art.digest, rewards, store)
    return Evidence.from_rows(_rows(art, bench, engine, part), source=art.name)


def shuffled_captions(works: Sequence[Artwork]) -> list[str | None]:
    """For every work the caption of another one, always the same; None where all captions are equal."""
    order = sorted(range(len(works)), key=lambda index: digest({"shuffled": works[index].id}))
    found: list[str | None] = [None] * len(works)
    for place, index in enumerate(order):
        rest = (works[order[(place + step) % len(order)]].caption for step in range(1, len(order)))
        found[index] = next((caption for caption in rest if caption != works[index].caption), None)
    return found


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One work and what is asked about it."""

    model: str
    """As in the evidence."""
    work: Artwork
    shown: Shown


def exhibits(art: ArtSet) -> list[Exhibit]:
    """Every work in the order in which they are scored, then the control arm."""
    return [
        *_exhibits(art.model, art.works, shuffle=True),
        *_exhibits(art.model + CONTROL_ARM, art.control, shuffle=False),
    ]


def _rows(art: ArtSet, bench: Bench, engine: Engine, part: Part) -> Iterator[Mapping[str, Any]]:
    plan = part.of(exhibits(art), BATCH)
    title = f"{art.name}: artworks"
    for exhibit, known in show(bench, plan, lambda each: each.shown, engine, title=title, unit="work"):
        yield from _work_rows(exhibit, known, bench, drawn=art.drawn)


def _exhibits(model: str, works: Sequence[Artwork], *, shuffle: bool) -> Iterator[Exhibit]:
    others = shuffled_captions(works) if shuffle else [None] * len(works)
    for work, other in zip(works, others, strict=True):
        texts = {"caption": work.caption, **({"shuffled": other} if other else {})}
        yield Exhibit(model, work, Shown(work.picture, texts))


def _work_rows(exhibit: Exhibit, known: Known, bench: Bench, *, drawn: bool) -> Iterator[Mapping[str, Any]]:
    work, shown = exhibit.work, exhibit.shown
    about = {
        "model": exhibit.model,
        "set": "art",
        "item": work.id,
        "image": "work",
        ARTIST: work.artist,
        STYLE: work.style,
        "year": work.year,
        "drawn": drawn,
    }
    for name in bench.scorers:
        for prompt, text in shown.texts.items():
            outcome = bench.outcome(shown, known, name, prompt)
            yield {**about, "prompt": prompt, WORDS: len(text.split()), "scorer": name, **outcome}
