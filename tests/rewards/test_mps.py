"""MPS beyond its parity pack: which files it takes, what it refuses, and what its cross model saves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from parity.recipe import Pack, largest_gap, make_image, make_images, pairs, read_pack, write_checkpoint
from parity.weights import save_pickled_module
from safetensors.torch import save_file
from torch import Tensor

from aes_audit.errors import InfrastructureError, UnsafeWeights, UsageError
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.mps import Mps, load_mps
from aes_audit.rewards.mps_cross_model import CrossModel
from aes_audit.rewards.pair_scorer import PairScorer
from aes_audit.weights.checkpoint import read_tensors

PLAIN = "mps_state_dict.safetensors"


@pytest.fixture(scope="module")
def pack() -> Pack:
    """The parity pack of MPS."""
    return read_pack("mps")


@pytest.fixture(scope="module")
def folder(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its checkpoint."""
    made = tmp_path_factory.mktemp("mps")
    write_checkpoint(pack, made)
    return made


@pytest.fixture(scope="module")
def tensors(folder: Path) -> dict[str, Tensor]:
    """Its tensors."""
    return read_tensors(folder / PLAIN)


def load(checkpoint: Path, folder: Path, beside: Path | None = None, **options: str) -> Mps:
    files = RewardFiles(checkpoint, beside or folder, {"tokenizer": folder / "tokenizer"})
    return load_mps(files, options, "cpu")


def gap(pack: Pack, architecture: Mps) -> float:
    images = make_images(pack)
    asked = [(image, prompt) for image, prompt in pairs(pack) if image == "odd"]
    texts = [pack["prompts"][prompt] for _, prompt in asked]
    scores = PairScorer(architecture).score([images[image] for image, _ in asked], texts)
    ours = {f"{image}|{prompt}": score for (image, prompt), score in zip(asked, scores, strict=True)}
    official = {"scores": {pair: pack["scores"][pair] for pair in ours}}
    return largest_gap(official, "scores", ours)[0]


def test_the_prefix_of_the_safetensors_copy_is_accepted(
    pack: Pack, folder: Path, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file({f"mps.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "model.safetensors")
    assert gap(pack, load(tmp_path / "model.safetensors", folder)) < 1e-4


def test_heads_follow_the_size_where_no_configuration_lies_beside(pack: Pack, folder: Path, tmp_path: Path) -> None:
    assert gap(pack, load(folder / PLAIN, folder, beside=tmp_path)) < 1e-4


def test_the_buffers_of_the_published_module_are_accepted(
    pack: Pack, folder: Path, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    positions = {
        "model.text_model.embeddings.position_ids": torch.arange(77)[None],
        "model.vision_model.embeddings.position_ids": torch.arange(257)[None],
    }
    save_pickled_module(tensors | positions, tmp_path / "MPS_overall_checkpoint.pth")
    assert gap(pack, load(tmp_path / "MPS_overall_checkpoint.pth", folder)) < 1e-4


def test_weights_in_half_precision_are_computed_in_single(
    folder: Path, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file({name: tensor.half() for name, tensor in tensors.items()}, tmp_path / "half.safetensors")
    loaded = load(tmp_path / "half.safetensors", folder)
    assert {parameter.dtype for parameter in loaded._clip.parameters()} == {torch.float32}


Change = Callable[[dict[str, Tensor]], object]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda t: t.pop("cross_model.layers.1.1.fn.attn_out.weight"),
            r"layers\.1\.1\.fn\.attn_out\.weight' .*missing",
        ),
        (lambda t: t.pop("cross_model.layers.0.0.fn.to_kv.weight"), r"layers\.0\.0\.fn\.to_kv\.weight' is missing"),
        (lambda t: t.pop("model.text_projection.weight"), r"text_projection\.weight' .*is missing"),
        (lambda t: t.update({"model.text_projection.weight": torch.ones(9, 128)}), r"\(9, 128\) where \(96, 128\)"),
        (lambda t: t.update({"condition.weight": torch.ones(1)}), r"'condition\.weight' \(1\) is unexpected"),
    ],
)
def test_a_foreign_checkpoint_names_file_and_first_bad_tensor(
    folder: Path, tensors: dict[str, Tensor], tmp_path: Path, change: Change, named: str
) -> None:
    changed = dict(tensors)
    change(changed)
    save_file(changed, tmp_path / "other.safetensors")
    with pytest.raises(InfrastructureError, match=rf"other\.safetensors.*{named}"):
        load(tmp_path / "other.safetensors", folder)


def test_another_model_is_named(folder: Path, tmp_path: Path) -> None:
    torch.save({"visual.conv1.weight": torch.ones(2)}, tmp_path / "hpc.pt")
    with pytest.raises(InfrastructureError, match=r"hpc\.pt.*text_model.* is missing"):
        load(tmp_path / "hpc.pt", folder)


class Payload:
    """Creates a file when an ordinary reader loads it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


def test_a_module_that_would_run_code_is_refused_and_not_run(
    folder: Path, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    target = tmp_path / "ran"
    torch.save({**tensors, "extra": Payload(target)}, tmp_path / "MPS_overall_checkpoint.pth")
    with pytest.raises(UnsafeWeights, match=r"MPS_overall_checkpoint\.pth.*\.system"):
        load(tmp_path / "MPS_overall_checkpoint.pth", folder)
    assert not target.exists()


@pytest.mark.parametrize("threshold", ["0", "1", "-0.3", "nan", "inf", "low", ""])
def test_a_threshold_outside_its_range_is_refused(folder: Path, threshold: str) -> None:
    with pytest.raises(UsageError, match=r"threshold = .*between 0 and 1"):
        load(folder / PLAIN, folder, threshold=threshold)


def test_a_broken_configuration_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "clip_config.json").write_text("{")
    with pytest.raises(InfrastructureError, match=r"clip_config\.json"):
        load(folder / PLAIN, folder, beside=tmp_path)


def test_a_long_text_is_read_to_its_77th_token_and_marked(pack: Pack, folder: Path) -> None:
    loaded = load(folder / PLAIN, folder)
    reading = loaded.read_text(pack["prompts"]["long"])
    assert reading.tokens > 77
    assert reading.truncated
    assert reading.refusal is None
    assert loaded.read_text("") == (2, False, None)


def test_special_tokens_within_a_text_give_a_score(folder: Path) -> None:
    texts = ["<|endoftext|>", "<|startoftext|> a cat <|endoftext|> a dog", "a cat"]
    image = make_image("any", "RGB", [64, 48])
    scores = PairScorer(load(folder / PLAIN, folder)).score([image] * 3, texts)
    assert torch.tensor(scores).isfinite().all()
    assert len(set(scores)) == 3


def a_cross_model() -> tuple[CrossModel, Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    image, text = torch.randn(2, 7, 24), torch.randn(2, 5, 24)
    return CrossModel(24, 3, 2, 8, 16), image, text, torch.tensor([[1, 1, 0, 1, 0], [1, 0, 0, 0, 0]]).bool()


def test_the_first_token_alone_is_the_first_of_all() -> None:
    model, image, text, visible = a_cross_model()
    tokens = image
    for cross, own in model._parts():
        tokens = own(cross.attend(cross.prepare(tokens), text, visible))
    assert torch.allclose(model(model.prepare(image), text, visible), tokens[:, 0], atol=1e-6)


def test_masked_text_tokens_have_no_say() -> None:
    model, image, text, visible = a_cross_model()
    other = torch.where(visible[..., None], text, torch.randn_like(text))
    assert torch.equal(model(model.prepare(image), text, visible), model(model.prepare(image), other, visible))


def test_a_text_without_a_visible_token_still_gives_finite_states() -> None:
    model, image, text, visible = a_cross_model()
    assert model(model.prepare(image), text, torch.zeros_like(visible)).isfinite().all()
