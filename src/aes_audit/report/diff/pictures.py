"""Pairs that show a change: the items that moved most over all changed measurements, with pictures of both runs."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from aes_audit.report.diff.change import Change
from aes_audit.report.diff.difference import Difference
from aes_audit.report.diff.folder_texts import Texts, pictures_of
from aes_audit.report.diff.words import what_of
from aes_audit.report.html.items import Place, ranked
from aes_audit.report.html.material import SIDES
from aes_audit.report.html.pictures import Size, webp

__all__ = ["Pair", "Shot", "pairs_that_show_it"]

_SHOWN = 6
_SIZE = Size(320, 75)
_BUDGET = 2_000_000
"""Bytes of pictures in a page; what comes after is left out and said so."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture."""

    label: str
    """Which run and which text."""
    data: str | None
    """A data URL; None where the picture is not there."""
    width: int = 0
    height: int = 0
    missing: str = ""
    """Why it is not there."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One item in both runs."""

    item: str
    texts: Texts | None
    before: tuple[Shot, ...]
    """Pictures of the first run, I_o and I_a."""
    after: tuple[Shot, ...]
    """The same of the second."""
    facts: tuple[tuple[str, float, float], ...]
    """Each changed measurement, and what it read there before and after."""


def pairs_that_show_it(found: Difference, texts: Mapping[tuple[str, str], Texts]) -> Sequence[Pair]:
    """The items that moved most in what got worse (else in what got better), of one set that has pictures.

    Each measurement ranks its items and ranks are averaged, so that an item counts that moved in everything. Empty
    unless both runs kept their pictures.
    """
    known = [pictures_of(side) for side in (found.before, found.after)]
    changes = _changed(found)
    if not changes or not all(known):
        return ()
    album = _Album(known)
    return [_pair(album, changes, item, texts) for item in _moved_most(changes)[:_SHOWN]]


def _changed(found: Difference) -> Sequence[Change]:
    """The certain changes of one direction, one set and one generator; several make no single pair of pictures."""
    for direction in ("worse", "better"):
        for set_ in SIDES:
            there = [each for each in found.changes if each.direction == direction and each.after["set"] == set_]
            drawn = [each for each in there if each.after["subject"] == each.after["model"]]
            if drawn:
                return [each for each in drawn if each.after["model"] == drawn[0].after["model"]]
    return ()


def _moved_most(changes: Sequence[Change]) -> Sequence[str]:
    scores: dict[str, list[float]] = {}
    for change in changes:
        assert change.paired is not None
        sign = 1.0 if change.paired.mean > 0 else -1.0
        moved: dict[Place, float] = {
            ("", item): sign * value
            for item, value in zip(change.paired.items, change.paired.change.tolist(), strict=True)
        }
        for (_, item), rank in ranked(moved).items():
            scores.setdefault(item, []).append(rank)
    # An item that a measurement has no value for takes its middle.
    means = {item: sum(ranks) + 0.5 * (len(changes) - len(ranks)) for item, ranks in scores.items()}
    return sorted(means, key=lambda item: (-round(means[item], 9), item))


def _pair(album: _Album, changes: Sequence[Change], item: str, texts: Mapping[tuple[str, str], Texts]) -> Pair:
    entries = (changes[0].before, changes[0].after)
    set_ = entries[0]["set"]
    before, after = (
        tuple(album.shot(run, (set_, entry["model"], item, image)) for image in SIDES[set_])
        for run, entry in enumerate(entries)
    )
    return Pair(item, texts.get((set_, item)), before, after, tuple(_facts(changes, item)))


def _facts(changes: Sequence[Change], item: str) -> Iterator[tuple[str, float, float]]:
    for change in changes:
        assert change.paired is not None
        if item in change.paired.items:
            at = change.paired.items.index(item)
            yield what_of(change), float(change.paired.before[at]), float(change.paired.after[at])


class _Album:
    """Pictures of both runs as data URLs, as long as there is room."""

    def __init__(self, known: Sequence[Mapping[tuple[str, str, str, str], Path]]) -> None:
        self._known = known
        self._room = _BUDGET

    def shot(self, run: int, place: tuple[str, str, str, str]) -> Shot:
        """The small picture of (set, model, item, image) in run 0 or 1, or why it is not there."""
        label = {"original": "plain", "wide": "asked"}.get(place[3], place[3])
        path = self._known[run].get(place)
        if path is None:
            return Shot(label, None, missing="this run kept no such picture")
        if self._room <= 0:
            return Shot(label, None, missing="no room is left on this page")
        try:
            with Image.open(io.BytesIO(path.read_bytes())) as opened:
                picture = opened.convert("RGB")
        except Exception:  # decoders of broken files raise nearly anything
            return Shot(label, None, missing="the picture cannot be read")
        content = webp(picture, _SIZE)
        self._room -= len(content)
        data = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
        return Shot(label, data, picture.width, picture.height)
