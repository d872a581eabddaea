"""Linear layers in oneDNN's own layout of the weights, with what follows the product done while it is in registers.

torch's own `nn.Linear` calls MKL in float32, which is not at its best on every CPU, and packs the weights anew in every
call. The operators here are those that torch.compile uses; they are private, so `available` asks for them first.
"""

from __future__ import annotations

import platform
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.activations import GELUActivation, QuickGELUActivation, SiLUActivation

__all__ = ["Activation", "PackedLinear", "PackedMlp", "available", "fused"]

_OPERATORS = ("_reorder_linear_weight", "_linear_pointwise")
_MACHINES = ("x86_64", "AMD64")
"""Where oneDNN's float32 kernels were measured; elsewhere some of them are its slow reference."""
_ROWS = 256
"""Rows of input that the layout is chosen for, about one image; it serves other numbers as well."""


class Activation(NamedTuple):
    """A function that oneDNN applies to a product before it is stored: f(scale x) / scale."""

    name: str = "none"
    """As oneDNN's operator calls f."""
    variant: str = ""
    """How f is computed."""
    scale: float = 1.0
    """Goes into the weights: quick_gelu is x sigmoid(1.702 x), the swish of 1.702 x over 1.702."""


def available() -> bool:
    """Whether this torch on this machine has the operators."""
    if platform.machine() not in _MACHINES or not torch.backends.mkldnn.is_available():
        return False
    return all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS)


def fused(module: nn.Module) -> Activation | None:
    """The activation that `module` is, or None where oneDNN has no such function."""
    if isinstance(module, QuickGELUActivation):
        return Activation("swish", scale=1.702)
    if isinstance(module, SiLUActivation | nn.SiLU):
        return Activation("swish")
    if isinstance(module, nn.GELU):
        return Activation("gelu", module.approximate)
    if isinstance(module, GELUActivation) and module.act is nn.functional.gelu:
        return Activation("gelu", "none")
    return None


class PackedLinear(nn.Module):
    """A linear layer on the CPU, in float32, without gradients.

    The packed weights are a copy: whoever drops the layer that they were made from gets its memory back.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, *, after: Activation | None = None, divisor: float = 1.0
    ) -> None:
        """`weight` is (out, in); `after` follows, times its scale, and the input counts `divisor` times less."""
        super().__init__()
        self.after = after or Activation()
        self.out_features, self.in_features = weight.shape
        scaled = _times(weight, self.after.scale / divisor).contiguous()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(scaled, _ROWS)
        self._bias = None if bias is None else _times(bias, self.after.scale).contiguous()

    @classmethod
    def of(cls, layer: nn.Linear, *, after: Activation | None = None, divisor: float = 1.0) -> PackedLinear:
        """The same as `layer`."""
        return cls(layer.weight, layer.bias, after=after, divisor=divisor)

    def forward(self, x: Tensor, other: Tensor | None = None, how: str = "add") -> Tensor:
        """(..., in) to (..., out); or, where `other` is given, their sum or ("mul") product with it."""
        operator: Any = torch.ops.mkldnn._linear_pointwise
        found: Tensor
        if other is None:
            found = operator(x, self._weight, self._bias, self.after.name, [], self.after.variant)
        else:
            found = operator.binary(x, other, self._weight, self._bias, how)
        return found


class PackedMlp(nn.Module):
    """Linear, activation, linear."""

    def __init__(self, first: nn.Linear, activation: nn.Module, second: nn.Linear) -> None:
        """Made from stock layers; an activation that oneDNN does not have runs by itself."""
        super().__init__()
        after = fused(activation)
        self.activation = nn.Identity() if after else activation
        self.first = PackedLinear.of(first, after=after)
        self.second = PackedLinear.of(second, divisor=after.scale if after else 1.0)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(..., width) to (..., width), with `residual` added."""
        found: Tensor = self.second(self.activation(self.first(x)), residual)
        return found


def _times(tensor: Tensor, scale: float) -> Tensor:
    return tensor.detach() if scale == 1.0 else tensor.detach() * scale
