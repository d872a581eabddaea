"""PickScore against its official code, on a tiny checkpoint in the official file format."""

from __future__ import annotations

import pytest
from transformers.activations import QuickGELUActivation

from aes_audit.rewards.clip_family import load_pickscore
from aes_audit.rewards.clip_texts import ClipTexts
from aes_audit.rewards.image_recipes import openai_224
from parity.clip import BATCHING, Bench, shuffled_one_by_one, with_activation
from parity.recipe import TOLERANCE


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.build("pickscore", tmp_path_factory.mktemp("pickscore"))


def test_tokens_are_the_official_ones(bench: Bench) -> None:
    assert bench.token_faults(bench.loaded(load_pickscore)) == []


def test_pixels_are_the_official_ones(bench: Bench) -> None:
    assert bench.pixel_faults(bench.loaded(load_pickscore)) == []


@pytest.mark.parametrize("spec", ["pickscore", "pickscore[dtype=official]"])
def test_scores_are_the_official_ones(bench: Bench, spec: str) -> None:
    assert bench.gap(bench.resolved(spec)) <= TOLERANCE


def test_scores_depend_neither_on_order_nor_on_batch(bench: Bench) -> None:
    # Scores are a hundred times a cosine here; the tolerance is that of the cosine.
    assert shuffled_one_by_one(bench, load_pickscore) <= 10 * BATCHING


def test_the_pack_notices_the_wrong_activation(bench: Bench) -> None:
    changed = with_activation(bench, load_pickscore, QuickGELUActivation())
    assert bench.gap(bench.scores(changed)) > TOLERANCE


def test_the_pack_notices_text_that_was_cleaned(bench: Bench) -> None:
    architecture = bench.loaded(load_pickscore)
    architecture.texts = ClipTexts.from_folder(bench.files.folder, cleaned=True)
    assert bench.gap(bench.scores(architecture)) > TOLERANCE


def test_the_pack_notices_resizing_before_rgb(bench: Bench) -> None:
    architecture = bench.loaded(load_pickscore)
    architecture.pixels = openai_224
    assert bench.gap(bench.scores(architecture)) > TOLERANCE


def test_the_pack_notices_a_cosine_that_was_not_scaled(bench: Bench) -> None:
    architecture = bench.loaded(load_pickscore)
    architecture.scaled = False
    assert bench.gap(bench.scores(architecture)) > TOLERANCE
