"""HPS v1 against its official code, on a tiny checkpoint in the official file format."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from torch import nn

from aes_audit.rewards.clip_family import load_hpsv1
from aes_audit.rewards.clip_texts import ClipTexts
from aes_audit.rewards.image_recipes import hf_clip_224
from parity.clip import BATCHING, Bench, shuffled_one_by_one, with_activation
from parity.recipe import TOLERANCE


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.build("hpsv1", tmp_path_factory.mktemp("hpsv1"))


def test_tokens_are_the_official_ones(bench: Bench) -> None:
    assert bench.token_faults(bench.loaded(load_hpsv1)) == []


def test_pixels_are_the_official_ones(bench: Bench) -> None:
    assert bench.pixel_faults(bench.loaded(load_hpsv1)) == []


def test_scores_are_the_official_ones(bench: Bench) -> None:
    assert bench.gap(bench.resolved("hpsv1")) <= TOLERANCE


def test_scores_depend_neither_on_order_nor_on_batch(bench: Bench) -> None:
    assert shuffled_one_by_one(bench, load_hpsv1) <= BATCHING


def test_a_copy_with_a_training_state_beside_the_tensors_scores_the_same(bench: Bench, tmp_path: Path) -> None:
    copy = Bench.build("hpsv1", tmp_path)
    tensors = torch.load(copy.files.checkpoint, weights_only=True)["state_dict"]
    state = {"state_dict": tensors, "args": argparse.Namespace(lr=1e-5), "epoch": 3}
    torch.save(state, copy.files.checkpoint)
    keys = bench.keys[:3]
    assert copy.resolved("hpsv1", keys) == bench.resolved("hpsv1", keys)


def test_the_official_dtype_differs_by_low_precision_noise_only(bench: Bench) -> None:
    assert 0 < bench.gap(bench.resolved("hpsv1[dtype=official]")) < 2e-3


def test_the_pack_notices_the_wrong_activation(bench: Bench) -> None:
    assert bench.gap(bench.scores(with_activation(bench, load_hpsv1, nn.GELU()))) > TOLERANCE


def test_the_pack_notices_text_that_was_not_cleaned(bench: Bench) -> None:
    architecture = bench.loaded(load_hpsv1)
    architecture.texts = ClipTexts.from_folder(bench.files.companions["tokenizer"], cleaned=False)
    assert bench.gap(bench.scores(architecture)) > TOLERANCE


def test_the_pack_notices_rgb_before_resizing(bench: Bench) -> None:
    architecture = bench.loaded(load_hpsv1)
    architecture.pixels = hf_clip_224
    assert bench.gap(bench.scores(architecture)) > TOLERANCE
