"""What the parity tests of the two BLIP rewards share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from aes_audit.rewards.bert_texts import LENGTH, BertTexts
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.pair_scorer import PairScorer
from aes_audit.rewards.protocol import Architecture
from parity.recipe import Pack, pairs, write_checkpoint

__all__ = ["agrees", "padded", "scores", "with_setting", "written"]


def written(pack: Pack, folder: Path) -> RewardFiles:
    """The pack's checkpoint as files of a reward."""
    return RewardFiles(write_checkpoint(pack, folder), folder, {"tokenizer": folder / "bert-base-uncased"})


def with_setting(files: RewardFiles, folder: Path, **changes: Any) -> RewardFiles:
    """The same reward with another med_config.json."""
    settings = json.loads((files.folder / "med_config.json").read_text())
    (folder / "med_config.json").write_text(json.dumps({**settings, **changes}))
    return RewardFiles(files.checkpoint, folder, files.companions)


def scores(
    reward: Architecture[Any, Any],
    pack: Pack,
    files: Mapping[str, Path],
    keys: Sequence[tuple[str, str]] | None = None,
) -> dict[str, float]:
    """Scores by "image|prompt", end to end from image files."""
    wanted = list(pairs(pack)) if keys is None else keys
    opened = {name: Image.open(files[name]) for name in dict.fromkeys(name for name, _ in wanted)}
    values = PairScorer(reward).score([opened[name] for name, _ in wanted], [pack["prompts"][key] for _, key in wanted])
    return {f"{image}|{prompt}": value for (image, prompt), value in zip(wanted, values, strict=True)}


def padded(texts: BertTexts, prompts: Iterable[str]) -> list[list[int]]:
    """Token ids as the official code pads them."""
    return [ids.tolist() + [0] * (LENGTH - len(ids)) for ids in texts.ids(list(prompts))]


def agrees(pixels: torch.Tensor, official: Mapping[str, Any]) -> bool:
    """Whether pixels are the official ones: shape, mean, spread and nine values."""
    exact = pixels.double()
    found = [*exact.flatten()[official["at"]].tolist(), exact.mean().item(), exact.std(correction=0).item()]
    wanted = [*official["values"], official["mean"], official["std"]]
    gap = max(abs(one - other) for one, other in zip(found, wanted, strict=True))
    return bool(list(pixels.shape) == official["shape"] and gap <= 1e-6)
