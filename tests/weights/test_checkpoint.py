"""Reading weight files and putting them into modules: what fits loads, what does not is named."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from aes_audit.errors import InfrastructureError, ModelNotFound, UnsafeWeights
from aes_audit.weights.checkpoint import load_strictly, read_tensors, without_prefix

TENSORS = {"first.weight": torch.arange(6.0).reshape(2, 3), "first.bias": torch.ones(2, dtype=torch.float16)}


class Touch:
    """A harmless payload: whoever runs it creates a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.file), "w")


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == TENSORS.keys() and all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in TENSORS.items()
    )


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("ending", ["pt", "pth", "bin"])
def test_pickled_tensors_are_read_as_they_are(tmp_path: Path, ending: str, zipped: bool) -> None:
    file = tmp_path / f"weights.{ending}"
    torch.save(TENSORS, file, _use_new_zipfile_serialization=zipped)
    assert same(read_tensors(file))


def test_safetensors_are_read_as_they_are(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "weights.safetensors")
    assert same(read_tensors(tmp_path / "weights.safetensors"))


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_wrapping_dictionary_is_opened(tmp_path: Path, key: str) -> None:
    torch.save({"epoch": 3, key: TENSORS}, tmp_path / "weights.pt")
    assert same(read_tensors(tmp_path / "weights.pt", ("state_dict", "model")))


def test_a_file_without_the_wrapping_dictionary_is_read_too(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "weights.pt")
    assert same(read_tensors(tmp_path / "weights.pt", ("state_dict",)))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    file = tmp_path / "weights.pt"
    torch.save({"state_dict": TENSORS, "x": Touch(tmp_path / "ran")}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnsafeWeights, match=r"weights\.pt' was not loaded, because reading it would run code.*open"):
        read_tensors(file, ("state_dict",))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_that_would_run_code_is_refused_under_every_protocol(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(pickle.dumps({"x": Touch(tmp_path / "ran")}, protocol))
    with pytest.raises(UnsafeWeights, match="open"):
        read_tensors(file)
    assert not (tmp_path / "ran").exists()


def test_the_advice_to_load_unsafely_is_not_passed_on(tmp_path: Path) -> None:
    torch.save({"x": Touch(tmp_path / "ran")}, tmp_path / "weights.pt")
    with pytest.raises(UnsafeWeights) as error:
        read_tensors(tmp_path / "weights.pt")
    assert "weights_only" not in str(error.value)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ViT-L-14.pt"
    torch.jit.script(nn.Linear(2, 2)).save(str(file))
    with pytest.raises(UnsafeWeights, match="TorchScript"):
        read_tensors(file)


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.exe").write_bytes(b"x")
    with pytest.raises(UnsafeWeights, match=r"weights\.exe.*\.safetensors"):
        read_tensors(tmp_path / "weights.exe")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"none\.pt"):
        read_tensors(tmp_path / "none.pt")


def zipped(file: Path) -> None:
    torch.save(TENSORS, file)


def streamed(file: Path) -> None:
    torch.save(TENSORS, file, _use_new_zipfile_serialization=False)


def safe(file: Path) -> None:
    save_file(TENSORS, file)


@pytest.mark.parametrize("kept", [0.0, 0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize(("ending", "write"), [("pt", zipped), ("pt", streamed), ("safetensors", safe)])
def test_a_truncated_file_is_named(tmp_path: Path, ending: str, write: Callable[[Path], None], kept: float) -> None:
    file = tmp_path / f"weights.{ending}"
    write(file)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InfrastructureError, match=r"weights\.(pt|safetensors)' cannot be read.*complete"):
        read_tensors(file)


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_a_pointer_that_was_left_in_place_of_the_weights_is_named(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"weights.{ending}"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(InfrastructureError, match="cannot be read"):
        read_tensors(file)


@pytest.mark.parametrize("content", [[torch.ones(2)], {"epoch": 3}, torch.ones(2)])
def test_a_file_without_named_tensors_is_named(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(InfrastructureError, match=r"weights\.pt' holds"):
        read_tensors(tmp_path / "weights.pt")


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 4))


def test_what_fits_is_loaded() -> None:
    source, target = two_layers(), two_layers()
    load_strictly(target, source.state_dict() | {"x": torch.ones(1)}, Path("a.pt"), ignore={"x"})
    assert all(torch.equal(tensor, target.state_dict()[name]) for name, tensor in source.state_dict().items())


def test_assigned_tensors_keep_their_dtype() -> None:
    target = two_layers()
    load_strictly(target, {k: v.half() for k, v in two_layers().state_dict().items()}, Path("a.pt"), assign=True)
    assert {parameter.dtype for parameter in target.parameters()} == {torch.float16}


def test_the_first_missing_tensor_is_named() -> None:
    tensors = two_layers().state_dict()
    del tensors["0.bias"], tensors["1.bias"]
    with pytest.raises(InfrastructureError, match=r"a\.pt.*'0\.bias' \(2\) is missing \(and 1 more"):
        load_strictly(two_layers(), tensors, Path("a.pt"))


def test_the_first_tensor_of_another_shape_is_named_and_nothing_is_loaded() -> None:
    target = two_layers()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    tensors = two_layers().state_dict() | {"1.weight": torch.ones(5, 2)}
    with pytest.raises(InfrastructureError, match=r"a\.pt.*'1\.weight' has shape \(5, 2\) where \(4, 2\) is wanted"):
        load_strictly(target, tensors, Path("a.pt"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())


def test_the_first_unexpected_tensor_is_named() -> None:
    tensors = {**two_layers().state_dict(), "2.weight": torch.ones(1)}
    with pytest.raises(InfrastructureError, match=r"a\.pt.*'2\.weight' \(1\) is unexpected"):
        load_strictly(two_layers(), tensors, Path("a.pt"))


def test_a_prefix_is_taken_off_where_it_is() -> None:
    assert without_prefix({"mps.a": TENSORS["first.bias"], "b": TENSORS["first.bias"]}, "mps.").keys() == {"a", "b"}
