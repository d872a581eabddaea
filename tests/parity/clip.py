"""The CLIP-type packs, rebuilt and scored: what the tests of HPS v1, HPSv2, CLIP-L and PickScore share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from torch import nn

from aes_audit.rewards import cpu_kernels
from aes_audit.rewards.clip_family import ClipArchitecture
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.pair_scorer import PairScorer
from aes_audit.rewards.registry import resolve_reward
from parity.recipe import Pack, largest_gap, pairs, read_pack, write_checkpoint, write_images

BATCHING = 1e-5
PIXELS = 1e-6
DEFAULTS = {"dtype": "float32", "antialias": "true", "recipe": "openai", "output": "cosine"}

Key = tuple[str, str]
Loader = Callable[[RewardFiles, Mapping[str, str], str], ClipArchitecture]


@dataclass(frozen=True)
class Bench:
    """One pack on disk."""

    pack: Pack
    files: RewardFiles
    images: Mapping[str, Path]

    @classmethod
    def build(cls, name: str, folder: Path) -> Bench:
        """Write checkpoint, tokenizer and pictures."""
        pack = read_pack(name)
        checkpoint = write_checkpoint(pack, folder)
        own = folder if (folder / "vocab.json").is_file() else folder / "tokenizer"
        return cls(pack, RewardFiles(checkpoint, folder, {"tokenizer": own}), write_images(pack, folder / "images"))

    @property
    def keys(self) -> list[Key]:
        """Every pair that the official code scores."""
        return list(pairs(self.pack))

    def resolved(self, spec: str, keys: Sequence[Key] | None = None) -> dict[str, float]:
        """Scores from files through a SPEC without its path, as a user gets them."""
        loaded = resolve_reward(f"{spec}={self.files.folder}", device="cpu").load()
        return self.asked(loaded.score, self.keys if keys is None else keys)

    def scores(self, architecture: ClipArchitecture, keys: Sequence[Key] | None = None) -> dict[str, float]:
        """Scores of an architecture that a test may have changed."""
        return self.asked(PairScorer(architecture).score, self.keys if keys is None else keys)

    def gap(self, ours: Mapping[str, float], field: str = "scores") -> float:
        """Largest difference from the official code."""
        return largest_gap(self.pack, field, ours)[0]

    def loaded(self, load: Loader, **options: str) -> ClipArchitecture:
        """The architecture, to be changed or asked."""
        return load(self.files, DEFAULTS | options, "cpu")

    def token_faults(self, architecture: ClipArchitecture) -> list[str]:
        """Prompts whose ids differ from the official ones up to and including the first end token."""
        texts = architecture.texts
        ids = texts.ids(list(self.pack["prompts"].values())).tolist()
        return [
            name for name, row in zip(self.pack["prompts"], ids, strict=True) if not self._same(name, row, texts.eot)
        ]

    def pixel_faults(self, architecture: ClipArchitecture) -> list[str]:
        """Pictures whose pixels differ from the official ones in shape, mean, deviation or nine places."""
        faults = []
        for name, official in self.pack["pixels"].items():
            pixels = architecture.pixels(Image.open(self.images[name]))
            seen = [*pixels.flatten()[official["at"]].tolist(), pixels.double().mean().item()]
            wanted = [*official["values"], official["mean"]]
            near = all(abs(one - other) <= PIXELS for one, other in zip(seen, wanted, strict=True))
            if list(pixels.shape) != official["shape"] or not near:
                faults.append(name)
        return faults

    def _same(self, name: str, row: list[int], eot: int) -> bool:
        official = self.pack["tokens"][name]
        end = official.index(eot) + 1
        return bool(row[:end] == official[:end])

    def asked(self, score: Callable[..., list[float]], keys: Sequence[Key]) -> dict[str, float]:
        """What `score` says about the pairs, by "image|prompt", from the image files."""
        opened = {name: Image.open(self.images[name]) for name in dict.fromkeys(image for image, _ in keys)}
        values = score([opened[image] for image, _ in keys], [self.pack["prompts"][prompt] for _, prompt in keys])
        return {f"{image}|{prompt}": value for (image, prompt), value in zip(keys, values, strict=True)}


def with_activation(bench: Bench, load: Loader, activation: nn.Module) -> ClipArchitecture:
    """The same weights with another activation: what a wrong configuration gives."""
    with pytest.MonkeyPatch.context() as patch:
        # The faster kernels take the activation over when they are made.
        patch.setattr(cpu_kernels, "available", lambda: False)
        architecture = bench.loaded(load)
    for tower in (architecture.model.text_model, architecture.model.vision_model):
        for layer in tower.encoder.layers:
            layer.mlp.activation_fn = activation
    return architecture


def shuffled_one_by_one(bench: Bench, load: Loader) -> float:
    """Largest difference between one call in the pack's order and calls of one pair in another order."""
    keys = bench.keys[::5]
    together = bench.scores(bench.loaded(load), keys)
    small = bench.loaded(load)
    small.image_batch = small.pair_batch = 3
    again = bench.scores(small, keys[::-1])
    alone = [bench.scores(small, [key]) for key in keys]
    return max(
        max(abs(together[name] - again[name]), abs(together[name] - single[name]))
        for single in alone
        for name in single
    )
