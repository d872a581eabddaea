"""The parity packs rebuild to the recorded inputs, and the comparison hides nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from PIL import Image

from aes_audit.weights.checkpoint import read_tensors
from parity import pictures, weights
from parity.recipe import PACKS, largest_gap, make_image, make_images, pairs, read_pack, write_checkpoint, write_images


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_rebuilds_the_recorded_checkpoint_in_its_official_file(name: str, tmp_path: Path) -> None:
    pack = read_pack(name)
    file = write_checkpoint(pack, tmp_path)
    tensors = read_tensors(file, ("state_dict", "model"))
    assert file.name == pack["checkpoint"]
    assert weights.crc32(tensors) == pack["weights_crc32"]
    assert all((tmp_path / beside).is_file() for beside in pack["files"])


def test_a_checkpoint_that_differs_from_the_recorded_one_is_refused(tmp_path: Path) -> None:
    pack = read_pack("hpsv3")
    pack["seed"] += 1
    with pytest.raises(RuntimeError, match="hpsv3: the weights differ"):
        write_checkpoint(pack, tmp_path)


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_rebuilds_the_recorded_pictures(name: str) -> None:
    pack = read_pack(name)
    made = make_images(pack)
    assert {image: pictures.crc32(picture) for image, picture in made.items()} == pack["image_crc32"]


def test_a_saved_picture_keeps_mode_and_samples(tmp_path: Path) -> None:
    pack = read_pack("clip")
    for name, file in write_images(pack, tmp_path).items():
        with Image.open(file) as image:
            assert pictures.crc32(image) == pack["image_crc32"][name], name


@pytest.mark.parametrize("mode", ["1", "I;16", "P", "LA", "RGBA"])
def test_pictures_of_further_modes_can_be_made(mode: str) -> None:
    image = make_image("other", mode, [40, 30], orientation=6, clear=0.5)
    assert (image.mode, image.size) == (mode, (40, 30))
    assert image.getexif()[0x0112] == 6


def test_a_mode_without_a_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="HSV"):
        make_image("other", "HSV", [4, 4])


def test_a_missing_pair_or_a_score_that_is_no_number_counts_as_infinitely_far() -> None:
    pack = {"scores": {"a|p": 1.0, "b|p": 2.0}}
    assert largest_gap(pack, "scores", {"a|p": 1.5, "b|p": 2.25}) == (0.5, "a|p")
    assert largest_gap(pack, "scores", {"a|p": 1.0}) == (math.inf, "b|p")
    assert largest_gap(pack, "scores", {"a|p": math.nan, "b|p": 2.0}) == (math.inf, "a|p")


def test_pairs_leave_out_those_on_which_the_official_code_raises() -> None:
    pack = read_pack("hpsv2")
    listed = {f"{image}|{prompt}" for image, prompt in pairs(pack)}
    assert pack["errors"]
    assert listed == set(pack["scores"])
