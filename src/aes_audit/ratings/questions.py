"""What people are asked, in words: the instructions, the questions and the answers they can choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aes_audit.ratings.units import PREFERENCE

if TYPE_CHECKING:
    from aes_audit.judges.guideline import Guideline

__all__ = ["CLASSES", "INSTRUCTIONS", "SIDES", "TITLES", "questions_of"]

SIDES = ("left", "neither", "right")
"""Answers about a pair, in the order of the keys 1, 2, 3."""
CLASSES = ("0", "1", "2")
"""Answers about a dimension, which are the keys too."""

TITLES = {PREFERENCE: "Which picture follows the text?", "dimensions": "What is the picture like?"}

INSTRUCTIONS: Mapping[str, Sequence[str]] = {
    PREFERENCE: (
        "You see a text and two pictures. Decide which of the two shows more of what the text asks for.",
        "Take the text at its word. When it asks for something dark, blurred, crooked, empty or unpleasant, the "
        "picture that is so follows it; which one you would rather hang on a wall does not matter.",
        "Count everything that the text names, the things in the scene as well as the manner in which they are shown. "
        "Choose 'neither' when both follow it equally well or equally badly.",
        "There is no right answer that we expect, and no hurry. Please do not talk about the pictures with others who "
        "rate them. You may stop at any time; some pictures may be gloomy or unsettling.",
        "Keys: 1 left, 2 neither, 3 right; the arrow keys turn the pages. Answers stay in this browser until you "
        "download them; send back the one file.",
    ),
    "dimensions": (
        "You see one picture after the other and say of each what it is like, one property at a time.",
        "Judge every property by itself and by its description: a dark picture can be sharp, an ugly one full of "
        "detail.",
        "There is no right answer that we expect, and no hurry. Please do not talk about the pictures with others who "
        "rate them. You may stop at any time; some pictures may be gloomy or unsettling.",
        "Keys: 0, 1 and 2 answer the framed question and go on to the next, up and down choose the question, left and "
        "right turn the pages. Answers stay in this browser until you download them; send back the one file.",
    ),
}


def questions_of(kind: str, asked: Sequence[str], guideline: Guideline | None) -> list[dict[str, Any]]:
    """The questions of every page with their choices: what is stored, on which key, in which words.

    The words of a dimension are those of the guideline: its levels, joined where one class holds several.
    Raises UnknownName for a dimension that the guideline does not have.
    """
    if kind == PREFERENCE or guideline is None:
        labels = ("Left", "Neither is better", "Right")
        choices = [
            {"answer": side, "key": str(key), "label": label}
            for key, (side, label) in enumerate(zip(SIDES, labels, strict=True), 1)
        ]
        return [{"key": PREFERENCE, "label": "Which picture follows the text better?", "choices": choices}]
    return [_dimension(name, guideline) for name in asked]


def _dimension(name: str, guideline: Guideline) -> dict[str, Any]:
    from aes_audit.errors import UnknownName
    from aes_audit.judges.guideline import rating_class

    if name not in guideline.levels:
        raise UnknownName("dimension in the guideline", name, guideline.levels)
    choices = []
    for number, answer in enumerate(CLASSES):
        levels = [level for level in guideline.levels[name] if rating_class(level.rating) == number]
        if levels:
            label, more = " / ".join(each.option for each in levels), " ".join(each.description for each in levels)
            choices.append({"answer": answer, "key": answer, "label": label, "more": more})
    return {"key": name, "label": name.capitalize(), "choices": choices}
