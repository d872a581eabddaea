"""Parity packs: what a reward's official code returned for a tiny seeded checkpoint, and that very checkpoint.

A pack names the tensors of the official file format with shape and seed, so that every machine rebuilds the same
files without a download, and holds the official token ids, pixels and scores. It holds no trained weights.

    pack = read_pack("hpsv2")
    checkpoint = write_checkpoint(pack, tmp_path / "hpsv2")
    images = write_images(pack, tmp_path / "images")
    gap, where = largest_gap(pack, "scores", ours)  # ours: score by "image|prompt"
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from PIL import Image
from safetensors.torch import save_file

from parity import pictures, vocabularies, weights
from parity.pictures import make_image

__all__ = [
    "MPS_MODULE",
    "PACKS",
    "TOLERANCE",
    "Pack",
    "largest_gap",
    "make_image",
    "make_images",
    "pairs",
    "read_pack",
    "write_checkpoint",
    "write_images",
]

Pack: TypeAlias = dict[str, Any]
"""The JSON of one pack: reward, seed, weights, files, images, prompts, tokens, pixels, scores, errors, ..."""

PACKS = ("hpsv1", "hpsv2", "hpsv3", "mps", "pickscore", "imagereward", "clip", "blip_itm")
"""The names of the packs in packs/."""

TOLERANCE = 1e-4
"""Largest absolute difference from an official score; fp32 on the CPU."""

MPS_MODULE = "MPS_overall_checkpoint.pth"
"""The name of the published MPS file, a pickled module."""

_WRAPPED = {"hpsv1": "state_dict", "hpsv2": "state_dict", "blip_itm": "model"}
_HUB_FOLDERS = ("clip", "pickscore")


def read_pack(name: str | Path) -> Pack:
    """The pack of that name, or of that file."""
    file = name if isinstance(name, Path) else Path(__file__).parent / "packs" / f"{name}.json"
    pack: Pack = json.loads(file.read_text(encoding="utf-8"))
    return pack


def pairs(pack: Pack) -> Iterator[tuple[str, str]]:
    """Names of image and prompt of every pair that the official code scores."""
    for image in pack["images"]:
        for prompt in pack["prompts"]:
            if f"{image}|{prompt}" not in pack["errors"]:
                yield image, prompt


def largest_gap(pack: Pack, field: str, ours: Mapping[str, float]) -> tuple[float, str]:
    """Largest absolute difference from `pack[field]`, and the `image|prompt` where it is.

    A pair that is missing in `ours`, or not a number there, counts as infinitely far.
    """
    gaps = {key: abs(ours.get(key, math.inf) - official) for key, official in pack[field].items()}
    counted = {key: math.inf if math.isnan(gap) else gap for key, gap in gaps.items()}
    worst = max(counted, key=lambda key: counted[key])
    return counted[worst], worst


def make_images(pack: Pack) -> dict[str, Image.Image]:
    """The pack's pictures by name, each checked by its fingerprint."""
    made = {name: make_image(name, **options) for name, options in pack["images"].items()}
    for name, image in made.items():
        if pictures.crc32(image) != pack["image_crc32"][name]:
            raise RuntimeError(f"picture {name!r} differs from the recorded one: the rebuilt input is at fault.")
    return made


def write_images(pack: Pack, folder: Path) -> dict[str, Path]:
    """Save the pictures losslessly (PNG, or TIFF for CMYK); gives the files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    for name, image in make_images(pack).items():
        files[name] = folder / (name + (".tif" if image.mode == "CMYK" else ".png"))
        if pack["images"][name].get("orientation"):
            image.save(files[name], exif=image.getexif())
        else:
            image.save(files[name])
    return files


def write_checkpoint(pack: Pack, folder: Path) -> Path:
    """Write the official file format of the pack's reward with what lies beside it; gives the checkpoint's file.

    hpsv1, hpsv2      {"state_dict": tensors} in OpenAI / open_clip names; tokenizer/
    clip, pickscore   a transformers folder: config.json, model.safetensors, tokenizer, preprocessor_config.json
    mps               mps_state_dict.pth and .safetensors, and the pickled module MPS_MODULE; tokenizer/
    imagereward       flat tensors, med_config.json; bert-base-uncased/
    blip_itm          {"model": tensors}, med_config.json; bert-base-uncased/
    hpsv3             HPSv3.safetensors; base/ with configuration and tokenizer, no weights

    Raises RuntimeError when the weights differ from the recorded ones.
    """
    reward = str(pack["reward"])
    tensors = weights.rebuild(pack["weights"], pack["seed"])
    if weights.crc32(tensors) != pack["weights_crc32"]:
        raise RuntimeError(f"{reward}: the weights differ from the recorded ones: the rebuilt input is at fault.")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pack["files"].items():
        vocabularies.write_json(folder / name, content)
    file = folder / str(pack["checkpoint"])
    if file.suffix == ".safetensors":
        save_file(tensors, file, metadata={"format": "pt"})
    else:
        torch.save({_WRAPPED[reward]: tensors} if reward in _WRAPPED else tensors, file)
    if reward == "mps":
        save_file(tensors, file.with_suffix(".safetensors"))
        weights.save_pickled_module(tensors, folder / MPS_MODULE)
    _write_tokenizer(reward, folder)
    return file


def _write_tokenizer(reward: str, folder: Path) -> None:
    if reward in ("imagereward", "blip_itm"):
        vocabularies.write_bert(folder / "bert-base-uncased")
    elif reward == "hpsv3":
        vocabularies.write_qwen(folder / "base")
    else:
        vocabularies.write_clip(folder if reward in _HUB_FOLDERS else folder / "tokenizer")
