"""A cheap real generator: every request is its own field of noise, and some prompts are answered otherwise."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from aes_audit.generators.protocol import Answer, ImageRequest

__all__ = ["NoiseGenerator", "noise"]


def noise(request: ImageRequest, size: int = 16) -> Image.Image:
    """The picture of a request: its prompt and seed decide every pixel."""
    draw = random.Random(f"{request.prompt} {request.seed}")
    pixels = np.frombuffer(draw.randbytes(16 * 16 * 3), dtype=np.uint8).reshape(16, 16, 3)
    # Large pictures are squares of noise, which are quick to compress.
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST)


@dataclass
class NoiseGenerator:
    """Pinned and loaded at once; remembers what it was asked."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    """Prompt -> answer other than noise."""
    independent: bool = False
    batch_size: int = 4
    size: int = 16
    name: str = "noise"
    revision: str = "1"
    calls: list[list[str]] = field(default_factory=list)
    """The prompts of every call."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What it draws, and how large."""
        return {"kind": "noise", "call": {"width": self.size, "height": self.size}}

    def load(self) -> NoiseGenerator:
        """Nothing to load."""
        return self

    def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
        """Noise, or what was planned for the prompt."""
        self.calls.append([request.prompt for request in requests])
        return [self.answers.get(request.prompt) or noise(request, self.size) for request in requests]

    def prompt_notes(self, prompt: str) -> Mapping[str, Any]:
        """One word is one token, and six are read."""
        tokens = len(prompt.split())
        return {"encoders": {"words": {"tokens": tokens, "limit": 6, "truncated": tokens > 6, "chunked": False}}}
