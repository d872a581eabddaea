"""The drawn faces in four expressions: nothing else differs, and training has not shown them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from aes_audit.controls.expressions import DRAWING, face_tuples
from aes_audit.controls.prompts import control_pairs
from aes_audit.controls.training.tokenizer import load_tokenizer
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.emotion import PLACEHOLDER
from aes_audit.resources import control_folder

DIGESTS = {1: "a94264439079921007e325f4b0db4dfa5988e28ceb6294c145f0318a3655637d"}


def test_the_pictures_and_captions_are_those_of_the_declared_version() -> None:
    faces = face_tuples()
    pixels = b"".join(face.draw(emotion).tobytes() + face.caption.encode() for face in faces for emotion in EMOTIONS)
    told = "raise DRAWING, or older scores are taken for scores of the new pictures"
    assert hashlib.sha256(pixels).hexdigest() == DIGESTS[DRAWING], told


def test_there_are_a_hundred_and_nothing_but_the_expression_differs() -> None:
    assert len(face_tuples()) >= 100
    assert (
        len({face.id for face in face_tuples()}) == len({face.caption for face in face_tuples()}) == len(face_tuples())
    )
    for face in face_tuples():
        assert tuple(face.scenes) == EMOTIONS
        neutral = {replace(scene, levels=(1,) * len(DIMENSIONS), emotion="neutral") for scene in face.scenes.values()}
        assert len(neutral) == 1
        assert {emotion: scene.emotion for emotion, scene in face.scenes.items()} == {name: name for name in EMOTIONS}
        for scene in face.scenes.values():
            assert all(scene.level(name) == 1 for name in DIMENSIONS if name != "emotion")


def test_pixels_differ_on_the_face_alone() -> None:
    for face in face_tuples()[::40]:
        happy, *others = (np.asarray(face.draw(emotion), dtype=int) for emotion in EMOTIONS)
        for other in others:
            rows, columns = np.nonzero(np.abs(other - happy).sum(-1))
            assert 0 < np.ptp(rows) <= 34, "a face of normal size, with what its edges blur into"
            assert 0 < np.ptp(columns) <= 34


def test_captions_are_read_whole_and_word_by_word() -> None:
    tokenizer = load_tokenizer(control_folder("clip"))
    for face in face_tuples():
        assert face.caption.count(PLACEHOLDER) == 1
        text = face.caption.replace(PLACEHOLDER, "fearful")
        assert len(tokenizer(text)["input_ids"]) == len(text.replace(",", " ,").split()) + 2 <= 48
        assert f"{face.scenes['happy'].colour} face" in text


def test_no_prompt_pair_asks_for_one_of_them() -> None:
    asked = {(pair.scene.kind, pair.scene.colour, pair.scene.place, pair.dimensions) for pair in control_pairs()}
    for face in face_tuples():
        for scene in face.scenes.values():
            assert (scene.kind, scene.colour, scene.place, scene.low) not in asked


@pytest.mark.heavy
def test_training_has_shown_none_of_them() -> None:
    from aes_audit.controls.training.corpus import corpus_scenes

    faces = {(s.colour, s.place, s.levels, s.emotion) for face in face_tuples() for s in face.scenes.values()}
    shown = {(s.colour, s.place, s.levels, s.emotion) for s in corpus_scenes(seed=0) if s.kind == "face"}
    assert len(shown) > 10_000
    assert faces.isdisjoint(shown)
