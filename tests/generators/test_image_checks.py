"""What is no picture, and what is one however dark, flat or empty it looks."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from aes_audit.generators.image_checks import CODEC_NOISE, check, expected_size, flags, picture
from aes_audit.generators.protocol import FAULTS, FLAGS, MissingImage

Pixels = NDArray[np.uint8]


def flat(*colour: int, size: tuple[int, int] = (8, 6)) -> Pixels:
    """Height x width x 3 of one colour."""
    return np.tile(np.array(colour, dtype=np.uint8), (*size, 1))


def drawn(pixels: Pixels) -> Image.Image:
    """An image of these pixels."""
    return Image.fromarray(pixels)


def kind_of(image: Image.Image, size: tuple[int, int] | None = None) -> str | None:
    """The fault of an image, which must be one that exists and say something."""
    found = check(image, size)
    assert found is None or (found.kind in FAULTS and found.reason)
    return found.kind if found else None


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_frame_of_one_colour_is_missing_whatever_the_colour(colour: tuple[int, int, int]) -> None:
    assert kind_of(drawn(flat(*colour))) == ("black" if max(colour) <= CODEC_NOISE else "constant")


def test_the_blue_frame_of_a_failed_call_is_missing() -> None:
    # The channels differ from each other and none of them varies.
    assert check(drawn(flat(0, 0, 255))) == MissingImage("the frame is constant (every pixel is 0, 0, 255)", "constant")


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("colour", [(0, 0, 0), (0, 0, 255), (130, 17, 201)])
def test_a_flat_frame_stays_missing_after_jpeg(colour: tuple[int, int, int], quality: int) -> None:
    file = io.BytesIO()
    drawn(flat(*colour, size=(37, 50))).save(file, format="JPEG", quality=quality)
    assert kind_of(Image.open(file)) in ("black", "constant")


@given(arrays.arrays(np.uint8, (5, 4, 3)))
def test_an_image_is_missing_only_when_no_channel_varies(pixels: Pixels) -> None:
    spread = max(int(channel.max()) - int(channel.min()) for channel in pixels.reshape(-1, 3).T)
    assert (kind_of(drawn(pixels)) is None) == (spread > CODEC_NOISE)


def test_a_nearly_black_night_with_one_faint_star_is_data_and_flagged() -> None:
    night = flat(1, 1, 3, size=(64, 64))
    night[20, 30] = 9
    assert kind_of(drawn(night)) is None
    assert flags(drawn(night)) == ("near_blank",)


def test_flags_are_known_ones_and_a_picture_has_none() -> None:
    scene = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert flags(drawn(scene)) == ()
    assert "near_blank" in FLAGS


@pytest.mark.parametrize(("strokes", "flagged"), [(40, True), (41, False)])
def test_near_blank_means_that_all_but_a_hundredth_has_one_colour(strokes: int, flagged: bool) -> None:
    sheet = flat(240, 240, 230, size=(64, 64)).reshape(-1, 3)
    sheet[:strokes] = 30
    assert (flags(drawn(sheet.reshape(64, 64, 3))) == ("near_blank",)) is flagged


def test_near_blank_looks_at_every_channel() -> None:
    halves = flat(100, 100, 100, size=(64, 64))
    halves[:32, :, 2] = 160
    assert flags(drawn(halves)) == ()


def test_another_size_than_asked_for_is_missing_and_an_unknown_one_is_not_asked_about() -> None:
    scene = drawn(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8))
    assert kind_of(scene, (8, 6)) is None
    assert kind_of(scene) is None
    assert check(scene, (6, 8)) == MissingImage("the image is 8x6 pixels, asked for were 6x8", "wrong_size")


def test_a_file_that_is_cut_off_has_failed() -> None:
    file = io.BytesIO()
    drawn(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, format="PNG")
    found = check(Image.open(io.BytesIO(file.getvalue()[:-4000])))
    assert found is not None
    assert found.kind == "failed"
    assert found.reason.startswith("the image cannot be decoded: ")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_images_of_any_mode_are_looked_at(mode: str) -> None:
    scene = drawn(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    assert kind_of(scene.convert(mode)) is None
    assert kind_of(drawn(flat(51, 51, 51)).convert(mode)) == "constant"


class TestFrames:
    """Frames of a pipeline: floats in [0, 1]."""

    frame = np.random.default_rng(0).random((6, 8, 3), dtype=np.float32)

    def test_a_frame_becomes_the_nearest_grey_levels(self) -> None:
        image = picture(self.frame)
        assert isinstance(image, Image.Image)
        assert (image.mode, image.size) == ("RGB", (8, 6))
        assert abs(np.asarray(image) / 255 - self.frame).max() <= 0.5 / 255 + 1e-6

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_one_value_that_is_no_number_makes_the_frame_missing(self, value: float) -> None:
        frame = self.frame.copy()
        frame[3, 4, 1] = value
        assert picture(frame) == MissingImage("the pipeline returned NaN or infinite pixels", "nonfinite")

    def test_what_the_safety_checker_reports_is_missing_whatever_it_shows(self) -> None:
        expected = MissingImage("the pipeline's safety checker withheld the image", "safety")
        assert picture(self.frame, unsafe=True) == expected
        assert picture(np.zeros_like(self.frame), unsafe=True) == expected

    def test_a_black_frame_that_nobody_reports_is_black(self) -> None:
        found = picture(np.zeros_like(self.frame))
        assert isinstance(found, MissingImage)
        assert found.kind == "black"


@pytest.mark.parametrize(
    ("identity", "size"),
    [
        ({"call": {"width": 64, "height": 32}}, (64, 32)),
        ({"call": {"height": 32}}, None),
        ({"call": {"width": "64", "height": 32}}, None),
        ({"call": None}, None),
        ({}, None),
    ],
)
def test_the_size_is_known_where_the_call_names_both_sides(
    identity: dict[str, object], size: tuple[int, int] | None
) -> None:
    assert expected_size(identity) == size
