"""Drawn control scenes as rated images: the renderer knows the class of every dimension."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from judges.tiny_qwen3_vl import save_tiny_qwen3_vl
from PIL import Image
from transformers import Qwen3VLForConditionalGeneration

from aes_audit.controls.scene import sample_scene
from aes_audit.controls.world import render

__all__ = ["GUIDELINE", "SEEN", "save_learner", "write_scenes"]

SEEN = ("color brightness", "lighting distinction", "richness")
"""Dimensions that change the whole surface of a picture, so that a small model can see them."""

GUIDELINE = """
["color brightness"]
levels = [[1, "Bright", "Light."], [0, "Normal", "Medium."], [-1, "Dark", "Dark."]]
["lighting distinction"]
levels = [[1, "Strong", "Shadows."], [0, "Normal", "Some."], [-1, "Flat", "None."]]
[richness]
levels = [[1, "Rich", "Full."], [0, "Normal", "Some."], [-1, "Empty", "Blank."]]
"""
"""Short questions: most of the time goes into reading them."""


def write_scenes(folder: Path, count: int, *, seed: int = 0, dimensions: tuple[str, ...] = SEEN) -> Path:
    """A folder of pictures, `ratings.jsonl` with a level from -1 to 1 per dimension, and the short guideline."""
    folder.mkdir(parents=True)
    (folder / "guideline.toml").write_text(GUIDELINE)
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        scene = sample_scene(rng, [name for name in dimensions if rng.random() < 1 / 3])
        Image.fromarray(render(scene)).save(folder / f"{number:04d}.png")
        rows.append({"image": f"{number:04d}.png", **{name: scene.level(name) - 1 for name in dimensions}})
    (folder / "ratings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "ratings.jsonl"


def save_learner(folder: Path, *, width: int = 64) -> Path:
    """A tiny Qwen3-VL whose last layer is loud enough to say three tokens and none of the 900 others.

    Logits of a model of random weights are bounded by its last layer, which adapters leave as it is.
    """
    save_tiny_qwen3_vl(
        folder, width=width, layers=2, inner=3 * width, vision=(2, width, 2 * width, 2), deep=(0, 1), spread=0.1
    )
    model = Qwen3VLForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight *= 4
    model.save_pretrained(folder)
    return folder
