"""Seeded tensors that are the same on every machine, and the file formats of official checkpoints."""

from __future__ import annotations

import math
import sys
import types
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["crc32", "fill", "rebuild", "save_pickled_module"]

_BY_ENDING = {"logit_scale": "logit_scale", "position_ids": "arange", "inv_freq": "inv_freq"}
_SPREADS = {"embed": 0.5, "bias": 0.1, "norm": 0.1}
# The class path of the published MPS file; it must not be importable when the file is read.
_MODULE = "trainer.models.clip_model"


def rebuild(rows: Iterable[Sequence[Any]], seed: int) -> dict[str, Tensor]:
    """The tensors that a pack's `weights` describe; a row is name, shape, dtype and options of `fill`."""
    return {row[0]: fill(row[0], row[1], row[2], seed, **(row[3] if len(row) > 3 else {})) for row in rows}


def fill(
    name: str, shape: Sequence[int], dtype: str, seed: int, *, rule: str = "", scale: float = 1.0, through: str = ""
) -> Tensor:
    """One tensor, drawn from seed and name; `through` is a narrower dtype that its values are rounded to."""
    values = _values(rule or _rule(name, shape), name, tuple(shape), seed) * scale
    array = values.astype("int64" if dtype == "int64" else "float32")
    if through:
        array = array.astype(through).astype("float32")
    kind: torch.dtype = getattr(torch, dtype)
    return torch.from_numpy(np.array(array)).to(kind)


def crc32(tensors: Mapping[str, Tensor]) -> int:
    """Fingerprint over names and values, in the order of the names."""
    check = 0
    for name in sorted(tensors):
        check = zlib.crc32(tensors[name].contiguous().numpy().tobytes(), zlib.crc32(name.encode(), check))
    return check


def _rule(name: str, shape: Sequence[int]) -> str:
    for ending, rule in _BY_ENDING.items():
        if name.endswith(ending):
            return rule
    if len(shape) < 2:
        return "embed" if name.endswith("class_embedding") else "bias" if name.endswith("bias") else "norm"
    is_table = "patch_embed" not in name and any(word in name for word in ("embed", "positional", "cls_token"))
    return "embed" if is_table else "fan_in"


def _values(rule: str, name: str, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
    match rule:
        case "zeros":
            return np.zeros(shape)
        case "arange":
            return np.arange(math.prod(shape)).reshape(shape)
        case "inv_freq":
            return np.asarray(1.0 / 10000.0 ** (np.arange(shape[0]) / shape[0]))
        case "logit_scale":
            return np.full(shape, math.log(100.0))
    normal = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape)
    spread = _SPREADS[rule] if rule in _SPREADS else 1.0 / math.sqrt(math.prod(shape[1:]))
    return np.asarray(normal * spread + (rule == "norm"))


def save_pickled_module(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write a whole pickled module whose classes cannot be imported later, as the published MPS file is."""
    with _made_up_class() as kind:
        root = kind()
        for name, tensor in tensors.items():
            *path, leaf = name.split(".")
            node = _descend(root, path, kind)
            if leaf in ("inv_freq", "position_ids") or (leaf == "bias" and path[-1] == "norm"):
                node.register_buffer(leaf, tensor)
            else:
                node.register_parameter(leaf, nn.Parameter(tensor))
        torch.save(root, file)


def _descend(root: nn.Module, path: Sequence[str], kind: type[nn.Module]) -> nn.Module:
    node = root
    for part in path:
        if part not in node._modules:
            node.add_module(part, kind())
        node = node.get_submodule(part)
    return node


@contextmanager
def _made_up_class() -> Iterator[type[nn.Module]]:
    parts = _MODULE.split(".")
    modules = {name: types.ModuleType(name) for name in (".".join(parts[: i + 1]) for i in range(len(parts)))}
    kind = type("CLIPModel", (nn.Module,), {"__module__": _MODULE})
    modules[_MODULE].__dict__["CLIPModel"] = kind
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield kind
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
