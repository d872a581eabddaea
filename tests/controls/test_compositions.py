"""Drawn compositions: manners that differ, captions that say what is there in words the controls know."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np

from aes_audit.controls.composition_manners import MANNERS
from aes_audit.controls.compositions import DRAWING, PER_MANNER, compositions, plain_drawings
from aes_audit.controls.prompts import held_out
from aes_audit.controls.training.tokenizer import load_tokenizer
from aes_audit.resources import control_folder

DIGESTS = {1: "3f625de8ebb0c22f921d725c93deabdb4f25b16fda9d00b25568652266a9ae95"}


def test_the_pictures_are_those_of_the_declared_version() -> None:
    pixels = b"".join(drawn.draw().tobytes() for drawn in (*compositions(), *plain_drawings()))
    told = "raise DRAWING, or older scores are taken for scores of the new pictures"
    assert hashlib.sha256(pixels).hexdigest() == DIGESTS[DRAWING], told


def test_there_are_enough_in_clearly_different_manners() -> None:
    assert len(compositions()) >= 60
    assert len(MANNERS) >= 6
    assert PER_MANNER >= 20
    # How light, how lively, how colourful and how rough a manner is: no two have all four alike.
    traits = {
        name: np.mean([_traits(c.draw()) for c in compositions() if c.manner == name], axis=0) for name in MANNERS
    }
    for one, other in combinations(MANNERS, 2):
        assert np.abs(traits[one] - traits[other]).max() > 8, (one, other)


def _traits(image: object) -> list[float]:
    pixels = np.asarray(image, dtype=np.float64)
    grey = pixels.mean(-1)
    rough = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    return [float(grey.mean()), float(grey.std()), float(np.ptp(pixels, axis=-1).mean()), float(rough)]


def test_captions_are_read_whole_and_word_by_word() -> None:
    tokenizer = load_tokenizer(control_folder("clip"))
    for drawn in (*compositions(), *plain_drawings()):
        words = drawn.caption.replace(",", " ,").split()
        tokens = tokenizer(drawn.caption)["input_ids"]
        assert len(tokens) == len(words) + 2 <= 48, drawn.caption


def test_a_caption_names_subject_and_colour_and_a_plain_drawing_shows_the_same() -> None:
    for drawn, plain in zip(compositions(), plain_drawings(), strict=True):
        for shown in (drawn, plain):
            assert f"{drawn.scene.colour} {drawn.scene.kind}" in shown.caption
        assert set(drawn.scene.low) == set(MANNERS[drawn.manner].low)
        assert plain.scene.low == ()


def test_no_composition_shows_a_combination_that_is_held_out_of_training() -> None:
    shown = {(c.scene.kind, c.scene.colour, c.scene.place, c.scene.low) for c in compositions()}
    assert shown.isdisjoint(held_out())
