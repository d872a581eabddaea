"""BLIP-L ITM against its official code, on a tiny checkpoint in the official file format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image, features

from aes_audit.rewards import blip_itm
from aes_audit.rewards.blip_itm import BlipMatching, load_blip_itm
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.image_recipes import openai_224, square
from parity import blip
from parity.recipe import TOLERANCE, Pack, pairs, read_pack, write_images

FIELDS = {"probability": "scores", "logit": "itm_logit_1", "itc": "itc"}
FEW = [(image, prompt) for image in ("wide", "rgba") for prompt in ("short", "normal", "empty")]
# Pillow 13 resizes this one picture otherwise than earlier versions; the pack was recorded with it.
OTHER_BEFORE_PILLOW_13 = "tall"


def _recorded(image: str) -> bool:
    return image != OTHER_BEFORE_PILLOW_13 or int(str(features.version("pil")).split(".")[0]) >= 13


@pytest.fixture(scope="module")
def pack() -> Pack:
    return read_pack("blip_itm")


@pytest.fixture(scope="module")
def files(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> RewardFiles:
    return blip.written(pack, tmp_path_factory.mktemp("blip_itm"))


@pytest.fixture(scope="module")
def images(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return write_images(pack, tmp_path_factory.mktemp("images"))


def _options(output: str = "probability") -> dict[str, str]:
    return {"output": output, "dtype": "float32"}


def _gap(pack: Pack, ours: Mapping[str, float], field: str = "scores") -> float:
    return max(abs(float(pack[field][pair]) - score) for pair, score in ours.items())


def test_tokens_are_the_official_ones(pack: Pack, files: RewardFiles) -> None:
    reward = load_blip_itm(files, _options(), "cpu")
    assert isinstance(reward, BlipMatching)
    names = list(pack["prompts"])
    ours = blip.padded(reward.texts, (pack["prompts"][name] for name in names))
    assert dict(zip(names, ours, strict=True)) == pack["tokens"]


def test_pixels_are_the_official_ones(pack: Pack, images: Mapping[str, Path]) -> None:
    for name, official in pack["pixels"].items():
        if _recorded(name):
            assert blip.agrees(square(Image.open(images[name])), official), name


@pytest.mark.parametrize("output", FIELDS)
def test_scores_are_the_official_ones(pack: Pack, files: RewardFiles, images: Mapping[str, Path], output: str) -> None:
    keys = [pair for pair in pairs(pack) if _recorded(pair[0])]
    ours = blip.scores(load_blip_itm(files, _options(output), "cpu"), pack, images, keys)
    assert len(ours) == len(keys)
    assert _gap(pack, ours, FIELDS[output]) <= TOLERANCE


@pytest.mark.parametrize("output", FIELDS)
def test_scores_depend_neither_on_order_nor_on_batch(
    pack: Pack, files: RewardFiles, images: Mapping[str, Path], output: str
) -> None:
    together, alone = (load_blip_itm(files, _options(output), "cpu") for _ in range(2))
    alone.image_batch = alone.pair_batch = 1
    keys = [pair for pair in pairs(pack) if pair[0] in ("wide", "tiny")]
    first = blip.scores(together, pack, images, keys)
    assert blip.scores(alone, pack, images, keys[::-1]) == pytest.approx(first, abs=1e-5)


def test_one_text_head_would_be_noticed(
    pack: Pack, files: RewardFiles, images: Mapping[str, Path], tmp_path: Path
) -> None:
    changed = load_blip_itm(blip.with_setting(files, tmp_path, num_attention_heads=1), _options(), "cpu")
    assert _gap(pack, blip.scores(changed, pack, images, FEW)) > TOLERANCE


def test_a_crop_instead_of_a_squash_would_be_noticed(
    pack: Pack, files: RewardFiles, images: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blip_itm, "square", openai_224)
    assert _gap(pack, blip.scores(load_blip_itm(files, _options(), "cpu"), pack, images, FEW)) > TOLERANCE
