"""The image recipe of HPSv3: which size an image gets, and what becomes of its mode."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aes_audit.rewards.qwen_image import qwen_256, qwen_note, smart_size

AREA = 256 * 28 * 28
SIDES = st.integers(min_value=1, max_value=20_000)


def _steepness(width: int, height: int) -> float:
    return max(width, height) / min(width, height)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((448, 448), (448, 448)),
        ((512, 512), (448, 448)),
        ((224, 224), (448, 448)),
        ((1280, 720), (588, 336)),
        ((640, 256), (728, 308)),
        ((16, 24), (392, 560)),
    ],
)
def test_sizes_follow_the_official_formula(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert smart_size(*size) == wanted


@given(width=SIDES, height=SIDES)
def test_every_image_becomes_250_to_290_tokens_unless_it_is_a_strip(width: int, height: int) -> None:
    across, down = smart_size(width, height)
    assert across % 28 == down % 28 == 0
    if _steepness(width, height) <= 2:
        assert 225 <= across * down // 28**2 <= 290


@given(width=SIDES, height=SIDES)
def test_a_larger_image_ends_below_the_area_and_a_smaller_one_above_it(width: int, height: int) -> None:
    across, down = smart_size(width, height)
    if _steepness(width, height) > 200:
        assert min(across, down) >= 28
        assert max(across, down) <= AREA // 28
    elif width * height > 4 * AREA:
        assert across * down <= AREA
    elif width * height < AREA / 4 and max(width, height) < 448:
        assert across * down >= AREA


def test_a_strip_beyond_the_official_limit_is_scored_with_a_note() -> None:
    strip = Image.new("RGB", (300, 1))
    assert "200 : 1" in (qwen_note(strip) or "")
    assert qwen_256(strip).tokens <= 256
    assert qwen_note(Image.new("RGB", (200, 1))) is None


def test_patches_of_one_token_lie_next_to_each_other() -> None:
    image = Image.new("L", (448, 448))
    # One bright token: the second of the first row.
    image.paste(255, (28, 0, 56, 28))
    patches = qwen_256(image).values
    assert patches.shape == (1024, 3 * 2 * 14 * 14)
    assert torch.nonzero(patches.mean(1) > 0).flatten().tolist() == [4, 5, 6, 7]


def test_a_still_image_is_shown_twice() -> None:
    image = Image.effect_noise((60, 80), 60).convert("RGB")
    frames = qwen_256(image).values.reshape(-1, 3, 2, 14, 14)
    assert torch.equal(frames[:, :, 0], frames[:, :, 1])


def test_alpha_is_dropped_and_not_composited() -> None:
    image = Image.effect_noise((60, 80), 60).convert("RGB")
    clear = image.copy()
    clear.putalpha(0)
    assert torch.equal(qwen_256(clear).values, qwen_256(image).values)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F"])
def test_every_mode_is_read_as_pillow_converts_it_to_rgb(mode: str) -> None:
    image = Image.linear_gradient("L").convert(mode)
    patches = qwen_256(image)
    assert torch.equal(patches.values, qwen_256(image.convert("RGB")).values)
    assert patches.values.isfinite().all()
    assert math.isclose(patches.rows * patches.columns, len(patches.values))
