"""Randomness and schedules of a training: everything depends on the seed and the step, so that resuming needs no state.

Noise shares follow the logit-normal density of Esser et al. (2024, arXiv 2403.03206, section 3.1) or are uniform, and
are then shifted as the pipeline's own scheduler shifts those that it draws pictures with."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch

from aes_audit.errors import UsageError

__all__ = ["draw_sigmas", "generator_for", "learning_rate", "refuse_other_schedulers", "shifted"]


def generator_for(seed: int, *key: object) -> torch.Generator:
    """Random numbers of one purpose and step, drawn on the CPU: every device sees the same ones."""
    digest = hashlib.sha256(repr((seed, *key)).encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:7], "little"))


def draw_sigmas(how: str, count: int, random: torch.Generator) -> torch.Tensor:
    """Noise shares in (0, 1), shape (count,), before any shift; `how` is `logit-normal` or `uniform`."""
    if how == "uniform":
        return torch.rand((count,), generator=random)
    return torch.sigmoid(torch.randn((count,), generator=random))


def shifted(scheduler: Any, sigmas: torch.Tensor, tokens: int) -> torch.Tensor:
    """The noise shares that the scheduler makes of these for a picture of `tokens` image tokens."""
    config = scheduler.config
    if not config.use_dynamic_shifting:
        static: torch.Tensor = scheduler.shift * sigmas / (1 + (scheduler.shift - 1) * sigmas)
        return static
    # The pipelines' own line through (base_image_seq_len, base_shift) and (max_image_seq_len, max_shift).
    slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
    mu = config.base_shift + slope * (tokens - config.base_image_seq_len)
    dynamic: torch.Tensor = scheduler.time_shift(mu, 1.0, sigmas)
    return dynamic


def refuse_other_schedulers(name: str, scheduler: Any) -> None:
    """Raise UsageError for a scheduler whose noise does not mix linearly with the picture."""
    if not type(scheduler).__name__.startswith("FlowMatchEuler"):
        raise UsageError(f"{name}: {type(scheduler).__name__} is no rectified flow: train a FlowMatchEuler model.")


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Rate of a step: up to `peak` within a twentieth of the steps, then half a cosine towards zero."""
    warm = max(1, steps // 20)
    if step < warm:
        return peak * (step + 1) / warm
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
