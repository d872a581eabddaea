"""Runs of tokens on their way into the language model of a Qwen3-VL: what is embedded, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Passage", "image_passage", "joined", "text_passage"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A run of tokens, of which some may be parts of an image."""

    embedded: Tensor
    """What the first layer reads: (length, width)."""
    visual: Tensor
    """True where a token is a part of an image: (length,)."""
    deep: tuple[Tensor, ...]
    """What the first layers add at the visual tokens, layer by layer: each (visual tokens, width)."""
    positions: Tensor
    """Of each token on the three rotary axes, counted from the passage's beginning: (3, length)."""
    advance: int
    """Positions from its beginning to that of the next passage."""

    @property
    def length(self) -> int:
        """Tokens in the passage."""
        return len(self.embedded)

    def padded(self, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """`embedded`, `visual` and `positions` with padding in front, so that the last token comes last."""
        missing = length - self.length
        return (
            pad(self.embedded, (0, 0, missing, 0)),
            pad(self.visual, (missing, 0)),
            pad(self.positions, (missing, 0)),
        )


def text_passage(embedded: Tensor) -> Passage:
    """Words, embedded as (length, width): they stand one behind the other on every axis."""
    length, device = len(embedded), embedded.device
    visual = torch.zeros(length, dtype=torch.bool, device=device)
    return Passage(embedded, visual, (), torch.arange(length, device=device).expand(3, -1), length)


def image_passage(embedded: Tensor, deep: Sequence[Tensor], rows: int, columns: int) -> Passage:
    """An image of rows * columns tokens: one point in time, its rows and columns on the other axes.

    What follows stands behind its longer side. Source: `get_rope_index` of transformers' Qwen3VLModel.
    """
    device = embedded.device
    down, across = torch.meshgrid(
        torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij"
    )
    positions = torch.stack([torch.zeros_like(down), down, across]).reshape(3, -1)
    visual = torch.ones(len(embedded), dtype=torch.bool, device=device)
    return Passage(embedded, visual, tuple(deep), positions, max(rows, columns))


def joined(first: Passage, second: Passage) -> Passage:
    """One passage behind the other; at most one of the two holds an image."""
    return Passage(
        torch.cat([first.embedded, second.embedded]),
        torch.cat([first.visual, second.visual]),
        first.deep or second.deep,
        torch.cat([first.positions, second.positions + first.advance], dim=1),
        first.advance + second.advance,
    )
