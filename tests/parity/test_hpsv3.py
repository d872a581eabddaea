"""HPSv3 against its official code, on a tiny checkpoint in the official file format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from aes_audit.rewards import hpsv3, qwen_image
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.hpsv3 import HpsV3, load_hpsv3
from aes_audit.rewards.hpsv3_checkpoint import read_weights
from aes_audit.rewards.pair_scorer import PairScorer
from aes_audit.rewards.qwen_image import MERGE, qwen_256
from parity.recipe import TOLERANCE, Pack, largest_gap, pairs, read_pack, write_checkpoint, write_images

BATCHING = 1e-5
FEW_IMAGES = ("wide", "tiny", "rgba", "pal")
FEW_PROMPTS = ("short", "long", "empty")
FEW = [(image, prompt) for image in FEW_IMAGES for prompt in FEW_PROMPTS]


@pytest.fixture(scope="module")
def pack() -> Pack:
    return read_pack("hpsv3")


@pytest.fixture(scope="module")
def files(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> RewardFiles:
    folder = tmp_path_factory.mktemp("hpsv3")
    return RewardFiles(write_checkpoint(pack, folder), folder, {"base": folder / "base"})


@pytest.fixture(scope="module")
def reward(files: RewardFiles) -> HpsV3:
    return load_hpsv3(files, {"dtype": "official"}, "cpu")


@pytest.fixture(scope="module")
def images(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Image.Image]:
    return {name: Image.open(file) for name, file in write_images(pack, tmp_path_factory.mktemp("images")).items()}


def _scores(
    reward: HpsV3, pack: Pack, images: Mapping[str, Image.Image], keys: Sequence[tuple[str, str]]
) -> dict[str, float]:
    values = PairScorer(reward).score([images[key] for key, _ in keys], [pack["prompts"][key] for _, key in keys])
    return {f"{image}|{prompt}": value for (image, prompt), value in zip(keys, values, strict=True)}


def _largest(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    assert one.keys() == other.keys()
    return max(abs(one[key] - other[key]) for key in one)


def _official(pack: Pack, keys: Sequence[tuple[str, str]] = FEW) -> dict[str, float]:
    return {f"{image}|{prompt}": pack["mu"][f"{image}|{prompt}"] for image, prompt in keys}


def test_tokens_are_the_official_ones(pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image]) -> None:
    size = qwen_256(images[pack["tokens_image"]]).tokens
    for name, official in pack["tokens"].items():
        assert reward.conversation.tokens(pack["prompts"][name], size) == official, name


def test_patches_are_the_official_ones(pack: Pack, images: Mapping[str, Image.Image]) -> None:
    for name, official in pack["pixels"].items():
        patches = qwen_256(images[name])
        assert [1, patches.rows, patches.columns] == pack["image_grid_thw"][name]
        assert list(patches.values.shape) == official["shape"]
        samples = patches.values.flatten()[official["at"]]
        torch.testing.assert_close(samples, torch.tensor(official["values"]), rtol=0, atol=1e-6)
        assert patches.values.double().mean().item() == pytest.approx(official["mean"], abs=1e-6)


def test_both_outputs_are_the_official_ones(pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image]) -> None:
    keys = list(pairs(pack))
    found = PairScorer(reward).answers([images[key] for key, _ in keys], [pack["prompts"][key] for _, key in keys])
    named = {f"{image}|{prompt}": answer for (image, prompt), answer in zip(keys, found, strict=True)}
    for field, ours in (
        ("mu", {key: float(answer.value or 0) for key, answer in named.items()}),
        ("sigma", {key: answer.extra["sigma"] for key, answer in named.items()}),
    ):
        gap, where = largest_gap(pack, field, ours)
        assert gap <= TOLERANCE, (field, where)


def test_a_batch_of_mixed_images_scores_as_the_official_batch(
    pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image]
) -> None:
    keys = [key.split("|") for key in pack["batch_mu"]]
    with torch.inference_mode():
        states = reward.encode_images([images[image] for image, _ in keys])
        rows = reward.combine(states, reward.encode_texts([pack["prompts"][prompt] for _, prompt in keys]))
    gap, where = largest_gap(pack, "batch_mu", dict(zip(pack["batch_mu"], (row[0] for row in rows), strict=True)))
    assert gap <= TOLERANCE, where


@pytest.mark.parametrize(("image_batch", "pair_batch"), [(1, 1), (3, 2), (14, 50)])
def test_a_score_depends_neither_on_batch_size_nor_on_order(
    pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image], image_batch: int, pair_batch: int
) -> None:
    other = replace(reward, image_batch=image_batch, pair_batch=pair_batch)
    usual, turned = _scores(reward, pack, images, FEW), _scores(other, pack, images, FEW[::-1])
    assert _largest(usual, turned) <= BATCHING


def test_sharing_what_precedes_the_prompt_changes_no_score(
    pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image]
) -> None:
    whole = {f"{i}|{p}": _in_one_piece(reward, images[i], pack["prompts"][p], sequential=True)[0] for i, p in FEW}
    assert _largest(_scores(reward, pack, images, FEW), whole) <= BATCHING


def test_a_bfloat16_body_stays_within_its_declared_tolerance(
    pack: Pack, files: RewardFiles, reward: HpsV3, images: Mapping[str, Image.Image]
) -> None:
    weights = read_weights(files.checkpoint, files.companions["base"], torch.bfloat16, "cpu")
    low = replace(reward, body=weights.body, head=weights.head)
    assert {tensor.dtype for tensor in weights.head.parameters()} == {torch.float32}
    # The pack's scores spread over 0.39.
    assert _largest(_scores(low, pack, images, FEW), _official(pack)) <= 0.05


def _in_one_piece(reward: HpsV3, image: Image.Image, text: str, *, sequential: bool) -> list[float]:
    """mu, sigma from the stock forward over the whole conversation; its own positions unless `sequential`."""
    patches = qwen_256(image)
    ids = torch.tensor([reward.conversation.tokens(text, patches.tokens)])
    with torch.inference_mode():
        states = reward.body(
            input_ids=ids,
            pixel_values=patches.values,
            image_grid_thw=torch.tensor([[1, patches.rows, patches.columns]]),
            mm_token_type_ids=(ids == reward.conversation.image_id).int(),
            position_ids=torch.arange(ids.shape[1]).expand(3, 1, -1) if sequential else None,
        ).last_hidden_state
        rated: list[float] = reward.head(states[ids == reward.conversation.reward_id])[0].tolist()
    return rated


def test_true_image_positions_would_fail(pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image]) -> None:
    grid = {f"{i}|{p}": _in_one_piece(reward, images[i], pack["prompts"][p], sequential=False)[0] for i, p in FEW}
    assert _largest(_official(pack), grid) > 100 * TOLERANCE


def test_positions_that_start_again_after_the_shared_part_would_fail(
    pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hpsv3, "_positions", lambda rows, _, length: torch.arange(length).expand(3, rows, -1))
    assert _largest(_official(pack), _scores(reward, pack, images, FEW)) > 10 * TOLERANCE


def test_rating_another_state_than_the_reward_tokens_would_fail(
    pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_earlier(self: HpsV3, *arguments: Any) -> Tensor:
        return original(self, *arguments).roll(1, dims=1)

    original = HpsV3._read
    monkeypatch.setattr(HpsV3, "_read", one_earlier)
    assert _largest(_official(pack), _scores(reward, pack, images, FEW)) > 10 * TOLERANCE


def test_texts_that_are_padded_score_as_they_do_alone(
    pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image]
) -> None:
    texts = ["a cat", "a cat and a dog", "a cat, a dog and a bird"]
    with torch.inference_mode():
        (image,) = reward.encode_images([images["tiny"]])
        states = reward.encode_texts(texts)
        together = reward._read_tails([image] * 3, [state.ids for state in states])
        alone = [reward.combine([image], [state])[0] for state in states]
    assert len({len(state.ids) for state in states}) == 3
    torch.testing.assert_close(together, torch.tensor(alone), rtol=0, atol=BATCHING)


def test_reading_the_padding_would_fail(
    pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hpsv3, "_rung", lambda text: 0)
    usual = _scores(reward, pack, images, FEW)
    assert _largest(_official(pack), usual) <= TOLERANCE
    original = HpsV3._read_tails

    def filled(self: HpsV3, read: Any, tails: Sequence[Sequence[int]]) -> Tensor:
        longest = max(map(len, tails))
        return original(self, read, [[*tail, *[self.conversation.pad_id] * (longest - len(tail))] for tail in tails])

    monkeypatch.setattr(HpsV3, "_read_tails", filled)
    assert _largest(usual, _scores(reward, pack, images, FEW)) > 10 * TOLERANCE


def _bilinear(image: Image.Image) -> Image.Image:
    return image.convert("RGB").resize(qwen_image.smart_size(*image.size), Image.Resampling.BILINEAR)


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba).convert("RGB")


def _own_size(image: Image.Image) -> Image.Image:
    return image.convert("RGB").resize((448, 448), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("mutation", [_bilinear, _on_white, _own_size])
def test_another_way_to_prepare_the_image_would_fail(
    pack: Pack,
    reward: HpsV3,
    images: Mapping[str, Image.Image],
    mutation: Callable[[Image.Image], Image.Image],
) -> None:
    changed = {name: mutation(images[name]) for name in FEW_IMAGES}
    assert _largest(_official(pack), _scores(reward, pack, changed, FEW)) > TOLERANCE


def test_patches_in_reading_order_would_fail(
    pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmerged(image: Image.Image) -> qwen_image.QwenPatches:
        patches = qwen_256(image)
        square = patches.values.reshape(patches.rows // MERGE, patches.columns // MERGE, MERGE, MERGE, -1)
        return patches._replace(values=square.transpose(1, 2).reshape(patches.values.shape))

    monkeypatch.setattr(hpsv3, "qwen_256", unmerged)
    assert _largest(_official(pack), _scores(reward, pack, images, FEW)) > TOLERANCE


@pytest.mark.parametrize("mutation", [str.lower, lambda text: " ".join(text.split())])
def test_another_way_to_prepare_the_prompt_would_fail(
    pack: Pack, reward: HpsV3, images: Mapping[str, Image.Image], mutation: Callable[[str], str]
) -> None:
    changed = {**pack, "prompts": {name: mutation(text) for name, text in pack["prompts"].items()}}
    keys = [("wide", "html"), ("wide", "unicode")]
    assert _largest(_official(pack, keys), _scores(reward, changed, images, keys)) > TOLERANCE


def test_the_official_dtype_on_a_cpu_is_float32(files: RewardFiles, reward: HpsV3) -> None:
    assert reward.body.dtype is load_hpsv3(files, {"dtype": "float32"}, "cpu").body.dtype is torch.float32
