"""HPSv2 against its official code, on a tiny checkpoint in the official file format."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from transformers.activations import QuickGELUActivation

from aes_audit.rewards.clip_family import load_hpsv2
from aes_audit.rewards.clip_texts import ClipTexts
from aes_audit.rewards.image_recipes import CLIP_MEAN, CLIP_STD, letterbox_224, openai_224
from aes_audit.rewards.protocol import answers
from aes_audit.rewards.registry import resolve_reward
from parity.clip import BATCHING, Bench, shuffled_one_by_one, with_activation
from parity.recipe import TOLERANCE


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.build("hpsv2", tmp_path_factory.mktemp("hpsv2"))


def test_tokens_are_the_official_ones(bench: Bench) -> None:
    assert bench.token_faults(bench.loaded(load_hpsv2)) == []


def test_pixels_are_the_official_ones(bench: Bench) -> None:
    assert bench.pixel_faults(bench.loaded(load_hpsv2)) == []


@pytest.mark.parametrize(
    ("spec", "field"),
    [("hpsv2.1", "scores"), ("hpsv2.1[antialias=false]", "scores_no_antialias"), ("hpsv2.0", "scores")],
)
def test_scores_are_the_official_ones(bench: Bench, spec: str, field: str) -> None:
    assert bench.gap(bench.resolved(spec), field) <= TOLERANCE


def test_scores_depend_neither_on_order_nor_on_batch(bench: Bench) -> None:
    assert shuffled_one_by_one(bench, load_hpsv2) <= BATCHING


def test_where_the_official_code_raises_there_is_a_score_with_a_note(bench: Bench) -> None:
    raising = {key.partition("|")[0] for key in bench.pack["errors"]}
    assert raising == {"rgba", "max224"}
    reward = resolve_reward(f"hpsv2.1={bench.files.folder}", device="cpu").load()
    images = [Image.open(file) for file in bench.images.values()]
    found = answers(reward, images, ["a cat"] * len(images))
    assert all(answer.value is not None for answer in found)
    noted = {name for name, answer in zip(bench.images, found, strict=True) if "recipe_note" in answer.extra}
    assert noted == raising


def test_what_is_noted_is_scored_as_evidently_meant(bench: Bench) -> None:
    reward = resolve_reward(f"hpsv2.1={bench.files.folder}", device="cpu").load()
    rgba = Image.open(bench.images["rgba"])
    wide = Image.open(bench.images["max224"])
    framed = Image.new("RGB", (224, 224))
    framed.paste(wide, (0, (224 - wide.height) // 2))
    first, second, third, fourth = reward.score([rgba, rgba.convert("RGB"), wide, framed], ["a cat"] * 4)
    assert first == pytest.approx(second, abs=1e-7)
    assert third == pytest.approx(fourth, abs=1e-7)


def test_the_official_dtype_differs_by_low_precision_noise_only(bench: Bench) -> None:
    assert 0 < bench.gap(bench.resolved("hpsv2.1[dtype=official]")) < 2e-3


def test_the_pack_notices_the_wrong_activation(bench: Bench) -> None:
    assert bench.gap(bench.scores(with_activation(bench, load_hpsv2, QuickGELUActivation()))) > TOLERANCE


def test_the_pack_notices_text_that_was_not_cleaned(bench: Bench) -> None:
    architecture = bench.loaded(load_hpsv2)
    architecture.texts = ClipTexts.from_folder(bench.files.companions["tokenizer"], cleaned=False)
    assert bench.gap(bench.scores(architecture)) > TOLERANCE


def test_the_pack_notices_a_crop_instead_of_the_letterbox(bench: Bench) -> None:
    architecture = bench.loaded(load_hpsv2)
    architecture.pixels = openai_224
    assert bench.gap(bench.scores(architecture)) > TOLERANCE


def test_the_pack_notices_the_other_antialiasing(bench: Bench) -> None:
    assert bench.gap(bench.resolved("hpsv2.1[antialias=false]"), "scores") > TOLERANCE


def test_the_pack_notices_overshoot_that_was_clamped(bench: Bench) -> None:
    lowest, highest = ((torch.tensor(edge) - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD) for edge in (0.0, 1.0))
    architecture = bench.loaded(load_hpsv2)
    architecture.pixels = lambda image: letterbox_224(image).clamp(lowest[:, None, None], highest[:, None, None])
    assert bench.gap(bench.scores(architecture)) > TOLERANCE
