"""Another transformer for a pipeline: a folder of diffusers, or one weight file in its layout or the original one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch
from accelerate import init_empty_weights  # type: ignore[import-untyped]
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

from aes_audit.errors import InfrastructureError
from aes_audit.weights.checkpoint import read_tensors

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["load_transformer"]


def load_transformer(
    source: Path, base: Path, dtype: torch.dtype, *, file: str | None = None, subfolder: str | None = None
) -> Any:
    """The transformer of `source` for the pipeline in the folder `base`.

    With `file` that safetensors file is read and the configuration is the base pipeline's own; nothing is looked up
    elsewhere. Without, `source`/`subfolder` is a folder that `save_pretrained` of diffusers wrote.
    Raises InfrastructureError that names the first weight that is missing, unexpected or of another shape.
    """
    kind = json.loads((base / "transformer" / "config.json").read_text(encoding="utf-8"))["_class_name"]
    if file is None:
        return _from_folder(source / (subfolder or ""), kind, dtype)
    return _from_file(source / (subfolder or "") / file, base, kind, dtype)


def _from_folder(folder: Path, kind: str, dtype: torch.dtype) -> Any:
    found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    if found != kind:
        raise InfrastructureError(f"{folder} holds a {found} where the pipeline wants a {kind}: give its transformer.")
    model, report = getattr(diffusers, kind).from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
    )
    _refuse(folder, "is missing", sorted(report["missing_keys"]))
    _refuse(folder, "is unexpected", sorted(report["unexpected_keys"]))
    return model


def _from_file(file: Path, base: Path, kind: str, dtype: torch.dtype) -> Any:
    transformer = getattr(diffusers, kind)
    config = transformer.load_config(str(base), subfolder="transformer", local_files_only=True)
    with init_empty_weights():
        wanted: dict[str, Tensor] = transformer.from_config(config).state_dict()
    tensors = read_tensors(file)
    single_file: Any = SINGLE_FILE_LOADABLE_CLASSES.get(kind)
    # Some names are in both layouts, so one key that fits decides nothing.
    if single_file and 2 * len(wanted.keys() & tensors.keys()) < len(wanted):
        tensors = _converted(file, tensors, config, single_file["checkpoint_mapping_fn"])
    _refuse(file, "is missing", [name for name in wanted if name not in tensors])
    _refuse(file, "is unexpected", [name for name in tensors if name not in wanted])
    for name, tensor in wanted.items():
        if tensors[name].shape != tensor.shape:
            found, expected = tuple(tensors[name].shape), tuple(tensor.shape)
            raise InfrastructureError(f"{file} does not fit: {name!r} has shape {found} where {expected} is wanted.")
    return transformer.from_single_file(
        tensors, config=str(base), subfolder="transformer", dtype=dtype, local_files_only=True
    )


def _converted(file: Path, tensors: dict[str, Tensor], config: dict[str, Any], convert: Any) -> dict[str, Tensor]:
    # The converters take what they use out of the dictionary; what stays was not understood.
    left = dict(tensors)
    try:
        converted: dict[str, Tensor] = convert(checkpoint=left, config=config)
    except (KeyError, IndexError) as error:
        # Neither layout: the name that the original one would have says little, the file's own first name more.
        first = next(iter(tensors))
        raise InfrastructureError(
            f"{file} is neither in the layout of diffusers nor in the original one: it lacks {error}, "
            f"and its first weight is {first!r}."
        ) from error
    if converted is not left:
        _refuse(file, "is unexpected", list(left))
    return converted


def _refuse(file: Path, fault: str, names: list[str]) -> None:
    if names:
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise InfrastructureError(f"{file} does not fit the pipeline's transformer: {names[0]!r} {fault}{more}.")
