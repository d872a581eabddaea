"""Which labels and values belong together: the rules that depend on the set and the kind of scorer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aes_audit.evidence.faults import shown
from aes_audit.evidence.schema import FACE, IMAGES, PROMPTS, SETS

__all__ = ["Misfit", "Range", "kind_of", "misfit_of", "range_of"]

# Probabilities summed in half or single precision may leave [0, 2] by a rounding error.
_ROUNDING = 1e-6

_KINDS = ("preference", "judge", "truth")


class Misfit(NamedTuple):
    """What is wrong with the labels of a row."""

    column: str
    """The column to correct."""
    complaint: str
    """Why, in words; holds the offending label."""


class Range(NamedTuple):
    """The values that a kind of scorer may give."""

    classes: tuple[float, ...]
    """All of them; empty when they lie anywhere in [0, 2]."""
    words: str
    """The same for a message."""

    def outside(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Mark what is out of range; NaN (no value) is not."""
        if not self.classes:
            return (values < -_ROUNDING) | (values > 2 + _ROUNDING)
        return ~np.isin(values, self.classes) & ~np.isnan(values)


_RANGES = {
    "preference": Range((0.0, 0.5, 1.0), "0 (original), 0.5 (tie) or 1 (wide)"),
    "judge": Range((), "in [0, 2]"),
    "truth": Range((0.0, 1.0, 2.0), "one of the classes 0, 1 and 2"),
}


def kind_of(scorer: str) -> str | None:
    """`preference`, `judge` or `truth` for names that begin so and a slash; None for every other scorer."""
    kind, slash, _ = scorer.partition("/")
    return kind if slash and kind in _KINDS else None


def range_of(scorer: str) -> Range | None:
    """The values this scorer may give; None when its unit is its own."""
    kind = kind_of(scorer)
    return None if kind is None else _RANGES[kind]


def misfit_of(set: str, image: str, prompt: str | None, scorer: str) -> Misfit | None:
    """Why a scorer cannot have scored this image under this text, or None when it can.

    Source: the table "Values of `image` and `prompt`" of the evidence contract.
    """
    if set not in SETS:
        return Misfit("set", f"{shown(set)} is not a set; the sets are {', '.join(SETS)}")
    if image not in IMAGES[set]:
        return Misfit("image", f"{shown(image)} is not an image of the set {set}; it has {', '.join(IMAGES[set])}")
    kind = kind_of(scorer)
    if kind is not None and not scorer.partition("/")[2].strip():
        return Misfit("scorer", f"{shown(scorer)} names no {'judge' if kind == 'preference' else 'dimension'}")
    if (kind == "preference") != (image == "pair"):
        return Misfit("image", "preference/<judge> goes with the image 'pair' of the set pairs, and only it does")
    return _misfit_of_prompt(set, image, prompt, scorer, kind)


def _misfit_of_prompt(set: str, image: str, prompt: str | None, scorer: str, kind: str | None) -> Misfit | None:
    if kind == "preference":
        return None if prompt == "wide" else Misfit("prompt", f"{shown(prompt)} should be 'wide' for {scorer!r}")
    if kind in ("judge", "truth") or not PROMPTS[set]:
        reader = f"{kind}/<dimension>" if kind else f"the set {set}"
        return None if prompt is None else Misfit("prompt", f"{shown(prompt)} should be null for {reader}")
    if prompt is None:
        # `blip-itm/face` compares a face with a statement; `judge/face` is a dimension and was let through above.
        states = set == "emotion" and scorer.endswith(FACE)
        return Misfit("prompt", "null, but a .../face scorer is given an emotion's statement") if states else None
    if prompt not in PROMPTS[set]:
        known = ", ".join(PROMPTS[set])
        return Misfit("prompt", f"{shown(prompt)} is not a text of the set {set}; it has {known}, or null")
    return None
