"""Loaded stock models made faster on a CPU: the same weights and the same sums, by kernels that waste less.

What is gained, and from what, is measured in docs/rewards_speed.md. Numbers differ from the stock modules' in the last
digits, as two batch sizes do.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import torch
from torch import nn

from aes_audit.rewards.packed_layers import packed
from aes_audit.rewards.packed_linear import available

__all__ = ["faster_on_cpu"]

Model = TypeVar("Model", bound=nn.Module)


def faster_on_cpu(model: Model, *, first_only: Collection[nn.Module] = (), keep: Collection[nn.Module] = ()) -> Model:
    """Exchange the parts of `model` that packed kernels compute faster, in place; the same model is returned.

    Only what lies on the CPU in float32 and carries no hook is exchanged, and nothing where torch lacks the operators.
    `first_only` names encoder layers of whose states only the first token's is read, so that the others need not be
    computed; modules in `keep` stay as they are. Weights move into the kernels' layout a part at a time: the stock
    parts' memory is free again, and the parameters of exchanged parts are no longer in `model.parameters()`.
    """
    if available():
        _exchange(model, first_only, keep)
    return model


def _exchange(parent: nn.Module, first_only: Collection[nn.Module], keep: Collection[nn.Module]) -> None:
    for name, child in list(parent.named_children()):
        if child in keep:
            continue
        made = packed(child, first_only=child in first_only) if _fit(child) else None
        if made is None:
            _exchange(child, first_only, keep)
        else:
            setattr(parent, name, made.train(child.training))


def _fit(module: nn.Module) -> bool:
    tensors = [*module.parameters()]
    plain = all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in tensors)
    return plain and not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
