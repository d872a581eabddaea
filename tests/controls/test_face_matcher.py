"""What control/clip is worth as the one who says which emotion a face shows: faces whose emotion is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from aes_audit.controls.expressions import FaceTuple, face_tuples
from aes_audit.evidence.faces import FaceMatcher
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.prompts.emotion import EmotionTemplate, statement
from aes_audit.rewards.registry import resolve_reward

FACES = face_tuples()[:30]


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Thirty faces in each emotion, in that order."""
    return [face.draw(emotion) for face in FACES for emotion in EMOTIONS]


@pytest.fixture(scope="module")
def read(pictures: list[Image.Image]) -> Callable[[Callable[[FaceTuple, str], str]], npt.NDArray[np.float64]]:
    """Probabilities of the four statements, of shape (faces, emotion drawn, emotion stated)."""
    matcher = FaceMatcher.of(resolve_reward("control/clip", device="cpu"))
    ask = matcher.scorer.load()

    def probabilities(stated: Callable[[FaceTuple, str], str]) -> npt.NDArray[np.float64]:
        texts = [[stated(face, emotion) for emotion in EMOTIONS] for face in FACES for _ in EMOTIONS]
        found = [[answer.value for answer in matcher.read(answers)] for answers in ask(pictures, texts)]
        return np.array(found, dtype=np.float64).reshape(len(FACES), len(EMOTIONS), len(EMOTIONS))

    return probabilities


def accuracy(scores: npt.NDArray[np.float64]) -> float:
    """Share of faces whose own statement is the likeliest."""
    return float((scores.argmax(axis=-1) == np.arange(len(EMOTIONS))).mean())


def in_context(face: FaceTuple, emotion: str) -> str:
    """As the templates of the control world state it."""
    scene = face.caption.partition(",")[0]
    return EmotionTemplate(face.id, face.caption, scene).statement(emotion)


def test_a_statement_in_its_scene_is_read_and_a_bare_one_hardly(
    read: Callable[[Callable[[FaceTuple, str], str]], npt.NDArray[np.float64]],
) -> None:
    whole, bare = read(in_context), read(lambda _, emotion: statement(emotion))
    np.testing.assert_allclose(whole.sum(axis=-1), 1)
    assert accuracy(whole) >= 0.95
    assert accuracy(bare) <= accuracy(whole) - 0.25
    assert (np.diagonal(whole.mean(axis=0)) >= 0.6).all()
