"""MPS against its official code: tokens, pixels, masks and scores, and that each trap would be noticed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from PIL import Image

from aes_audit.rewards import cpu_kernels, mps
from aes_audit.rewards.clip_texts import clean
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.mps import CONDITION, Mps, load_mps
from aes_audit.rewards.pair_scorer import PairScorer
from parity.recipe import MPS_MODULE, Pack, largest_gap, pairs, read_pack, write_checkpoint, write_images

FIELDS = {"0.3": "scores", "0.01": "scores_threshold_0_01"}


class Rebuilt(NamedTuple):
    """The pack and what was written from it."""

    pack: Pack
    folder: Path
    images: Mapping[str, Image.Image]

    def load(self, name: str = "mps_state_dict.safetensors", threshold: str = "0.3") -> Mps:
        files = RewardFiles(self.folder / name, self.folder, {"tokenizer": self.folder / "tokenizer"})
        return load_mps(files, {"threshold": threshold, "dtype": "float32"}, "cpu")

    def score(self, architecture: Mps, asked: list[tuple[str, str]] | None = None) -> dict[str, float]:
        asked = asked or list(pairs(self.pack))
        images = [self.images[image] for image, _ in asked]
        texts = [self.pack["prompts"][prompt] for _, prompt in asked]
        scores = PairScorer(architecture).score(images, texts)
        return {f"{image}|{prompt}": score for (image, prompt), score in zip(asked, scores, strict=True)}


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Rebuilt:
    """The tiny MPS in all its file formats, and the pictures as read from files."""
    pack = read_pack("mps")
    folder = tmp_path_factory.mktemp("mps")
    write_checkpoint(pack, folder)
    images = {name: Image.open(file) for name, file in write_images(pack, folder / "images").items()}
    return Rebuilt(pack, folder, images)


@pytest.fixture(scope="module")
def architecture(rebuilt: Rebuilt) -> Mps:
    """MPS at the default threshold."""
    return rebuilt.load()


def test_all_77_tokens_are_the_official_ones(rebuilt: Rebuilt, architecture: Mps) -> None:
    for prompt, official in rebuilt.pack["tokens"].items():
        assert architecture._texts.ids([rebuilt.pack["prompts"][prompt]])[0].tolist() == official, prompt
    assert architecture._texts.ids([CONDITION])[0].tolist() == rebuilt.pack["condition_tokens"]


def test_pixels_are_the_official_ones(rebuilt: Rebuilt, architecture: Mps) -> None:
    for name, official in rebuilt.pack["pixels"].items():
        ours = architecture.pixels([rebuilt.images[name]])[0]
        assert list(ours.shape) == official["shape"]
        assert ours.flatten()[official["at"]].tolist() == pytest.approx(official["values"], abs=1e-6), name
        assert ours.mean().item() == pytest.approx(official["mean"], abs=1e-5), name


@pytest.mark.parametrize("threshold", FIELDS)
def test_the_condition_masks_as_many_tokens_as_officially(rebuilt: Rebuilt, threshold: str) -> None:
    architecture = rebuilt.load(threshold=threshold)
    with torch.inference_mode():
        texts = architecture.encode_texts(list(rebuilt.pack["prompts"].values()))
    ours = {name: int((~text.visible).sum()) for name, text in zip(rebuilt.pack["prompts"], texts, strict=True)}
    assert ours == {name: counts[threshold] for name, counts in rebuilt.pack["masked_tokens"].items()}


@pytest.mark.parametrize("threshold", FIELDS)
@pytest.mark.parametrize("name", ["mps_state_dict.pth", "mps_state_dict.safetensors", MPS_MODULE])
def test_every_score_is_the_official_one_from_every_file_format(rebuilt: Rebuilt, name: str, threshold: str) -> None:
    ours = rebuilt.score(rebuilt.load(name, threshold))
    gap, where = largest_gap(rebuilt.pack, FIELDS[threshold], ours)
    assert gap <= rebuilt.pack["tolerance"], where


@pytest.mark.parametrize(("image_batch", "pair_batch"), [(1, 1), (3, 5), (14, 84)])
def test_no_score_depends_on_batch_size_or_order(rebuilt: Rebuilt, image_batch: int, pair_batch: int) -> None:
    architecture = rebuilt.load()
    architecture.image_batch, architecture.pair_batch = image_batch, pair_batch
    asked = [pair for pair in pairs(rebuilt.pack) if pair[0] in ("wide", "tiny", "rgba", "pal")]
    alone: dict[str, float] = {}
    for pair in asked:
        alone |= rebuilt.score(architecture, [pair])
    random.Random(5).shuffle(asked)
    together = rebuilt.score(architecture, asked)
    assert together == pytest.approx(alone, abs=1e-5)


def test_a_warm_cache_gives_the_values_of_the_first_call(rebuilt: Rebuilt, architecture: Mps) -> None:
    scorer = PairScorer(architecture)
    image, texts = rebuilt.images["odd"], list(rebuilt.pack["prompts"].values())
    first = scorer.score([image] * len(texts), texts)
    assert scorer.score([image] * len(texts), texts) == pytest.approx(first, abs=1e-5)


# ---- sensitivity: each of these mutations is a plausible mistake, and the pack must notice it


def gap(rebuilt: Rebuilt, architecture: Mps) -> float:
    return largest_gap(rebuilt.pack, "scores", rebuilt.score(architecture))[0]


class OverTheBatch(Mps):
    """Divides by the maximum of the whole batch of texts."""

    def relevance(self, states: torch.Tensor) -> torch.Tensor:
        return super().relevance(states.flatten(0, 1)[None]).view(states.shape[:2])


class Unrounded(Mps):
    """Leaves the pixels in single precision."""

    def _image_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        states = self._clip.vision_model(pixel_values=pixels).last_hidden_state
        found: torch.Tensor = self._clip.visual_projection(states)
        return found


class ZeroPadded(Mps):
    """Pads with 0 after the end token, as open_clip does."""

    def _project_texts(self, ids: torch.Tensor) -> torch.Tensor:
        after = (ids == self._texts.eot).int().cumsum(dim=1) > 1
        return super()._project_texts(ids.masked_fill(after, 0))


class Cleaned(Mps):
    """Cleans the text as OpenAI's CLIP does."""

    def encode_texts(self, texts: list[str]) -> list[mps.MpsText]:  # type: ignore[override]
        return super().encode_texts([clean(text) for text in texts])


class Unmasked(Mps):
    """Shows every token to the cross model."""

    def relevance(self, states: torch.Tensor) -> torch.Tensor:
        return torch.ones(states.shape[:2])


class PostNormed(Mps):
    """Normalises the patch states as CLIP's pooled image feature is."""

    def _image_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        states = self._clip.vision_model(pixel_values=pixels.half().float()).last_hidden_state
        found: torch.Tensor = self._clip.visual_projection(self._clip.vision_model.post_layernorm(states))
        return found


@pytest.mark.parametrize("mutant", [OverTheBatch, Unrounded, ZeroPadded, Cleaned, Unmasked, PostNormed])
def test_the_pack_notices_the_mutation(rebuilt: Rebuilt, monkeypatch: pytest.MonkeyPatch, mutant: type[Mps]) -> None:
    monkeypatch.setattr(mps, "Mps", mutant)
    assert gap(rebuilt, rebuilt.load()) > rebuilt.pack["tolerance"]


def test_the_pack_notices_the_other_threshold(rebuilt: Rebuilt) -> None:
    assert gap(rebuilt, rebuilt.load(threshold="0.01")) > 1


def test_the_pack_notices_another_activation(rebuilt: Rebuilt, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.activations import QuickGELUActivation

    # The faster kernels take the activation over when they are made.
    monkeypatch.setattr(cpu_kernels, "available", lambda: False)
    other = rebuilt.load()
    for layer in other._clip.vision_model.encoder.layers:
        layer.mlp.activation_fn = QuickGELUActivation()
    assert gap(rebuilt, other) > rebuilt.pack["tolerance"]


def test_the_pack_notices_missing_rotary_positions(rebuilt: Rebuilt) -> None:
    other = rebuilt.load()
    for name, buffer in other._cross.named_buffers():
        if name.endswith("inv_freq"):
            buffer.zero_()
    assert gap(rebuilt, other) > rebuilt.pack["tolerance"]
