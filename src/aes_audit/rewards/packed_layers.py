"""Parts of transformers' encoders on packed linear layers, each made from the stock one with its weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.blip.modeling_blip import BlipAttention, BlipEncoderLayer
from transformers.models.blip.modeling_blip_text import BlipTextIntermediate
from transformers.models.clip.modeling_clip import CLIPEncoderLayer
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2MLP, VisionMlp

from aes_audit.rewards.packed_linear import PackedLinear, PackedMlp, fused

__all__ = ["EncoderLayer", "GatedMlp", "packed"]


class EncoderLayer(nn.Module):
    """A layer of CLIP's towers or of BLIP's image tower: attention, then an MLP, each on normalised states and added.

    Queries, keys and values are one product; the additions are done by the products before them.
    """

    def __init__(self, stock: Any, *, first_only: bool = False) -> None:
        """Takes a CLIPEncoderLayer or BlipEncoderLayer; with `first_only` it computes its first token alone."""
        super().__init__()
        attention = stock.self_attn
        self.heads: int = attention.num_heads
        self.scale: float = attention.scale
        self.layer_norm1, self.layer_norm2 = stock.layer_norm1, stock.layer_norm2
        weight, bias = _projections(attention)
        width = weight.shape[1]
        # Without queries of its own the layer takes them from the one product.
        self.first = PackedLinear(weight[:width], bias[:width]) if first_only else None
        rest = slice(width, None) if first_only else slice(None)
        self.projections = PackedLinear(weight[rest], bias[rest])
        self.out = PackedLinear.of(getattr(attention, "projection", None) or attention.out_proj)
        self.mlp = PackedMlp(stock.mlp.fc1, stock.mlp.activation_fn, stock.mlp.fc2)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **options: Any) -> Tensor:
        """States (batch, tokens, width) to the same; (batch, 1, width) with `first_only`."""
        normed = self.layer_norm1(hidden_states)
        parts = self._heads(self.projections(normed))
        if self.first is not None:
            hidden_states = hidden_states[:, :1]
            parts = [*self._heads(self.first(normed[:, :1])), *parts]
        queries, keys, values = parts
        causal = attention_mask is None and bool(options.get("is_causal"))
        seen = scaled_dot_product_attention(
            queries, keys, values, attn_mask=attention_mask, is_causal=causal, scale=self.scale
        )
        states = self.out(seen.transpose(1, 2).flatten(2), hidden_states)
        found: Tensor = self.mlp(self.layer_norm2(states), states)
        return found

    def _heads(self, joined: Tensor) -> list[Tensor]:
        """Queries, keys and values, or some of them: (batch, heads, tokens, head width) each."""
        width = self.out.in_features
        return [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in joined.split(width, dim=-1)]


class GatedMlp(nn.Module):
    """Qwen2's MLP: an activated gate times a projection, projected back."""

    def __init__(self, stock: Any) -> None:
        """Takes a Qwen2MLP with SiLU."""
        super().__init__()
        self.gate = PackedLinear.of(stock.gate_proj, after=fused(stock.act_fn))
        self.up, self.down = PackedLinear.of(stock.up_proj), PackedLinear.of(stock.down_proj)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to (..., width)."""
        found: Tensor = self.down(self.up(x, self.gate(x), "mul"))
        return found


def packed(stock: nn.Module, *, first_only: bool = False) -> nn.Module | None:
    """What computes the same as `stock` faster, or None for a module that is none of the known ones."""
    made: nn.Module | None = None
    if type(stock) in (CLIPEncoderLayer, BlipEncoderLayer):
        made = EncoderLayer(stock, first_only=first_only)
    elif type(stock) is VisionMlp:
        made = PackedMlp(stock.fc1, stock.act, stock.fc2)
    elif type(stock) is Qwen2MLP and _unscaled(stock.act_fn):
        made = GatedMlp(stock)
    elif type(stock) is BlipTextIntermediate and _unscaled(stock.intermediate_act_fn):
        made = PackedLinear.of(stock.dense, after=fused(stock.intermediate_act_fn))
    elif type(stock) is nn.Linear:
        made = PackedLinear.of(stock)
    return made


def _projections(attention: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of queries, keys and values, one below the other."""
    if isinstance(attention, BlipAttention):
        return attention.qkv.weight, attention.qkv.bias
    layers = (attention.q_proj, attention.k_proj, attention.v_proj)
    return torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])


def _unscaled(activation: nn.Module) -> bool:
    # A scale can be undone only by the weights that follow.
    after = fused(activation)
    return after is not None and after.scale == 1.0
