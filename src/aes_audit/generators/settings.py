"""How a diffusers model is called: arguments of the pipeline call, precision and batch size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aes_audit.errors import ModelNotFound

__all__ = ["SETTINGS_FILE", "Settings", "read_settings"]

SETTINGS_FILE = "aes_audit.json"
"""A model folder may hold this file: {"call": {...}, "dtype": "float32", "batch_size": 32}."""

_DTYPES = ("float32", "bfloat16", "float16")
_OWN = frozenset({"prompt", "generator", "latents", "num_images_per_prompt", "output_type", "return_dict"})


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
    allowed = {"call", "dtype", "batch_size"}
    if not isinstance(raw, dict) or set(raw) - allowed or not isinstance(raw.get("call", {}), dict):
        raise ModelNotFound(f"{file} may hold {', '.join(sorted(allowed))} and nothing else; `call` is an object.")
    if raw.get("dtype") not in (None, *_DTYPES):
        raise ModelNotFound(f"{file}: dtype {raw['dtype']!r} is not one of {', '.join(_DTYPES)}.")
    if own := sorted(_OWN.intersection(raw.get("call", {}))):
        raise ModelNotFound(f"{file}: `call` may not hold {own[0]}, which the audit sets for every image.")
    size = raw.get("batch_size", 1)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ModelNotFound(f"{file}: batch_size {size!r} is not a whole number of 1 or more.")
    return Settings(**raw)


def _refuse_constant(name: str) -> None:
    # Python's parser takes NaN and Infinity, which are no JSON and have no place in a key.
    raise ValueError(f"{name} is not JSON")
