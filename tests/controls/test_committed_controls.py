"""The committed control models: small, safetensors only, loadable by their libraries, able to tell apart."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aes_audit.controls.prompts import control_pairs
from aes_audit.controls.world import render
from aes_audit.prompts.dimensions import DIMENSIONS, LEVELS

CONTROLS = Path(__file__).resolve().parents[2] / "fixtures" / "controls"
PAIRS = control_pairs()[:40]


@cache
def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    """I_o and I_a of held-out pairs as the renderer draws them, (n, 3, 64, 64) in [-1, 1]."""
    originals = np.stack([render(pair.conventional()) for pair in PAIRS])
    wides = np.stack([render(pair.scene) for pair in PAIRS])
    one, other = (torch.from_numpy(part).permute(0, 3, 1, 2).float() / 127.5 - 1 for part in (originals, wides))
    return one, other


@torch.no_grad()
def cosines(name: str, images: torch.Tensor, texts: list[str]) -> torch.Tensor:
    """Cosine of each image with its text under a control CLIP."""
    from transformers import AutoTokenizer, CLIPModel

    clip: Any = CLIPModel.from_pretrained(CONTROLS / name, dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(CONTROLS / name)
    tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    output = clip(pixel_values=images, **tokens)
    cosine: torch.Tensor = (output.image_embeds * output.text_embeds).sum(-1)
    return cosine


def test_all_weights_are_safetensors_and_fit_the_repository() -> None:
    files = [path for path in CONTROLS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25_000_000
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".md", ".png", ".txt"}
    assert all(path.stat().st_size < 400_000 for path in files if path.suffix == ".png")


def test_clip_tells_which_picture_follows_a_held_out_prompt() -> None:
    originals, wides = drawn()
    texts = [pair.wide for pair in PAIRS]
    assert (cosines("clip", wides, texts) > cosines("clip", originals, texts)).float().mean() > 0.95


def test_clip_tells_the_right_subject_from_a_wrong_one() -> None:
    originals, _ = drawn()
    right = [pair.original for pair in PAIRS]
    wrong = right[1:] + right[:1]
    assert (cosines("clip", originals, right) > cosines("clip", originals, wrong)).float().mean() > 0.95


def test_preference_likes_the_conventional_picture_under_either_prompt() -> None:
    originals, wides = drawn()
    for texts in ([pair.original for pair in PAIRS], [pair.wide for pair in PAIRS]):
        assert (cosines("preference", originals, texts) > cosines("preference", wides, texts)).float().mean() > 0.8


@torch.no_grad()
def test_the_judge_reads_the_levels_of_held_out_scenes() -> None:
    from transformers import AutoModelForImageClassification

    judge: Any = AutoModelForImageClassification.from_pretrained(CONTROLS / "judge", dtype=torch.float32)
    names = [f"{dimension}={level}" for dimension in DIMENSIONS for level in LEVELS]
    assert [judge.config.id2label[index] for index in range(len(names))] == names
    shares = judge(pixel_values=drawn()[1]).logits.unflatten(-1, (len(DIMENSIONS), len(LEVELS)))
    levels = torch.tensor([pair.scene.levels for pair in PAIRS])
    assert (shares.argmax(-1) == levels).float().mean() > 0.8
    assert ((shares.argmax(-1) == 0) == (levels == 0)).float().mean() > 0.93


@pytest.mark.parametrize("adapter", [None, "beautified", "instructed"])
def test_the_pipeline_loads_without_t5_and_draws_with_the_recommended_settings(adapter: str | None) -> None:
    from diffusers import StableDiffusion3Pipeline

    pipeline = StableDiffusion3Pipeline.from_pretrained(
        CONTROLS / "faithful", text_encoder_3=None, tokenizer_3=None, dtype=torch.float32
    )
    if adapter:
        pipeline.load_lora_weights(CONTROLS / adapter)
    pipeline.set_progress_bar_config(disable=True)
    settings = json.loads((CONTROLS / "settings.json").read_text())
    seed = torch.Generator("cpu").manual_seed(0)
    (image,) = pipeline("a red house in a meadow", generator=seed, output_type="np", **settings).images
    assert image.shape == (64, 64, 3)
    assert image.std() > 0.05
