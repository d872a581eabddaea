"""Captions of scenes: plain ones, wide ones that ask for low ends, and ones that name an expression.

The vocabulary is closed and small. Plain captions hold no aesthetic wording, so a wide caption differs
from its plain one in nothing but the low ends it asks for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aes_audit.controls.scene import Scene
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = [
    "EXPRESSIONS",
    "LOW_ENDS",
    "MAX_WORDS",
    "expression_caption",
    "low_phrases",
    "named_in",
    "plain_caption",
    "wide_caption",
]

MAX_WORDS = 44
"""Most words and commas a caption can have with four low ends; the tokenizers hold 48 with start and end."""

_WHERE: dict[str, str] = {
    "meadow": "in a meadow",
    "beach": "on a beach",
    "sea": "at sea",
    "desert": "in the desert",
    "snow": "in the snow",
    "city": "in the city",
    "room": "in a room",
}

_OPENINGS: tuple[str, ...] = ("a", "a picture of a", "there is a", "a drawing of a")

LOW_ENDS: dict[str, tuple[str, ...]] = {
    "background": (
        "with a bare dirty wall behind it",
        "the backdrop is an ugly bare wall",
        "only a dirty grey wall behind",
        "no scenery but a bare wall",
        "with an ugly empty backdrop",
    ),
    "clarity": (
        "the whole image is blurry and noisy",
        "badly out of focus and grainy",
        "very blurry",
        "unsharp with a lot of noise",
        "hazy and full of grain",
    ),
    "color aesthetic": (
        "in clashing neon colors",
        "the palette is garish and jarring",
        "with ugly clashing colors",
        "in harsh neon tones",
        "the colors fight with each other",
    ),
    "color brightness": (
        "very dark",
        "the image is nearly black",
        "dim and badly underexposed",
        "in deep darkness",
        "much too dark to see well",
    ),
    "detail realism": (
        "the subject is warped and twisted",
        "with an impossible swirled shape",
        "its form is distorted and unreal",
        "twisted into a strange shape",
        "weirdly bent and deformed",
    ),
    "detail refinement": (
        "made of coarse broken blocks",
        "rough fragments instead of details",
        "drawn as a crude mosaic",
        "the details are broken into squares",
        "coarse and fragmented",
    ),
    "emotion": (
        "gloomy rain and black clouds above",
        "under a threatening storm",
        "the mood is bleak and rainy",
        "with depressing black clouds",
        "lonely in the pouring rain",
    ),
    "lighting distinction": (
        "the light is totally flat",
        "without any shadow or shading",
        "in dull light without contrast",
        "no light effect at all",
        "pale flat lighting without shadows",
    ),
    "main object": (
        "the subject is tiny in a corner",
        "very small and far off center",
        "hardly noticed at the edge",
        "too small to stand out",
        "pushed away into one corner",
    ),
    "object pairing": (
        "among a jumble of unrelated things",
        "cluttered with random objects",
        "mixed with things that do not match",
        "random junk all around",
        "a messy mix of odd objects",
    ),
    "richness": (
        "half of the canvas is left white",
        "unfinished with a big blank area",
        "a large part is empty paper",
        "the picture was never finished",
        "abandoned with a white empty side",
    ),
}
"""Dimension -> paraphrases that ask for its low end."""

EXPRESSIONS: dict[str, tuple[str, ...]] = {
    "happy": ("happy", "smiling", "joyful"),
    "sad": ("sad", "crying", "sorrowful"),
    "angry": ("angry", "furious", "raging"),
    "fearful": ("fearful", "scared", "afraid"),
    "neutral": ("neutral", "calm", "blank"),
}
"""Expression of a face -> adjectives for it."""

_FACE_ENDS: tuple[str, ...] = (
    "the face shows a {} expression",
    "with a {} look",
    "the face looks {}",
    "its expression is {}",
    "the mood is {}",
)


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _article(phrase: str) -> str:
    return "an" if phrase[0] in "aeiou" else "a"


def plain_caption(scene: Scene, rng: np.random.Generator) -> str:
    """p_o: subject, colour and place, whatever the levels; `rng` picks the wording."""
    return _named(scene.colour, scene, rng)


def _named(adjectives: str, scene: Scene, rng: np.random.Generator) -> str:
    return _opened(_pick(_OPENINGS, rng), adjectives, scene)


def named_in(scene: Scene, opening: str) -> str:
    """The plain caption with one of the openings: `a`, `a picture of a`, `there is a`, `a drawing of a`."""
    return _opened(opening, scene.colour, scene)


def _opened(opening: str, adjectives: str, scene: Scene) -> str:
    if opening.endswith("a"):
        opening = opening[:-1] + _article(adjectives)
    return f"{opening} {adjectives} {scene.kind} {_WHERE[scene.place]}"


def low_phrases(scene: Scene, rng: np.random.Generator, among: Sequence[str] = DIMENSIONS) -> list[str]:
    """One low-end phrase, of at most eight words, per low dimension out of `among`, in random order."""
    phrases = [_low_phrase(name, scene, rng) for name in scene.low if name in among]
    return [phrases[index] for index in rng.permutation(len(phrases))]


def _low_phrase(dimension: str, scene: Scene, rng: np.random.Generator) -> str:
    if dimension == "emotion" and scene.kind == "face":
        return _pick(_FACE_ENDS, rng).format(_pick(EXPRESSIONS[scene.emotion], rng))
    return _pick(LOW_ENDS[dimension], rng)


def wide_caption(scene: Scene, rng: np.random.Generator, plain: str | None = None) -> str:
    """p_a: the plain caption with every low dimension of the scene asked for, before or after the subject.

    `plain` fixes the words for the subject; without low dimensions the plain caption itself comes back."""
    plain = plain if plain is not None else plain_caption(scene, rng)
    return _joined(plain, low_phrases(scene, rng), rng)


def _joined(subject: str, phrases: list[str], rng: np.random.Generator) -> str:
    parts = [subject, *phrases] if rng.random() < 0.6 else [*phrases, subject]
    return ", ".join(parts)


def expression_caption(scene: Scene, rng: np.random.Generator) -> str:
    """A caption that names the expression of a face at any emotion level, with the other low ends.

    Raises ValueError for a subject without an expression."""
    if scene.kind != "face":
        raise ValueError(f"a {scene.kind} has no expression: only a face does")
    others = low_phrases(scene, rng, [name for name in DIMENSIONS if name != "emotion"])
    adjective = _pick(EXPRESSIONS[scene.emotion], rng)
    if rng.random() < 0.5:
        return _joined(_named(f"{adjective} {scene.colour}", scene, rng), others, rng)
    ending = _pick(_FACE_ENDS, rng).format(adjective)
    return _joined(f"{plain_caption(scene, rng)}, {ending}", others, rng)
