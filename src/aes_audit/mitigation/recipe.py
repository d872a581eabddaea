"""What determines the weights of a trained adapter, besides base model and data. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aes_audit.errors import UsageError

__all__ = ["ATTENTION", "TEXT", "TIMESTEPS", "Recipe", "Running"]

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
"""Attention projections of SD3- and Flux-type transformers, of image and text."""

TEXT = (
    "context_embedder",
    "text_embedder.linear_1",
    "text_embedder.linear_2",
    "add_q_proj",
    "add_k_proj",
    "add_v_proj",
    "to_add_out",
    "ff_context.net.0.proj",
    "ff_context.net.2",
)
"""Where the prompt enters these transformers: what it does with the words, and little of how it paints."""

TIMESTEPS = ("logit-normal", "uniform")
"""How noise shares are drawn before the scheduler's shift."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyper-parameters of one training; raises UsageError for values that no training can have."""

    steps: int = 500
    """Updates of the weights."""
    batch_size: int = 4
    """Pairs per forward pass."""
    accumulate: int = 1
    """Forward passes per update."""
    learning_rate: float = 1e-4
    """Peak rate of AdamW: reached after a twentieth of the steps, then half a cosine down to zero."""
    weight_decay: float = 0.0
    """Of AdamW."""
    rank: int = 16
    """Rank of the adapter."""
    alpha: int | None = None
    """Strength numerator: the adapter's product is scaled by alpha / rank; None is the rank."""
    targets: tuple[str, ...] = ATTENTION
    """Endings of the names of the linear layers that get an adapter."""
    timesteps: str = "logit-normal"
    """One of TIMESTEPS."""
    size: tuple[int, int] | None = None
    """Width and height of the training pictures in pixels; None is what the model is called with."""
    guidance: float | None = None
    """Guidance embedding of guidance-distilled transformers; None is what the model is called with."""
    dtype: str | None = None
    """Precision of the frozen model, float32 or bfloat16; None is the device's default. The adapter is float32."""
    saved_dtype: str | None = None
    """Precision of the saved adapter, float16 besides those; None is `dtype`."""
    seed: int = 0
    """Seed of everything random."""

    def __post_init__(self) -> None:
        """Refuse what would train nothing or nonsense."""
        for name in ("steps", "batch_size", "accumulate", "rank"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)} is too small: give a whole number of 1 or more.")
        if not 0 < self.learning_rate < 1:
            raise UsageError(f"learning rate {self.learning_rate:g} is not between 0 and 1: 1e-4 is usual.")
        if self.alpha is not None and self.alpha < 1:
            raise UsageError(f"alpha {self.alpha} is too small: give a whole number of 1 or more.")
        if not self.targets:
            raise UsageError("no target layers: name endings such as to_q,to_v.")

    @property
    def identity(self) -> Mapping[str, Any]:
        """JSON values only."""
        found = asdict(self)
        return {**found, "targets": list(self.targets), "size": list(self.size) if self.size else None}


@dataclass(frozen=True, slots=True)
class Running:
    """How a training runs; none of it changes the weights."""

    checkpoint_every: int = 50
    """Steps between checkpoints."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: slower, and far less memory."""
