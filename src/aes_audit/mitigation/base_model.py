"""The model that an adapter is trained for: pinned as for an audit, refused by name where it cannot be trained.

Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aes_audit.device import default_dtype
from aes_audit.errors import ModelNotFound, UsageError
from aes_audit.generators.resolve import PIPELINE_MARKER, DiffusersModel, resolve_generator
from aes_audit.mitigation.pairs import PairFolder
from aes_audit.mitigation.recipe import Recipe
from aes_audit.weights.hub import download

__all__ = ["TRAINABLE", "picture_size", "resolve_base", "subject_of"]

TRAINABLE = ("StableDiffusion3Pipeline", "FluxPipeline")
"""Pipeline classes whose transformers get adapters."""


def resolve_base(spec: str, *, root: Path, device: str, cache: Path | None = None) -> DiffusersModel:
    """Pin the model of a SPEC, adapters included; raises UnknownName, ModelNotFound, UnsafeWeights or UsageError."""
    model = resolve_generator(spec, root=root, device=device, cache=cache)
    if not isinstance(model, DiffusersModel):
        raise UsageError(f"{spec} is no diffusers model: adapters are trained for {' and '.join(TRAINABLE)}.")
    if model.settings.negative:
        raise UsageError(f"{spec}: +negative acts while pictures are drawn: train without it.")
    if (found := _pipeline_class(model)) not in TRAINABLE:
        raise UsageError(f"{spec} is a {found}: adapters are trained for {' and '.join(TRAINABLE)}.")
    return model


def _pipeline_class(model: DiffusersModel) -> str:
    source = model.weights.source
    # Of a repository only this file is fetched: a model that is refused need not be downloaded.
    folder = source.folder or download(str(source.repo), model.weights.revision, source.revision, [PIPELINE_MARKER])
    try:
        return str(json.loads((folder / PIPELINE_MARKER).read_text(encoding="utf-8"))["_class_name"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelNotFound(f"{model.name} holds no readable {PIPELINE_MARKER}: {error!r}.") from error


def subject_of(model: DiffusersModel, data: PairFolder, recipe: Recipe) -> dict[str, Any]:
    """What determines the adapter, as JSON values: two trainings of one subject on one CPU end alike."""
    # The settings of a call stay in: size, guidance and text length are taken from them.
    base = {key: value for key, value in model.identity.items() if key != "dtype"}
    return {
        "base": {"model": model.name, **base},
        "data": {"digest": data.digest, "pairs": len(data.pairs), "prompts": len(data.prompts)},
        "recipe": {**recipe.identity, "dtype": recipe.dtype or default_dtype(model.device)},
    }


def picture_size(model: DiffusersModel, recipe: Recipe) -> tuple[int, int] | None:
    """Width and height: the recipe's, else what the model is called with, else None for the pipeline's default."""
    call = model.settings.call
    if recipe.size is None and {"width", "height"} <= call.keys():
        return int(call["width"]), int(call["height"])
    return recipe.size
