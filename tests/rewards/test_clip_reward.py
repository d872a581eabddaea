"""The controls' CLIP rewards: the numbers, against a computation of our own, and how little is computed for them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from aes_audit.errors import InfrastructureError, UnknownName
from aes_audit.rewards import registry
from aes_audit.rewards.clip import load_clip
from aes_audit.rewards.clip_family import ClipArchitecture
from aes_audit.rewards.images import SquareRecipe
from aes_audit.rewards.pair_scorer import PairScorer
from aes_audit.rewards.registry import REWARDS, ClipEntry, resolve_reward
from aes_audit.weights.source import Source

ClipReward = PairScorer[torch.Tensor, torch.Tensor]

TEXTS = ["a cat", "A very, very long text that goes on for more tokens than the model has room for", "!", ""]


def picture(seed: int, size: tuple[int, int] = (16, 16)) -> Image.Image:
    """Noise of width x height."""
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def clip(tiny_clip: Path) -> ClipReward:
    """The tiny CLIP as a reward in [-1, 1]."""
    return load_clip(tiny_clip, scaled=False, device="cpu")


def inside(clip: ClipReward) -> ClipArchitecture:
    """What the scorer drives."""
    assert isinstance(clip.architecture, ClipArchitecture)
    return clip.architecture


class Counted:
    """Counts what passes a layer; removed at the end of the block."""

    def __init__(self, layer: torch.nn.Module) -> None:
        self.rows = 0
        self._handle = layer.register_forward_hook(self._count)

    def _count(self, layer: torch.nn.Module, inputs: object, output: Any) -> None:
        self.rows += len(output.last_hidden_state)

    def __enter__(self) -> Counted:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()


def reference(folder: Path, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
    """The cosine from the library's own processing and logits, one pair at a time."""
    model = CLIPModel.from_pretrained(folder).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessorPil(
        size={"height": 16, "width": 16}, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    scores = []
    for image, text in zip(images, texts, strict=True):
        pixels = processor(image.convert("RGB"), return_tensors="pt")["pixel_values"]
        tokens = tokenizer([text], padding="max_length", truncation=True, max_length=16, return_tensors="pt")
        with torch.no_grad():
            logits = model(pixel_values=pixels, **tokens).logits_per_image
        scores.append(logits.item() / model.logit_scale.exp().item())
    return scores


def test_scores_agree_with_a_direct_computation(clip: ClipReward, tiny_clip: Path) -> None:
    images = [picture(number, size) for number, size in enumerate([(16, 16), (64, 48), (7, 31), (1, 1)])]
    expected = reference(tiny_clip, images, TEXTS)
    assert clip.score(images, TEXTS) == pytest.approx(expected, abs=1e-5)
    assert len(set(expected)) == len(TEXTS)


def test_scores_do_not_depend_on_the_batch(clip: ClipReward) -> None:
    images = [picture(number) for number in range(9)]
    texts = [TEXTS[number % 3] for number in range(9)]
    alone = [clip.score([image], [text])[0] for image, text in zip(images, texts, strict=True)]
    assert clip.score(images, texts) == pytest.approx(alone, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(plan=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(TEXTS)), max_size=8))
def test_any_plan_is_answered_in_its_order(tiny_clip: Path, plan: list[tuple[int, str]]) -> None:
    clip = load_clip(tiny_clip, scaled=False, device="cpu")
    images = [picture(number) for number in range(3)]
    scores = clip.score([images[number] for number, _ in plan], [text for _, text in plan])
    expected = {pair: clip.score([images[pair[0]]], [pair[1]])[0] for pair in set(plan)}
    assert scores == pytest.approx([expected[pair] for pair in plan], abs=1e-5)


def test_every_image_and_every_text_is_encoded_once(tiny_clip: Path) -> None:
    images = [picture(number) for number in range(3)]
    clip = load_clip(tiny_clip, scaled=False, device="cpu")
    model = inside(clip).model
    with Counted(model.vision_model) as seen, Counted(model.text_model) as read:
        clip.score([image for image in images for _ in TEXTS], TEXTS * 3)
    assert (seen.rows, read.rows) == (3, len(TEXTS))


def test_equal_pictures_in_different_objects_get_equal_scores(clip: ClipReward) -> None:
    first, second = clip.score([picture(1), picture(1)], ["a cat", "a cat"])
    assert first == pytest.approx(second, abs=1e-6)


def test_scaled_scores_are_the_cosine_times_the_learnt_scale(clip: ClipReward, tiny_clip: Path) -> None:
    scaled = load_clip(tiny_clip, scaled=True, device="cpu")
    scale = math.exp(load_file(tiny_clip / "model.safetensors")["logit_scale"].item())
    images = [picture(number) for number in range(3)]
    cosines = clip.score(images, TEXTS[:3])
    assert scaled.score(images, TEXTS[:3]) == pytest.approx([scale * cosine for cosine in cosines], rel=1e-5)
    assert all(abs(cosine) <= 1 + 1e-6 for cosine in cosines)


def test_nothing_is_asked_nothing_is_computed(clip: ClipReward) -> None:
    with Counted(inside(clip).model.vision_model) as seen:
        assert clip.score([], []) == []
    assert seen.rows == 0


def test_images_and_texts_must_come_in_pairs(clip: ClipReward) -> None:
    with pytest.raises(ValueError, match=r"^1 images and 2 texts: give one text per image\.$"):
        clip.score([picture(1)], ["a", "b"])


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16", "I;16B"]
)
@pytest.mark.parametrize("size", [(16, 16), (3, 200)])
def test_images_of_any_mode_and_size_are_scored_as_their_rgb_picture(
    clip: ClipReward, mode: str, size: tuple[int, int]
) -> None:
    grey = picture(3, size).convert("L")
    if mode.startswith("I;16"):
        deep = (np.asarray(grey).astype("<u2" if mode == "I;16" else ">u2") * 257).tobytes()
        image, shown = Image.frombytes(mode, size, deep), grey
    else:
        image = shown = grey.convert(mode)
    assert clip.score([image], ["a cat"]) == pytest.approx(clip.score([shown.convert("RGB")], ["a cat"]), abs=1e-5)


def test_a_16_bit_grey_is_not_cut_off_at_255(clip: ClipReward) -> None:
    dark, light = (Image.fromarray(np.full((16, 16), level, dtype=np.uint16)) for level in (10_000, 50_000))
    first, second = clip.score([dark, light], ["a cat", "a cat"])
    assert first != second


def test_the_text_keeps_its_end_token_when_it_is_cut(clip: ClipReward) -> None:
    texts = inside(clip).texts
    row = texts.ids([TEXTS[1]])[0].tolist()
    assert (len(row), row[-1]) == (16, texts.eot)
    assert texts.count(TEXTS[1]) > 16


class TestBrokenFolders:
    """What is wrong with the folder is one line that names it."""

    @pytest.fixture
    def folder(self, tiny_clip: Path, tmp_path: Path) -> Path:
        """A copy to break."""
        return Path(shutil.copytree(tiny_clip, tmp_path / "clip"))

    def refused(self, folder: Path) -> str:
        """The message."""
        with pytest.raises(InfrastructureError) as raised:
            load_clip(folder, scaled=False, device="cpu")
        assert str(folder) in str(raised.value)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    @pytest.mark.parametrize("length", [0, 100, -10])
    def test_truncated_weights(self, folder: Path, length: int) -> None:
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:length])
        assert "cannot be loaded" in self.refused(folder)

    @pytest.mark.parametrize("lost", ["model.safetensors", "config.json", "tokenizer.json", "preprocessor_config.json"])
    def test_a_lost_file(self, folder: Path, lost: str) -> None:
        (folder / lost).unlink()
        self.refused(folder)

    def test_lost_weights_are_not_made_up(self, folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        del weights["visual_projection.weight"], weights["logit_scale"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        assert self.refused(folder).endswith("its weights lack logit_scale and 1 more.")

    @pytest.mark.parametrize(
        "recipe",
        [
            "{",
            "[]",
            "{}",
            '{"size": 16, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}',
            '{"size": {"height": 16}, "image_mean": [0], "image_std": [1, 1, 1]}',
            '{"size": {"height": 16}, "image_mean": [0, 0, 0], "image_std": [1]}',
            '{"size": {"height": "many"}, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}',
        ],
    )
    def test_a_recipe_that_says_too_little(self, folder: Path, recipe: str) -> None:
        (folder / "preprocessor_config.json").write_text(recipe)
        assert "does not say size, image_mean and image_std" in self.refused(folder)

    def test_a_device_that_is_not_there(self, folder: Path) -> None:
        absent = "mps" if not torch.backends.mps.is_available() else "cuda"
        with pytest.raises(InfrastructureError, match="pass --audit-device=cpu"):
            load_clip(folder, scaled=False, device=absent)


def test_a_recipe_may_name_the_shortest_edge(tiny_clip: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_clip, tmp_path / "clip"))
    recipe = '{"size": {"shortest_edge": 16}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
    (folder / "preprocessor_config.json").write_text(recipe)
    assert SquareRecipe.read(folder) == SquareRecipe.read(tiny_clip)


def test_an_unknown_reward_lists_what_exists_and_guesses() -> None:
    with pytest.raises(UnknownName) as raised:
        resolve_reward("control/clipp", device="cpu")
    assert str(raised.value).startswith("unknown reward 'control/clipp'. Did you mean 'control/clip'? Known: ")
    assert all(name in str(raised.value) for name in REWARDS)


def test_a_named_reward_is_pinned_and_another_scale_is_another_scorer(
    tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.REWARDS, "tiny", ClipEntry(Source(tiny_clip), scaled=False))
    monkeypatch.setitem(registry.REWARDS, "tiny-scaled", ClipEntry(Source(tiny_clip), scaled=True))
    plain, scaled = resolve_reward("tiny", device="cpu"), resolve_reward("tiny-scaled", device="cpu")
    assert plain.revision == scaled.revision == plain.identity["weights"]["revision"]
    assert plain.identity != scaled.identity
    assert resolve_reward("tiny", device="cuda").identity == plain.identity, "the device is no identity"
    assert plain.load().score([picture(1)], ["a"]) != scaled.load().score([picture(1)], ["a"])
