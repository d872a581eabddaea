"""Is a reward alive? Before anything is gated by its scores, it must order a few cases that nobody disputes.

The cases are questions about drawn pictures and the answers are ordinary scores, so that they can be looked up in a
store: `known_cases` says what to ask, `faults_in` judges the answers; `health_faults` does both with a loaded reward.
Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from aes_audit.rewards.protocol import Reward

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["HealthCases", "Kind", "Order", "Question", "faults_in", "health_faults", "known_cases", "verdict"]

Kind = Literal["control", "photo"]
"""`control`: the 64 pixels and closed vocabulary of the control world; `photo`: the same scenes, large, in plain words.
"""

NEEDED = 0.85
"""Share of the cases of each check that a healthy reward gets right, rounded up: 7 of 8. A reward that tosses coins
passes one check of 8 cases with probability 0.035, and all three with 0.00004."""
_RESOLUTION = 1e-5
"""Differences below this share of the largest score are ties: a constant in float32 is not always exactly constant."""
_SIDE = 512
_SEED = 4


class Question(NamedTuple):
    """One picture and what is asked about it."""

    image: Image
    """RGB."""
    texts: tuple[str, ...]
    """Each once."""


class Pair(NamedTuple):
    """One score: the answer to `text` about picture `image`."""

    image: int
    """Position among the questions."""
    text: str
    """One of its texts."""


class Order(NamedTuple):
    """What must hold: the scores of `better` add up to more than those of `worse`."""

    check: str
    """Which check this is one case of."""
    better: tuple[Pair, ...]
    """One score, or two where a sum cancels what picture or text contribute by themselves."""
    worse: tuple[Pair, ...]
    """As many."""


@dataclass(frozen=True, slots=True)
class HealthCases:
    """Everything that is asked of a reward, and what must come out."""

    questions: tuple[Question, ...]
    """To be asked in any order and batch."""
    orders: tuple[Order, ...]
    """The cases of all checks."""


def known_cases(kind: Kind, *, reads_text: bool = True) -> HealthCases:
    """The cases for rewards of the control world or for rewards trained on photographs; always the same pictures.

    Three checks of eight cases each: a clean picture scores higher than a black frame under its caption; higher than
    noise; and, for a reward that reads text, two captions fit better as they are than exchanged between their two
    pictures: r(i, i) + r(j, j) > r(i, j) + r(j, i). That sum holds no difference between texts under one picture
    that the reward was never meant to compare, and it is zero for a reward that ignores its text.
    """
    scenes = list(_scenes(kind))
    captions = [caption for _, caption in scenes]
    count = len(scenes)
    asked = [dict.fromkeys((captions[i], captions[i - 1], captions[(i + 1) % count])) for i in range(count)]
    questions = [
        Question(picture, tuple(texts) if reads_text else (caption,))
        for (picture, caption), texts in zip(scenes, asked, strict=True)
    ]
    for spoiled in _spoiled(kind):
        questions.append(Question(spoiled, tuple(captions)))
    orders = [*_against("a black frame", captions, count), *_against("noise", captions, count + 1)]
    return HealthCases(tuple(questions), tuple([*orders, *_exchanged(captions)] if reads_text else orders))


def _against(what: str, captions: Sequence[str], spoiled: int) -> Iterator[Order]:
    for index, caption in enumerate(captions):
        yield Order(f"a clean picture scores above {what}", (Pair(index, caption),), (Pair(spoiled, caption),))


def _exchanged(captions: Sequence[str]) -> Iterator[Order]:
    for i, own in enumerate(captions):
        j = (i + 1) % len(captions)
        other = captions[j]
        yield Order(
            "captions fit their own pictures better than exchanged",
            (Pair(i, own), Pair(j, other)),
            (Pair(i, other), Pair(j, own)),
        )


def _scenes(kind: Kind) -> Iterator[tuple[Image, str]]:
    """Eight pictures with captions, neighbours different in subject, colour and place."""
    from PIL import Image as Images

    from aes_audit.controls.scene import Scene
    from aes_audit.controls.world import render
    from aes_audit.prompts.dimensions import DIMENSIONS

    normal = ("richness", "object pairing", "emotion", "detail refinement")
    levels = tuple(1 if name in normal else 2 for name in DIMENSIONS)
    for seed, (subject, colour, place, where) in enumerate(_SUBJECTS):
        picture = Images.fromarray(render(Scene(subject, colour, place, levels, seed=_SEED + seed)))
        opening = "a picture of a" if kind == "control" else "a drawing of a"
        named = f"{colour} {subject} {where}"
        yield _sized(picture, kind), f"{opening}n {named}" if colour[0] in "aeiou" else f"{opening} {named}"


_SUBJECTS: tuple[tuple[str, str, str, str], ...] = (
    ("house", "red", "meadow", "in a meadow"),
    ("fish", "yellow", "sea", "at sea"),
    ("tree", "green", "snow", "in the snow"),
    ("car", "blue", "city", "in the city"),
    ("flower", "pink", "desert", "in the desert"),
    ("boat", "orange", "sea", "at sea"),
    ("ball", "purple", "beach", "on a beach"),
    ("umbrella", "yellow", "city", "in the city"),
)
"""Subject, colour, place, and the words for the place."""


def _spoiled(kind: Kind) -> tuple[Image, Image]:
    """A black frame, and noise."""
    import numpy as np
    from PIL import Image as Images

    from aes_audit.controls.world import SIDE

    noise = np.random.default_rng(_SEED).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return _sized(Images.new("RGB", (SIDE, SIDE)), kind), _sized(Images.fromarray(noise), kind)


def _sized(picture: Image, kind: Kind) -> Image:
    from PIL.Image import Resampling

    return picture if kind == "control" else picture.resize((_SIDE, _SIDE), Resampling.BICUBIC)


def health_faults(reward: Reward, cases: HealthCases) -> tuple[str, ...]:
    """Ask a loaded reward everything in one call, and judge its answers; empty for a healthy one."""
    images = [question.image for question in cases.questions for _ in question.texts]
    texts = [text for question in cases.questions for text in question.texts]
    values = iter(reward.score(images, texts))
    answered = [{text: next(values) for text in question.texts} for question in cases.questions]
    return faults_in(answered, cases)


def faults_in(answered: Sequence[Mapping[str, float]], cases: HealthCases) -> tuple[str, ...]:
    """One sentence per check that fails, from text -> score for every question; empty for a healthy reward.

    A score that is missing or not finite makes its case fail; differences that are rounding are ties, which fail too.
    """
    finite = [abs(value) for scores in answered for value in scores.values() if math.isfinite(value)]
    margin = _RESOLUTION * max(finite, default=0.0)
    held: dict[str, list[bool]] = {}
    for order in cases.orders:
        better, worse = _total(answered, order.better), _total(answered, order.worse)
        held.setdefault(order.check, []).append(better - worse > margin)
    return tuple(
        f"{check} in {sum(found)} of {len(found)} known cases, {needed} are needed"
        for check, found in held.items()
        if sum(found) < (needed := math.ceil(NEEDED * len(found)))
    )


def _total(answered: Sequence[Mapping[str, float]], pairs: Sequence[Pair]) -> float:
    """The sum of some scores, NaN where one is missing: no comparison with NaN holds."""
    values = [answered[image].get(text, math.nan) for image, text in pairs]
    return math.fsum(values) if all(map(math.isfinite, values)) else math.nan


def verdict(faults: Sequence[str]) -> str | None:
    """The reason of an `error` verdict; None for a healthy reward."""
    return f"scorer unhealthy: {'; '.join(faults)}" if faults else None
