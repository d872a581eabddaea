"""ImageReward against its official code, on a tiny checkpoint in the official file format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from huggingface_hub import try_to_load_from_cache
from PIL import Image

from aes_audit.rewards import imagereward
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.image_recipes import hf_clip_224, openai_224, to_rgb
from aes_audit.rewards.imagereward import ImageReward, load_imagereward
from aes_audit.rewards.pair_scorer import PairScorer
from parity import blip
from parity.recipe import TOLERANCE, Pack, largest_gap, pairs, read_pack, write_images

OPTIONS = {"dtype": "float32"}
FEW = [(image, prompt) for image in ("wide", "pal", "la") for prompt in ("short", "normal", "empty")]
IMAGES = "AES_AUDIT_IMAGEREWARD_IMAGES"
OCEAN = "a painting of an ocean with clouds and birds, day time, low depth field effect"
PUBLISHED = [0.5811622738838196, 0.2745276093482971, -1.4131819009780884, -2.029569625854492]


@pytest.fixture(scope="module")
def pack() -> Pack:
    return read_pack("imagereward")


@pytest.fixture(scope="module")
def files(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> RewardFiles:
    return blip.written(pack, tmp_path_factory.mktemp("imagereward"))


@pytest.fixture(scope="module")
def images(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return write_images(pack, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def reward(files: RewardFiles) -> ImageReward:
    reward = load_imagereward(files, OPTIONS, "cpu")
    assert isinstance(reward, ImageReward)
    return reward


def test_tokens_are_the_official_ones(pack: Pack, reward: ImageReward) -> None:
    names = list(pack["prompts"])
    ours = blip.padded(reward.texts, (pack["prompts"][name] for name in names))
    assert dict(zip(names, ours, strict=True)) == pack["tokens"]


def test_pixels_are_the_official_ones(pack: Pack, images: Mapping[str, Path]) -> None:
    for name, official in pack["pixels"].items():
        assert blip.agrees(openai_224(Image.open(images[name])), official), name


def test_scores_are_the_official_ones(pack: Pack, reward: ImageReward, images: Mapping[str, Path]) -> None:
    ours = blip.scores(reward, pack, images)
    for field in ("scores", "scores_list_call"):
        gap, where = largest_gap(pack, field, ours)
        assert gap <= TOLERANCE, where


def test_the_official_precision_is_float32_too(pack: Pack, files: RewardFiles, images: Mapping[str, Path]) -> None:
    official = load_imagereward(files, {"dtype": "official"}, "cpu")
    for pair, score in blip.scores(official, pack, images, FEW).items():
        assert score == pytest.approx(pack["scores"][pair], abs=TOLERANCE)


def test_scores_depend_neither_on_order_nor_on_batch(
    pack: Pack, files: RewardFiles, images: Mapping[str, Path]
) -> None:
    together, alone = (load_imagereward(files, OPTIONS, "cpu") for _ in range(2))
    alone.image_batch = alone.pair_batch = 1
    keys = [pair for pair in pairs(pack) if pair[0] in ("wide", "tiny", "pal")]
    first = blip.scores(together, pack, images, keys)
    assert blip.scores(alone, pack, images, keys[::-1]) == pytest.approx(first, abs=1e-5)


def test_an_image_is_seen_once_for_all_its_texts(pack: Pack, reward: ImageReward, images: Mapping[str, Path]) -> None:
    seen: list[int] = []
    handle = reward.model.vision_model.register_forward_hook(
        lambda _module, _inputs, output: seen.append(len(output.last_hidden_state))
    )
    blip.scores(reward, pack, images, [("tiny", name) for name in pack["prompts"]])
    handle.remove()
    assert seen == [1]


@pytest.mark.parametrize("recipe", [lambda image, side: openai_224(to_rgb(image), side), hf_clip_224])
def test_another_image_recipe_would_be_noticed(
    pack: Pack, reward: ImageReward, images: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch, recipe: object
) -> None:
    monkeypatch.setattr(imagereward, "openai_224", recipe)
    assert _gap(pack, blip.scores(reward, pack, images, FEW)) > TOLERANCE


def test_eight_text_heads_would_be_noticed(
    pack: Pack, files: RewardFiles, images: Mapping[str, Path], tmp_path: Path
) -> None:
    changed = load_imagereward(blip.with_setting(files, tmp_path, num_attention_heads=8), OPTIONS, "cpu")
    assert _gap(pack, blip.scores(changed, pack, images, FEW)) > TOLERANCE


def test_without_a_config_file_the_heads_are_those_of_blip(
    pack: Pack, files: RewardFiles, images: Mapping[str, Path], tmp_path: Path
) -> None:
    bare = load_imagereward(RewardFiles(files.checkpoint, tmp_path, files.companions), OPTIONS, "cpu")
    assert _gap(pack, blip.scores(bare, pack, images, FEW)) <= TOLERANCE


def _gap(pack: Pack, ours: Mapping[str, float]) -> float:
    return max(abs(float(pack["scores"][pair]) - score) for pair, score in ours.items())


def _cached(name: str, *repos: str) -> Path:
    for repo in repos:
        if isinstance(found := try_to_load_from_cache(repo, name), str):
            return Path(found)
    pytest.skip(f"{repos[0]} is not in the hub cache: run `hf download {repos[0]} {name}`.")


def test_the_published_weights_give_the_published_scores() -> None:
    """Opt-in: needs ImageReward.pt in the hub cache, and the four pictures of the official repository."""
    checkpoint = _cached("ImageReward.pt", "THUDM/ImageReward")
    folder = _cached("med_config.json", "THUDM/ImageReward").parent
    tokenizer = _cached("vocab.txt", "google-bert/bert-base-uncased", "bert-base-uncased").parent
    if not (place := os.environ.get(IMAGES)):
        pytest.skip(f"the pictures are not at hand: set {IMAGES} to the official repository's assets/images.")
    pictures = [Image.open(Path(place) / f"{number}.webp") for number in (1, 2, 3, 4)]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    reward = load_imagereward(RewardFiles(checkpoint, folder, {"tokenizer": tokenizer}), OPTIONS, device)
    assert PairScorer(reward).score(pictures, [OCEAN] * 4) == pytest.approx(PUBLISHED, abs=1e-3)
