"""CLIP-L against OpenAI's code, on a tiny checkpoint in the official file format."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from aes_audit.rewards.clip_family import load_clip_l
from aes_audit.rewards.clip_texts import ClipTexts
from aes_audit.rewards.image_recipes import hf_clip_224
from parity.clip import BATCHING, Bench, shuffled_one_by_one, with_activation
from parity.recipe import TOLERANCE


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.build("clip", tmp_path_factory.mktemp("clip"))


def test_tokens_are_the_official_ones(bench: Bench) -> None:
    assert bench.token_faults(bench.loaded(load_clip_l)) == []


def test_pixels_are_the_official_ones(bench: Bench) -> None:
    assert bench.pixel_faults(bench.loaded(load_clip_l)) == []


@pytest.mark.parametrize(("spec", "field"), [("clip-l", "scores"), ("clip-l[output=logits]", "logits")])
def test_scores_are_the_official_ones(bench: Bench, spec: str, field: str) -> None:
    assert bench.gap(bench.resolved(spec), field) <= TOLERANCE


def test_scores_depend_neither_on_order_nor_on_batch(bench: Bench) -> None:
    assert shuffled_one_by_one(bench, load_clip_l) <= BATCHING


def test_the_other_recipe_is_that_of_transformers(bench: Bench) -> None:
    keys = [(image, prompt) for image in ("crop3", "tall", "gray") for prompt in bench.pack["prompts"]]
    ours = bench.resolved("clip-l[recipe=hf]", keys)
    model = CLIPModel.from_pretrained(bench.files.folder).eval()
    tokenizer = CLIPTokenizer.from_pretrained(bench.files.folder)
    processor = CLIPImageProcessorPil.from_pretrained(bench.files.folder)
    for image, prompt in keys:
        pixels = processor(Image.open(bench.images[image]).convert("RGB"), return_tensors="pt")
        tokens = tokenizer([bench.pack["prompts"][prompt]], padding="max_length", truncation=True, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**pixels, **tokens).logits_per_image / model.logit_scale.exp()
        assert ours[f"{image}|{prompt}"] == pytest.approx(logits.item(), abs=BATCHING)


def test_the_pack_notices_the_other_recipe(bench: Bench) -> None:
    assert bench.gap(bench.resolved("clip-l[recipe=hf]")) > TOLERANCE


def test_the_pack_notices_the_wrong_activation(bench: Bench) -> None:
    assert bench.gap(bench.scores(with_activation(bench, load_clip_l, nn.GELU()))) > TOLERANCE


def test_the_pack_notices_text_that_was_not_cleaned(bench: Bench) -> None:
    architecture = bench.loaded(load_clip_l)
    architecture.texts = ClipTexts.from_folder(bench.files.folder, cleaned=False)
    assert bench.gap(bench.scores(architecture)) > TOLERANCE


def test_the_pack_notices_a_crop_that_is_rounded_down(bench: Bench) -> None:
    architecture = bench.loaded(load_clip_l)
    architecture.pixels = hf_clip_224
    ours = bench.scores(architecture)
    rounded = [abs(ours[key] - bench.pack["scores"][key]) for key in ours if key.startswith("crop3|")]
    assert min(rounded) > TOLERANCE / 10
    assert max(rounded) > TOLERANCE


def test_the_pack_notices_a_lost_end_token(bench: Bench) -> None:
    class Cut(ClipTexts):
        def ids(self, texts: Sequence[str]) -> Tensor:
            rows = ClipTexts.ids(self, texts)
            cut = [row for row, text in enumerate(texts) if self.count(text) > self.length]
            rows[cut, -1] = 320
            return rows

    architecture = bench.loaded(load_clip_l)
    texts = architecture.texts
    architecture.texts = Cut(texts.words, texts.sot, texts.eot)
    assert bench.gap(bench.scores(architecture)) > TOLERANCE
