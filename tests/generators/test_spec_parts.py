"""What may be put onto a pipeline: adapters in either layout, and another transformer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aes_audit.errors import ModelNotFound, UnsafeWeights
from aes_audit.generators.resolve import DiffusersModel, resolve_generator

FILE = "transformer/diffusion_pytorch_model.safetensors"


def resolve(spec: str, root: Path) -> DiffusersModel:
    """Pin a SPEC for the CPU."""
    return resolve_generator(spec, root=root, device="cpu")


@pytest.mark.parametrize("layout", ["adapter_config.json", "pytorch_lora_weights.safetensors"])
def test_an_adapter_may_have_either_layout(tiny_pipeline: Path, tmp_path: Path, layout: str) -> None:
    (tmp_path / layout).write_bytes(b"{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    (lora,) = resolve(f"{tiny_pipeline}+lora={tmp_path}", tmp_path).loras
    assert lora.source.folder == tmp_path


def test_an_adapter_of_pickles_is_refused(tiny_pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(UnsafeWeights, match=r"adapter_model\.bin can run code"):
        resolve(f"{tiny_pipeline}+lora={tmp_path}", tmp_path)


def test_a_pipeline_lends_its_transformer(tiny_pipeline: Path, tmp_path: Path) -> None:
    whole, part = (
        resolve(f"{tiny_pipeline}+transformer={folder}", tmp_path).transformer
        for folder in (tiny_pipeline, tiny_pipeline / "transformer")
    )
    assert whole == part
    assert whole is not None
    assert (whole.weights.source.folder, whole.file, whole.subfolder) == (tiny_pipeline / "transformer", None, None)


def test_one_file_counts_by_its_content_alone(tiny_pipeline: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_pipeline / FILE, tmp_path / "tuned.safetensors")
    there = resolve(f"{tiny_pipeline}+transformer={tiny_pipeline / FILE}", tmp_path)
    here = resolve(f"{tiny_pipeline}+transformer=tuned.safetensors", tmp_path)
    assert here.transformer is not None
    assert here.transformer.file == "tuned.safetensors"
    assert here.identity == there.identity
    (tmp_path / "tuned.safetensors").write_bytes(b"other")
    assert resolve(here.name, tmp_path).identity != there.identity


def test_the_hub_lends_a_repository_a_folder_or_a_file_of_one_commit(tiny_pipeline: Path, tmp_path: Path) -> None:
    commit, said = "a" * 40, []
    for inside in ("", "/transformer", "/a/b/tuned.safetensors"):
        override = resolve(f"{tiny_pipeline}+transformer=owner/name{inside}@{commit}", tmp_path).transformer
        assert override is not None
        assert (override.weights.source.repo, override.weights.revision) == ("owner/name", commit)
        said.append((override.subfolder, override.file))
    assert said == [(None, None), ("transformer", None), (None, "a/b/tuned.safetensors")]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("pretty", r"^transformer 'pretty' is no folder, no file and no hub id: .*$"),
        ("weights/gone.safetensors", r"^transformer 'weights/gone\.safetensors' is no folder, .*$"),
        ("./gone.safetensors", r"^model folder '.*gone\.safetensors' does not exist: .*$"),
        (".", r"^model folder '.*' holds no config\.json: .*$"),
    ],
)
def test_what_is_none_is_answered_in_one_line(tiny_pipeline: Path, tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ModelNotFound, match=complaint):
        resolve(f"{tiny_pipeline}+transformer={text}", tmp_path)


def test_a_file_of_pickles_is_refused(tiny_pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "tuned.ckpt").write_bytes(b"")
    with pytest.raises(UnsafeWeights, match=r"^transformer 'tuned\.ckpt' may run code when loaded: .*$"):
        resolve(f"{tiny_pipeline}+transformer=tuned.ckpt", tmp_path)
