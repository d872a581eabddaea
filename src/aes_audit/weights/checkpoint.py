"""Official weight files as named tensors, read without running anything, and put into a module without a gap."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from aes_audit.errors import InfrastructureError, ModelNotFound, UnsafeWeights
from aes_audit.weights.loading import first_line
from aes_audit.weights.pickle_archive import foreign_globals, is_torchscript

__all__ = ["load_strictly", "read_tensors", "without_prefix"]

_PICKLES = (".pt", ".pth", ".bin", ".ckpt")
_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    RuntimeError,
    OSError,
    EOFError,
    MemoryError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
)


def read_tensors(file: Path, unwrap: Sequence[str] = ()) -> dict[str, Tensor]:
    """Every tensor of a weight file by its own name, on the CPU, in the dtype of the file.

    `.safetensors` is read as such; `.pt`, `.pth`, `.bin` and `.ckpt` by torch's weights-only reader, which runs no
    code of the file. `unwrap` names keys of a wrapping dictionary ("state_dict", "model"); the first that is there is
    opened.
    Raises ModelNotFound for a missing file, UnsafeWeights for a pickle that needs code to be read or has another
    ending, and InfrastructureError for a file that is truncated, or holds something else than named tensors.
    """
    if not file.is_file():
        raise ModelNotFound(f"weight file {str(file)!r} does not exist: check the path.")
    if file.suffix == ".safetensors":
        return _safetensors(file)
    if file.suffix not in _PICKLES:
        known = ", ".join((".safetensors", *_PICKLES))
        raise UnsafeWeights(f"weight file {str(file)!r} has no known format: give one of {known}.")
    return _named_tensors(file, _pickled(file), unwrap)


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The same tensors with `prefix` taken off the names that start with it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def load_strictly(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    file: Path,
    ignore: Collection[str] = (),
    *,
    assign: bool = False,
) -> None:
    """Copy `tensors` into the parameters and saved buffers of `module`; every name and every shape must agree.

    `ignore` holds names that may be in the file without being in the module. With `assign` the tensors themselves
    become the parameters (as for a module on the meta device), so their dtype is kept.
    Raises InfrastructureError that names `file` and the first tensor that is missing, unexpected or of another shape,
    in the order of the module. Nothing is loaded then.
    """
    wanted = module.state_dict()
    for name, tensor in wanted.items():
        if name not in tensors:
            raise _unfit(file, f"tensor {name!r} {_shape(tensor)} is missing", len(wanted.keys() - tensors.keys()))
        if tensors[name].shape != tensor.shape:
            raise _unfit(file, f"tensor {name!r} has shape {_shape(tensors[name])} where {_shape(tensor)} is wanted")
    strangers = [name for name in tensors if name not in wanted and name not in ignore]
    if strangers:
        name = strangers[0]
        raise _unfit(file, f"tensor {name!r} {_shape(tensors[name])} is unexpected", len(strangers))
    module.load_state_dict({name: tensors[name] for name in wanted}, strict=True, assign=assign)


def _unfit(file: Path, fault: str, count: int = 1) -> InfrastructureError:
    more = f" (and {count - 1} more like it)" if count > 1 else ""
    return InfrastructureError(
        f"{str(file)!r} does not fit the model: {fault}{more}. Is it the right file, and complete?"
    )


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(str(side) for side in tensor.shape)})"


def _safetensors(file: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise _broken(file, error) from error


def _pickled(file: Path) -> Any:
    try:
        # torch reads TorchScript archives by another path, with a warning; they carry code.
        if is_torchscript(file):
            raise UnsafeWeights(f"{str(file)!r} is a TorchScript archive, which carries code: give a file of tensors.")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            # Only the zip format can be mapped; older files are read as a whole.
            return torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except _DAMAGE as error:
        # torch raises one class for a foreign global and for damage, and its advice is to load unsafely.
        if foreign := foreign_globals(file):
            raise UnsafeWeights(
                f"{str(file)!r} was not loaded, because reading it would run code: it names {foreign[0]}. "
                "Save its tensors as safetensors where you trust it."
            ) from error
        raise _broken(file, error) from error


def _broken(file: Path, error: Exception) -> InfrastructureError:
    fault = str(error).partition("WeightsUnpickler error:")[2].strip().split("\n")[0] or first_line(error)
    return InfrastructureError(
        f"{str(file)!r} cannot be read: {fault.split('. ')[0].rstrip('.')}. "
        f"Is the file complete ({file.stat().st_size:,} bytes)?"
    )


def _named_tensors(file: Path, content: Any, unwrap: Sequence[str]) -> dict[str, Tensor]:
    for key in unwrap:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise InfrastructureError(f"{str(file)!r} holds a {type(content).__name__} where named tensors are wanted.")
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        keys = ", ".join(repr(key) for key in list(content)[:3]) or "nothing"
        raise InfrastructureError(f"{str(file)!r} holds no named tensors, only {keys}: is it the right file?")
    return tensors
