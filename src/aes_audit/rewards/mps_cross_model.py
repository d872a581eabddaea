"""The cross model of MPS: image tokens look at the text tokens that its condition leaves visible.

Every layer is a cross attention and a self attention, each computed side by side with a gated feed-forward step on the
same normalised input and added to it. All heads of a layer share one key and one value head; only the self attention
knows positions. Names and shapes of the parameters are those of the published file (Kwai-Kolors/MPS).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention, silu

__all__ = ["CrossModel", "Prepared"]


class Prepared(NamedTuple):
    """What the first layer makes of an image before it sees a text."""

    queries: Tensor
    """Queries of the cross attention, (..., tokens, heads x head width)."""
    rest: Tensor
    """The tokens with the feed-forward step added, (..., tokens, width)."""


class _Norm(nn.Module):
    """Layer norm whose shift is a buffer: it was not trained."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.register_buffer("bias", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, x.shape[-1:], self.weight, cast(Tensor, self.bias))


class _Gate(nn.Module):
    """First half of the channels times the SiLU of the second half."""

    def forward(self, x: Tensor) -> Tensor:
        values, gate = x.chunk(2, dim=-1)
        return values * silu(gate)


class _CrossAttention(nn.Module):
    """Image tokens attend to text tokens."""

    def __init__(self, width: int, heads: int, head: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = _Norm(width)
        self.to_q = nn.Linear(width, heads * head, bias=False)
        self.to_kv = nn.Linear(width, 2 * head, bias=False)
        self.to_out = nn.Linear(heads * head, width, bias=False)
        self.ff = nn.Sequential(nn.Linear(width, 2 * inner, bias=False), _Gate(), nn.Linear(inner, width, bias=False))

    def prepare(self, x: Tensor) -> Prepared:
        normed = self.norm(x)
        return Prepared(self.to_q(normed), x + self.ff(normed))

    def attend(self, prepared: Prepared, text: Tensor, visible: Tensor) -> Tensor:
        keys, values = self.to_kv(text).chunk(2, dim=-1)
        mixed = _attention(prepared.queries, keys, values, self.heads, visible[:, None, None, :])
        return cast(Tensor, prepared.rest + self.to_out(mixed))


class _SelfAttention(nn.Module):
    """Image tokens attend to each other; queries, keys, values and feed-forward come from one projection."""

    def __init__(self, width: int, heads: int, head: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.sizes = (heads * head, head, head, 2 * inner)
        self.norm = _Norm(width)
        self.rotary_emb = _Rotation(head)
        self.fused_attn_ff_proj = nn.Linear(width, sum(self.sizes), bias=False)
        self.attn_out = nn.Linear(heads * head, width, bias=False)
        self.ff_out = nn.Sequential(_Gate(), nn.Linear(inner, width, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values, inner = self.fused_attn_ff_proj(self.norm(x)).split(self.sizes, dim=-1)
        turn = self.rotary_emb(x.shape[-2])
        turned = turn(queries.unflatten(-1, (self.heads, -1)).transpose(-2, -3)).transpose(-2, -3).flatten(-2)
        mixed = _attention(turned, turn(keys), values, self.heads, None)
        return cast(Tensor, x + self.attn_out(mixed) + self.ff_out(inner))

    def first(self, x: Tensor) -> Tensor:
        """The first token of `forward(x)`, without computing the others: (batch, width)."""
        normed = self.norm(x)
        weights = self.fused_attn_ff_proj.weight.split(self.sizes)
        queries, inner = normed[:, :1] @ weights[0].T, normed[:, :1] @ weights[3].T
        keys, values = normed @ weights[1].T, normed @ weights[2].T
        # The first token's position is 0, which turns its queries by nothing.
        mixed = _attention(queries, self.rotary_emb(x.shape[-2])(keys), values, self.heads, None)
        return cast(Tensor, x[:, :1] + self.attn_out(mixed) + self.ff_out(inner))[:, 0]


class _Rotation(nn.Module):
    """Rotary positions: channel i and channel i + half are turned by position x frequency i."""

    def __init__(self, head: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", 1.0 / 10000.0 ** (torch.arange(0, head, 2).float() / head))

    def forward(self, length: int) -> _Turn:
        frequencies = cast(Tensor, self.inv_freq)
        positions = torch.arange(length, device=frequencies.device, dtype=frequencies.dtype)
        angles = torch.outer(positions, frequencies).repeat(1, 2)
        return _Turn(angles.cos(), angles.sin())


class _Turn(NamedTuple):
    """Cosine and sine by position, (length, head width)."""

    cos: Tensor
    sin: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=-1)
        return x * self.cos + torch.cat((-right, left), dim=-1) * self.sin


class CrossModel(nn.Module):
    """Layers of cross and self attention, in float32 as all of MPS."""

    def __init__(self, width: int, layers: int, heads: int, head: int, inner: int) -> None:
        """`head` is the width of one head, `inner` that of the feed-forward step after its gate."""
        super().__init__()
        sizes = (width, heads, head, inner)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                # The published module wraps each part once more, and its names are kept.
                [nn.ModuleDict({"fn": _CrossAttention(*sizes)}), nn.ModuleDict({"fn": _SelfAttention(*sizes)})]
            )
            for _ in range(layers)
        )

    def prepare(self, image: Tensor) -> Prepared:
        """The share of the first layer that depends on the image alone; `image` is (..., tokens, width)."""
        return self._parts()[0][0].prepare(image)

    def forward(self, prepared: Prepared, text: Tensor, visible: Tensor) -> Tensor:
        """The first image token after all layers, (batch, width).

        `prepared` comes from image tokens (batch, tokens, width); `text` is (batch, length, width) and `visible`
        (batch, length), true where an image may look.
        """
        parts = self._parts()
        for number, (cross, own) in enumerate(parts):
            tokens = cross.attend(prepared, text, visible)
            if number == len(parts) - 1:
                return own.first(tokens)
            prepared = parts[number + 1][0].prepare(own(tokens))
        raise AssertionError("a cross model has at least one layer")

    @property
    def last_projection(self) -> nn.Linear:
        """The layer whose weights are used apart from each other, since one token alone is asked of it."""
        return self._parts()[-1][1].fused_attn_ff_proj

    def _parts(self) -> Sequence[tuple[_CrossAttention, _SelfAttention]]:
        rows = cast("Sequence[Sequence[nn.ModuleDict]]", self.layers)
        return [(cast(_CrossAttention, cross["fn"]), cast(_SelfAttention, own["fn"])) for cross, own in rows]


def _attention(queries: Tensor, keys: Tensor, values: Tensor, heads: int, visible: Tensor | None) -> Tensor:
    """Softmax attention of `heads` query heads over one shared key and value head; (batch, tokens, heads x head)."""
    split = queries.unflatten(-1, (heads, -1)).transpose(-2, -3)
    bias = None
    if visible is not None:
        # A finite floor, as in the official code: where nothing is visible all positions count alike.
        floor = torch.finfo(split.dtype).min
        bias = torch.zeros_like(visible, dtype=split.dtype).masked_fill(~visible, floor)
    keys, values = (part.unsqueeze(-3).expand(*split.shape[:-2], *part.shape[-2:]) for part in (keys, values))
    return scaled_dot_product_attention(split, keys, values, attn_mask=bias).transpose(-2, -3).flatten(-2)
