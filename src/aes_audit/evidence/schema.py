"""The evidence table's columns and labels: what every row must look like.

One row holds one score (or the reason why there is none) of one image of one item under one text.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = [
    "ARTIST",
    "COLUMNS",
    "CONTROL_ARM",
    "EMOTIONS",
    "FACE",
    "FAULT",
    "FLAGGED",
    "IMAGES",
    "KEY",
    "ORDERS_AGREE",
    "ORIGINAL_FIRST",
    "PROMPTS",
    "SELECTED",
    "SETS",
    "STYLE",
    "TOKENS",
    "TRUNCATED",
    "WIDE_FIRST",
    "WORDS",
    "Row",
]

KEY: tuple[str, ...] = ("model", "set", "item", "image", "prompt", "scorer")
"""The columns that identify a row, in sorting order; of these only `prompt` may be null."""

COLUMNS: tuple[str, ...] = (*KEY, "value", "error")
"""The eight columns every table has; more are kept and ignored."""

SELECTED: str = "selected"
"""Extra column: boolean, on `judge/<dimension>` rows, true when the prompt asked for it."""

FAULT: str = "image_fault"
"""Extra column: the kind of a missing image, null for one that is there."""

FLAGGED: str = "image_flags"
"""Extra column: what is suspicious about an image that is data, joined by commas; null for nothing."""

TOKENS: str = "prompt_tokens"
"""Extra column: tokens of the text that the image was drawn from, `encoder tokens/limit [cut|chunked]`, by commas."""

TRUNCATED: str = "prompt_truncated"
"""Extra column: boolean, true when no encoder read all of that text; null where nobody looked."""

ORIGINAL_FIRST: str = "answer_original_first"
"""Extra column of a judge that looks: 0 the first image, 1 the second, -1 neither, when I_o was shown first."""

WIDE_FIRST: str = "answer_wide_first"
"""Extra column: the same when I_a was shown first; null where a judge was not asked so, or gave no valid answer."""

ORDERS_AGREE: str = "order_agreement"
"""Extra column: boolean, whether both orders gave the same image or both none; null where only one was asked."""

ARTIST: str = "artist"
"""Extra column of the set `art`: who made a work, null where unknown; works of one artist are one cluster."""

CONTROL_ARM: str = "/control"
"""Ends the name of the model of the set `art` whose pictures are no art, scored beside the works."""

STYLE: str = "style"
"""Extra column of the set `art`: style, movement or period of a work, null where unknown."""

WORDS: str = "caption_words"
"""Extra column of the set `art`: words of the text that a row was scored under."""

SETS: tuple[str, ...] = ("pairs", "art", "emotion", "edits", "ratings")
"""Which collection an item belongs to."""

EMOTIONS: tuple[str, ...] = ("happy", "sad", "angry", "fearful")
"""Labels of both the images and the texts of the set `emotion`."""

FACE: str = "/face"
"""Ends the name of a matcher that is asked which emotion a face shows."""

IMAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "pairs": ("original", "wide", "pair"),
        "art": ("work",),
        "emotion": EMOTIONS,
        "edits": ("source", "edited"),
        "ratings": ("work",),
    }
)
"""Labels of `image` per set; `pair` is for `preference/<judge>` alone."""

PROMPTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "pairs": ("original", "wide"),
        "art": ("caption", "shuffled"),
        "emotion": EMOTIONS,
        "edits": ("original", "wide"),
        "ratings": (),
    }
)
"""Labels of `prompt` per set; null besides, for scorers that read no text."""


class Row(NamedTuple):
    """One score, or the reason why there is none."""

    model: str
    """The generator by its short name or spec; `human` for real artworks."""
    set: str
    """One of SETS."""
    item: str
    """The statistical unit: one prompt pair, artwork, emotion tuple or edited image."""
    image: str
    """Which image of the item, one of IMAGES[set]."""
    prompt: str | None
    """Which text it was scored against, one of PROMPTS[set]; None for scorers that read no text."""
    scorer: str
    """`hpsv3`, `judge/clarity`, `preference/<judge>`, `truth/clarity`, ..."""
    value: float | None = None
    """The score in the scorer's own unit, finite; None when there is none."""
    error: str | None = None
    """Why there is no value; exactly one of `value` and `error` is given."""
