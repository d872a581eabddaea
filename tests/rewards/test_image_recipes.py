"""Image recipes: shapes, edges and the odd images on which official codes differ or raise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aes_audit.rewards.image_recipes import (
    CLIP_MEAN,
    CLIP_STD,
    hf_clip_224,
    letterbox_224,
    letterbox_note,
    openai_224,
    square,
)

MODES = ["1", "L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16", "I;16B"]
RECIPES = [openai_224, hf_clip_224, letterbox_224, square]

Recipe = Callable[[Image.Image], torch.Tensor]


def noise(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Noise of width x height."""
    width, height = size
    grey = np.random.default_rng(width * 7 + height).integers(0, 256, (height, width), dtype=np.uint8)
    if mode.startswith("I;16"):
        return Image.frombytes(mode, size, grey.astype("<u2" if mode == "I;16" else ">u2").tobytes())
    colour = Image.fromarray(np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1))
    return colour.convert("P").convert("PA") if mode == "PA" else colour.convert(mode)


def undone(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels in [0, 1]."""
    return pixels * torch.tensor(CLIP_STD)[:, None, None] + torch.tensor(CLIP_MEAN)[:, None, None]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_any_mode_becomes_finite_pixels(recipe: Recipe, mode: str) -> None:
    pixels = recipe(noise((40, 30), mode))
    side = 384 if recipe is square else 224
    assert (tuple(pixels.shape), pixels.dtype) == ((3, side, side), torch.float32)
    assert pixels.isfinite().all()


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 700), height=st.integers(1, 700), recipe=st.sampled_from(RECIPES))
def test_an_image_of_any_size_becomes_a_square(width: int, height: int, recipe: Recipe) -> None:
    pixels = recipe(Image.new("RGB", (width, height), (10, 200, 30)))
    assert pixels.shape == ((3, 384, 384) if recipe is square else (3, 224, 224))


@pytest.mark.parametrize("recipe", [openai_224, hf_clip_224, letterbox_224])
def test_an_image_of_the_final_size_is_not_resampled(recipe: Recipe) -> None:
    image = noise((224, 224))
    expected = torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1) / 255
    assert torch.allclose(undone(recipe(image)), expected, atol=1e-6)


def test_the_two_crops_differ_where_the_margin_is_half_a_pixel_off() -> None:
    odd, even = noise((227, 224)), noise((228, 224))
    assert torch.equal(openai_224(even), hf_clip_224(even))
    assert not torch.equal(openai_224(odd), hf_clip_224(odd))
    # Margins of 3 are 1.5 on each side: half to even is 2, down is 1.
    assert torch.equal(openai_224(odd), openai_224(odd.crop((2, 0, 226, 224))))
    assert torch.equal(hf_clip_224(odd), hf_clip_224(odd.crop((1, 0, 225, 224))))


def test_openai_resizes_in_the_images_own_mode() -> None:
    palette = noise((300, 260)).convert("P")
    nearest = palette.convert("RGB").resize((258, 224), Image.Resampling.NEAREST).crop((17, 0, 241, 224))
    assert torch.equal(openai_224(palette), openai_224(nearest))
    assert torch.equal(hf_clip_224(palette), hf_clip_224(palette.convert("RGB")))


@pytest.mark.parametrize("recipe", RECIPES)
def test_alpha_is_dropped_and_not_composited(recipe: Recipe) -> None:
    clear = Image.new("RGBA", (224, 224), (200, 100, 50, 0))
    assert torch.equal(recipe(clear), recipe(Image.new("RGB", (224, 224), (200, 100, 50))))


def test_a_16_bit_grey_is_converted_as_pillow_does_it() -> None:
    deep = Image.fromarray(np.full((224, 224), 40_000, dtype=np.uint16))
    assert torch.equal(hf_clip_224(deep), hf_clip_224(deep.convert("RGB")))


def test_a_letterbox_is_black_centred_and_normalised_as_a_whole() -> None:
    pixels = undone(letterbox_224(Image.new("RGB", (448, 100), (255, 255, 255))))
    rows = pixels.mean(dim=(0, 2))
    assert torch.allclose(rows[:87], torch.zeros(87), atol=1e-6)
    assert torch.allclose(rows[87:137], torch.ones(50), atol=1e-5)
    assert torch.allclose(rows[137:], torch.zeros(87), atol=1e-6)


def test_a_letterbox_keeps_bicubic_overshoot() -> None:
    edge = Image.new("RGB", (112, 112))
    edge.paste((255, 255, 255), (0, 0, 56, 112))
    pixels = undone(letterbox_224(edge))
    assert pixels.min() < -0.01
    assert pixels.max() > 1.01


def test_a_letterbox_without_antialiasing_differs_where_pixels_are_lost() -> None:
    large = noise((448, 448))
    assert (letterbox_224(large) - letterbox_224(large, antialias=False)).abs().max() > 0.1


@pytest.mark.parametrize(
    ("size", "mode", "word"),
    [
        ((300, 200), "RGB", None),
        ((224, 224), "RGB", None),
        ((300, 200), "LA", None),
        ((300, 200), "CMYK", None),
        ((300, 200), "RGBA", "alpha"),
        ((224, 100), "RGB", "padded"),
        ((100, 224), "L", "padded"),
        ((2000, 2), "RGB", "one pixel"),
    ],
)
def test_a_note_says_what_is_done_where_hpsv2_raises(size: tuple[int, int], mode: str, word: str | None) -> None:
    image = noise(size, mode)
    note = letterbox_note(image)
    assert (note is None) if word is None else (note is not None and word in note)
    assert letterbox_224(image).shape == (3, 224, 224)
