"""The control world: seeded pictures, every dimension visible, captions that ask for what is drawn."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes_audit.controls.captions import (
    EXPRESSIONS,
    LOW_ENDS,
    MAX_WORDS,
    expression_caption,
    plain_caption,
    wide_caption,
)
from aes_audit.controls.scene import COLOURS, EMOTIONS, KINDS, PLACES, Scene, emotion_of, sample_scene
from aes_audit.controls.world import render
from aes_audit.prompts.dimensions import DIMENSIONS, LEVELS


@st.composite
def scenes(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> Scene:
    """Any scene of the world."""
    kind = draw(st.sampled_from(kinds))
    levels = tuple(draw(st.lists(st.sampled_from(LEVELS), min_size=len(DIMENSIONS), max_size=len(DIMENSIONS))))
    seed = draw(st.integers(0, 2**31 - 1))
    emotion = emotion_of(kind, levels[DIMENSIONS.index("emotion")], np.random.default_rng(seed))
    return Scene(kind, draw(st.sampled_from(sorted(COLOURS))), draw(st.sampled_from(PLACES)), levels, emotion, seed)


def four_low(seed: int) -> Scene:
    """A scene with four low ends, as the longest prompts have."""
    rng = np.random.default_rng(seed)
    return sample_scene(rng, [str(name) for name in rng.choice(DIMENSIONS, 4, replace=False)])


def words(caption: str) -> list[str]:
    """Words and commas, which are what the tokenizers see."""
    return re.findall(r"\w+|,", caption)


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_any_scene_is_drawn_and_the_same_call_gives_the_same_pixels(scene: Scene) -> None:
    pixels = render(scene)
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 0
    np.testing.assert_array_equal(pixels, render(scene))


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("kind", ["house", "face", "fish"])
def test_the_low_end_of_a_dimension_is_visible(kind: str, dimension: str) -> None:
    rng = np.random.default_rng(5)
    normal = Scene(kind, "red", "meadow", (1,) * len(DIMENSIONS), seed=11)
    low = normal.at(tuple(0 if name == dimension else 1 for name in DIMENSIONS), rng)
    changed = np.abs(render(normal).astype(int) - render(low).astype(int)).max(-1) > 24
    assert changed.mean() > 0.015, f"only {changed.mean():.1%} of the pixels show it"


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_high_end_of_a_dimension_is_visible(dimension: str) -> None:
    normal = Scene("boat", "blue", "desert", (1,) * len(DIMENSIONS), seed=3)
    high = normal.at(tuple(2 if name == dimension else 1 for name in DIMENSIONS), np.random.default_rng(0))
    changed = np.abs(render(normal).astype(int) - render(high).astype(int)).max(-1) > 8
    assert changed.mean() > 0.01


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_each_expression_of_a_face_is_a_picture_of_its_own(emotion: str) -> None:
    def face(expression: str) -> Scene:
        level = {"neutral": 1, "happy": 2}.get(expression, 0)
        levels = tuple(level if name == "emotion" else 2 for name in DIMENSIONS)
        return Scene("face", "yellow", "room", levels, expression, seed=2)

    mine = render(face(emotion))
    assert all((mine != render(face(other))).any() for other in EMOTIONS if other != emotion)


def test_different_seeds_give_different_pictures() -> None:
    scene = Scene("tree", "green", "snow", (1,) * len(DIMENSIONS), seed=1)
    others = [render(Scene("tree", "green", "snow", scene.levels, seed=seed)) for seed in range(2, 6)]
    assert all((other != render(scene)).any() for other in others)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**31))
def test_captions_fit_the_tokenizers(seed: int) -> None:
    scene, rng = four_low(seed), np.random.default_rng(seed)
    captions = [wide_caption(scene, rng)]
    if scene.kind == "face":
        captions.append(expression_caption(scene, rng))
    assert all(len(words(caption)) <= MAX_WORDS for caption in captions), captions


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**31))
def test_a_wide_caption_holds_its_plain_one_and_one_phrase_per_low_dimension(seed: int) -> None:
    scene, rng = four_low(seed), np.random.default_rng(seed)
    plain = plain_caption(scene, rng)
    parts = wide_caption(scene, rng, plain).split(", ")
    assert plain in parts
    assert len(parts) == 5
    for name in scene.low:
        if name != "emotion" or scene.kind != "face":
            assert any(part in LOW_ENDS[name] for part in parts)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**31))
def test_plain_captions_name_the_content_and_carry_no_aesthetic_words(seed: int) -> None:
    scene = four_low(seed)
    said = set(words(plain_caption(scene, np.random.default_rng(seed))))
    harmless = {"a", "an", "in", "the", "at", "on", "is", "there", "of", "picture", "and"}
    low_words = {word for phrases in LOW_ENDS.values() for phrase in phrases for word in phrase.split()}
    moods = {word for adjectives in EXPRESSIONS.values() for word in adjectives}
    assert not said & ((low_words | moods) - harmless)
    assert {scene.kind, scene.colour} <= said


def test_every_dimension_has_five_wordings_or_more() -> None:
    assert set(LOW_ENDS) == set(DIMENSIONS)
    assert all(len(set(phrases)) >= 5 for phrases in LOW_ENDS.values())


def test_without_low_dimensions_the_wide_caption_is_the_plain_one() -> None:
    scene, rng = Scene("cat", "pink", "city", (2,) * len(DIMENSIONS)), np.random.default_rng(0)
    assert wide_caption(scene, rng, "a pink cat in the city") == "a pink cat in the city"


@pytest.mark.parametrize(
    ("field", "value"),
    [("kind", "dragon"), ("colour", "mauve"), ("place", "moon"), ("levels", (1,) * 10), ("emotion", "sad")],
)
def test_a_scene_outside_the_world_is_refused(field: str, value: object) -> None:
    fields = {"kind": "car", "colour": "red", "place": "city", "levels": (1,) * 11, "emotion": "neutral"}
    with pytest.raises(ValueError, match=r"sad|mauve|dragon|moon|levels"):
        Scene(**{**fields, field: value})  # type: ignore[arg-type]


def test_only_faces_have_expression_captions() -> None:
    with pytest.raises(ValueError, match="only a face"):
        expression_caption(Scene("car", "red", "city", (1,) * 11), np.random.default_rng(0))
