"""How a diffusers model is called: arguments of the pipeline call, precision, weight files and batch size."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aes_audit.errors import ModelNotFound, UnknownName, UsageError

__all__ = ["DTYPES", "OPTIONS", "RECIPES", "SETTINGS_FILE", "Recipe", "Settings", "read_options", "read_settings"]

SETTINGS_FILE = "aes_audit.json"
"""A model folder may hold this file: {"call": {...}, "dtype": "float32", "batch_size": 32, "variant": "fp16"}."""

DTYPES = ("float32", "bfloat16", "float16")
"""Precisions a model may be loaded in."""

RECIPES = ("default", "paper")
"""Settings of the zoo: the model card's, equal within a family; what the paper ran."""

OPTIONS = ("recipe", "steps", "guidance", "true_cfg", "size", "dtype")
"""What may stand in brackets behind a diffusers model."""

_OWN = frozenset({"prompt", "generator", "latents", "num_images_per_prompt", "output_type", "return_dict"})


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings that people choose; None leaves one as it is."""

    dtype: str | None = None
    """Precision of the weights, one of DTYPES."""
    steps: int | None = None
    """Denoising steps."""
    guidance: float | None = None
    """Guidance scale, distilled or classifier-free as the pipeline has it."""
    true_cfg: float | None = None
    """Classifier-free scale where `guidance` is distilled, as with Flux; a negative text needs it above 1."""
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    variant: str | None = None
    """Which set of weight files is read."""

    @property
    def call(self) -> Mapping[str, Any]:
        """What is chosen, under the names that pipelines take."""
        width, height = self.size or (None, None)
        named = {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "true_cfg_scale": self.true_cfg,
            "height": height,
            "width": width,
        }
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings shared by I_o and I_a (rule R6: they differ in the prompt and in nothing else)."""

    call: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the pipeline call; what is not named is the pipeline's default."""
    dtype: str | None = None
    """Precision of the weights; None is the device's default."""
    batch_size: int = 1
    """Images per call."""
    variant: str | None = None
    """Which of several sets of weight files is read: `fp16` for `*.fp16.safetensors`; None is the plain one."""
    negative: str | None = None
    """What `+negative=` said. It stands in `call` too; here it asks for true guidance where a pipeline needs that."""

    def following(self, recipe: Recipe) -> Settings:
        """The same settings with what a recipe chooses."""
        call = {**self.call, **recipe.call}
        return replace(self, call=call, dtype=recipe.dtype or self.dtype, variant=recipe.variant or self.variant)

    def away_from(self, negative: str | None) -> Settings:
        """The same settings with the text of `+negative=`, which replaces another negative prompt."""
        if negative is None:
            return self
        return replace(self, call={**self.call, "negative_prompt": negative}, negative=negative)

    def with_batch_size(self, wanted: int | None) -> Settings:
        """The same settings with the batch size a user asked for."""
        return replace(self, batch_size=wanted) if wanted else self


def read_settings(folder: Path) -> Settings:
    """Settings that lie beside the model, the pipeline's defaults where none do.

    Raises ModelNotFound for a file that is not what SETTINGS_FILE describes.
    """
    file = folder / SETTINGS_FILE
    if not file.is_file():
        return Settings()
    try:
        raw = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"{file} cannot be read as JSON: {error}.") from error
    allowed = {"call", "dtype", "batch_size", "variant"}
    if not isinstance(raw, dict) or set(raw) - allowed or not isinstance(raw.get("call", {}), dict):
        raise ModelNotFound(f"{file} may hold {', '.join(sorted(allowed))} and nothing else; `call` is an object.")
    if raw.get("dtype") not in (None, *DTYPES):
        raise ModelNotFound(f"{file}: dtype {raw['dtype']!r} is not one of {', '.join(DTYPES)}.")
    if own := sorted(_OWN.intersection(raw.get("call", {}))):
        raise ModelNotFound(f"{file}: `call` may not hold {own[0]}, which the audit sets for every image.")
    size = raw.get("batch_size", 1)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ModelNotFound(f"{file}: batch_size {size!r} is not a whole number of 1 or more.")
    variant = raw.get("variant")
    if variant is not None and not (isinstance(variant, str) and re.fullmatch(r"\w+", variant)):
        raise ModelNotFound(f"{file}: variant {variant!r} is not a word such as fp16.")
    return Settings(**raw)


def read_options(model: str, options: Mapping[str, str]) -> Recipe:
    """What stands in brackets behind `model`, `recipe` left to others.

    Raises UnknownName for another option and UsageError for a value that is none.
    """
    for name in options:
        if name not in OPTIONS:
            raise UnknownName(f"option of {model!r}", name, OPTIONS)
    steps, guidance, true_cfg, size, dtype = (options.get(name) for name in OPTIONS[1:])
    if dtype is not None and dtype not in DTYPES:
        raise UnknownName(f"dtype of {model!r}", dtype, DTYPES)
    return Recipe(
        dtype=dtype,
        steps=None if steps is None else _steps(model, steps),
        guidance=None if guidance is None else _scale(model, "guidance", guidance),
        true_cfg=None if true_cfg is None else _scale(model, "true_cfg", true_cfg),
        size=None if size is None else _size(model, size),
    )


def _steps(model: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) < 1:
        raise UsageError(f"model {model!r}: steps={text} is not a whole number from 1 to 9999.")
    return int(text)


def _scale(model: str, option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(f"model {model!r}: {option}={text} is not a number of 0 or more.")
    return value


def _size(model: str, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", text)
    width, height = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    # The autoencoders of all these models work on blocks of eight pixels.
    if not (width and height) or width % 8 or height % 8:
        raise UsageError(f"model {model!r}: size={text} is not N or WIDTHxHEIGHT in multiples of 8 pixels.")
    return width, height


def _refuse_constant(name: str) -> None:
    # Python's parser takes NaN and Infinity, which are no JSON and have no place in a key.
    raise ValueError(f"{name} is not JSON")
