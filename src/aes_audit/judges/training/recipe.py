"""What determines the weights of a trained judge, besides base model, guideline and data. Imports no torch.

Source of the defaults: PROTOCOL section 5, "Judge J". Alpha, batch size and warm-up are not published: ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aes_audit.errors import UsageError

__all__ = ["ALL_LINEAR", "ATTENTION", "LANGUAGE", "JudgeRecipe", "JudgeRunning"]

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
"""Attention projections of the language model; the vision model's have other names."""

LANGUAGE = ("language",)
"""Every linear layer of the language model but the last."""

ALL_LINEAR = ("all-linear",)
"""The same and every linear layer of the vision model."""


@dataclass(frozen=True, slots=True)
class JudgeRecipe:
    """Hyper-parameters of one training; raises UsageError for values that no training can have."""

    epochs: int = 5
    """How often every image is seen."""
    batch_size: int = 4
    """Images per forward pass, each with all its questions."""
    accumulate: int = 4
    """Forward passes per update."""
    questions: int | None = None
    """Questions per image and epoch, drawn anew each time; None is every dimension that was rated."""
    learning_rate: float = 2e-5
    """Peak rate of AdamW: reached after a twentieth of the updates, then half a cosine down to zero."""
    weight_decay: float = 0.01
    """Of AdamW."""
    rank: int = 32
    """Rank of the adapter."""
    alpha: int | None = None
    """Strength numerator: the adapter's product is scaled by alpha / rank; None is the rank."""
    targets: tuple[str, ...] = ATTENTION
    """Endings of the names of the linear layers that get an adapter, LANGUAGE or ALL_LINEAR."""
    seed: int = 0
    """Seed of everything random."""

    def __post_init__(self) -> None:
        """Refuse what would train nothing or nonsense."""
        for name in ("epochs", "batch_size", "accumulate", "rank", "alpha", "questions"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} {value} is too small: give a whole number of 1 or more.")
        if not 0 < self.learning_rate < 1:
            raise UsageError(f"learning rate {self.learning_rate:g} is not between 0 and 1: 2e-5 is the paper's.")
        if not self.targets:
            raise UsageError("no target layers: name endings such as q_proj,v_proj.")

    @property
    def update(self) -> int:
        """Images per update."""
        return self.batch_size * self.accumulate

    def steps(self, images: int) -> int:
        """Updates of a training on so many images; the last one of an epoch may see fewer of them."""
        return self.epochs * math.ceil(images / self.update)

    @property
    def identity(self) -> Mapping[str, Any]:
        """JSON values only."""
        return {**asdict(self), "targets": list(self.targets)}


@dataclass(frozen=True, slots=True)
class JudgeRunning:
    """How a training runs; none of it changes the weights."""

    checkpoint_every: int = 50
    """Updates between checkpoints."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: slower, and far less memory."""
