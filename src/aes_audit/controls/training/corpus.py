"""Stage `corpus`: drawn scenes with tokenized captions, cached as arrays on disk.

Scenes come in groups of four that share subject, colour, place and positions and differ in their levels:
neighbours are hard negatives for the models that compare images with texts."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.format import open_memmap
from tqdm import tqdm

from aes_audit.controls.captions import expression_caption, plain_caption, wide_caption
from aes_audit.controls.prompts import held_out
from aes_audit.controls.scene import COLOURS, KINDS, PLACES, Scene, sample_levels, sample_scene
from aes_audit.controls.training.tokenizer import LENGTH, load_tokenizer
from aes_audit.controls.training.workshop import Workshop, write_atomically
from aes_audit.controls.world import SIDE, render
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = [
    "GROUP",
    "HELD_SCENES",
    "Corpus",
    "corpus_captions",
    "corpus_scenes",
    "draw_corpus",
    "load_corpus",
    "scene_group",
]

GROUP = 4
"""Scenes per group."""

WORDINGS = 4
"""Captions per scene: the first is plain, the others ask for the scene's low ends."""

HELD_SCENES = 4096
"""The last scenes are never trained on (fewer in a small trial: an eighth)."""

_CHUNK = 512
_FULL = 260_000


@dataclass(frozen=True)
class Corpus:
    """The cached scenes on the training device."""

    images: torch.Tensor
    """(n, 3, 64, 64) uint8."""
    texts: torch.Tensor
    """(n, WORDINGS, LENGTH) int16 token ids."""
    levels: torch.Tensor
    """(n, 11) int64."""
    content: torch.Tensor
    """(n, 3) int64: indices of subject, colour and place."""
    held: int
    """How many scenes at the end are for measuring only."""

    @property
    def training(self) -> int:
        """How many scenes may be trained on."""
        return len(self.images) - self.held


def scene_group(rng: np.random.Generator) -> list[Scene]:
    """Four scenes of one content with 0 to 4 low ends each, none of them asked for by a prompt pair."""
    first = sample_scene(rng)
    scenes: list[Scene] = []
    while len(scenes) < GROUP:
        low = tuple(str(name) for name in rng.choice(DIMENSIONS, int(rng.integers(5)), replace=False))
        scene = first.at(sample_levels(rng, low), rng)
        if (scene.kind, scene.colour, scene.place, scene.low) not in held_out():
            scenes.append(scene)
    # A neighbour with the same positions is a harder negative, one with others teaches that positions vary.
    return [
        scene if index % 2 == 0 else replace(scene, seed=int(rng.integers(2**31))) for index, scene in enumerate(scenes)
    ]


def _wordings(scene: Scene, rng: np.random.Generator) -> Iterator[str]:
    yield plain_caption(scene, rng)
    for index in range(1, WORDINGS):
        if scene.kind == "face" and index == 1:
            yield expression_caption(scene, rng)
        else:
            yield wide_caption(scene, rng)


def _scenes(rng: np.random.Generator) -> list[Scene]:
    return [scene for _ in range(_CHUNK // GROUP) for scene in scene_group(rng)]


def _captioned(chunk: int, seed: int) -> tuple[list[Scene], list[str]]:
    """The scenes of a chunk, and WORDINGS captions of each."""
    rng = np.random.default_rng((seed, 2, chunk))
    scenes = _scenes(rng)
    return scenes, [text for scene in scenes for text in _wordings(scene, rng)]


def corpus_scenes(seed: int) -> Iterator[Scene]:
    """Every scene of the corpus at full scale, without drawing it."""
    for chunk in range(_FULL // _CHUNK):
        yield from _scenes(np.random.default_rng((seed, 2, chunk)))


def corpus_captions(seed: int) -> Iterator[str]:
    """Every caption of the corpus at full scale, without drawing a picture."""
    for chunk in range(_FULL // _CHUNK):
        yield from _captioned(chunk, seed)[1]


def _draw_chunk(chunk: int, folder: Path, tokenizer: Path, seed: int) -> int:
    """Draw one chunk into the arrays; which chunk it is decides everything in it."""
    arrays = {name: open_memmap(folder / f"{name}.npy", mode="r+") for name in ("images", "texts", "levels", "content")}
    encode = load_tokenizer(tokenizer)
    scenes, words = _captioned(chunk, seed)
    tokens = encode(words, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="np")["input_ids"]
    span = slice(chunk * _CHUNK, (chunk + 1) * _CHUNK)
    arrays["images"][span] = np.stack([render(scene) for scene in scenes])
    arrays["texts"][span] = tokens.reshape(_CHUNK, WORDINGS, LENGTH)
    arrays["levels"][span] = [scene.levels for scene in scenes]
    arrays["content"][span] = [
        (KINDS.index(scene.kind), list(COLOURS).index(scene.colour), PLACES.index(scene.place)) for scene in scenes
    ]
    return chunk


def draw_corpus(shop: Workshop) -> bool:
    """Draw what is not drawn yet into <work>/corpus; finished chunks are listed in done.json."""
    folder = shop.work / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    chunks = shop.scaled(_FULL, _CHUNK) // _CHUNK
    done = _begun(folder, chunks, shop.seed)
    left = [chunk for chunk in range(chunks) if chunk not in done]
    draw = partial(_draw_chunk, folder=folder, tokenizer=shop.work / "tokenizer", seed=shop.seed)
    # Spawned, because forked children of a process that has started an accelerator hang.
    context = multiprocessing.get_context("spawn")
    bar = tqdm(total=chunks, initial=len(done), desc="corpus", mininterval=2.0)
    if shop.workers <= 1:
        finished: Any = map(draw, left)
        _collect(finished, folder, chunks, shop.seed, done, bar)
    else:
        with context.Pool(shop.workers) as pool:
            _collect(pool.imap_unordered(draw, left), folder, chunks, shop.seed, done, bar)
    return True


def _collect(finished: Any, folder: Path, chunks: int, seed: int, done: set[int], bar: Any) -> None:
    for chunk in finished:
        done.add(chunk)
        bar.update(1)
        if len(done) % 16 == 0 or len(done) == chunks:
            record = {"chunks": chunks, "seed": seed, "done": sorted(done)}
            write_atomically(folder / "done.json", json.dumps(record).encode())
    bar.close()


def _begun(folder: Path, chunks: int, seed: int) -> set[int]:
    """Chunks that exist already; starts new arrays where none of this size and seed do."""
    record = folder / "done.json"
    if record.exists():
        known = json.loads(record.read_text(encoding="utf-8"))
        if (known["chunks"], known["seed"]) == (chunks, seed):
            return set(known["done"])
    count = chunks * _CHUNK
    record.unlink(missing_ok=True)
    shapes: dict[str, tuple[tuple[int, ...], npt.DTypeLike]] = {
        "images": ((count, SIDE, SIDE, 3), np.uint8),
        "texts": ((count, WORDINGS, LENGTH), np.int16),
        "levels": ((count, len(DIMENSIONS)), np.int8),
        "content": ((count, 3), np.int8),
    }
    for name, (shape, dtype) in shapes.items():
        open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape).flush()
    return set()


def load_corpus(shop: Workshop) -> Corpus:
    """The whole cache on the training device (about 3.5 GB at full scale)."""
    folder = shop.work / "corpus"
    arrays = {name: np.load(folder / f"{name}.npy") for name in ("images", "texts", "levels", "content")}
    images = torch.from_numpy(arrays["images"]).to(shop.device).permute(0, 3, 1, 2).contiguous()
    return Corpus(
        images=images,
        texts=torch.from_numpy(arrays["texts"]).to(shop.device),
        levels=torch.from_numpy(arrays["levels"]).to(shop.device).long(),
        content=torch.from_numpy(arrays["content"]).to(shop.device).long(),
        held=min(HELD_SCENES, len(images) // 8 // GROUP * GROUP),
    )
