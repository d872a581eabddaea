"""Loading a pinned diffusers pipeline: its files, another transformer, adapters, and where its parts stay."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import diffusers
import torch

from aes_audit.device import check_device
from aes_audit.errors import InfrastructureError
from aes_audit.generators.adapters import ADAPTER_FILES, merge_adapter
from aes_audit.generators.drawing import DiffusersGenerator
from aes_audit.generators.guidance import call_value, refuse_inert_negative
from aes_audit.generators.memory import place
from aes_audit.generators.transformer_override import load_transformer
from aes_audit.weights.hub import download, list_files
from aes_audit.weights.loading import loading, refuse_empty_tokenizer
from aes_audit.weights.pipeline_files import PIPELINE_INDEX, components, refuse_custom_code, wanted_files

if TYPE_CHECKING:
    from aes_audit.generators.resolve import DiffusersModel, TransformerOverride
    from aes_audit.weights.pinned import Weights

__all__ = ["DiffusersGenerator", "load_pipeline"]


def load_pipeline(model: DiffusersModel) -> DiffusersGenerator:
    """Load a pinned model onto its device, downloading what is not there; nothing is run that came with the weights.

    Raises InfrastructureError naming the model and the cause, ModelNotFound for files that cannot be had, UnsafeWeights
    for a pipeline with code of its own, UsageError for a negative prompt that would change nothing.
    """
    check_device(model.device)
    dtype = getattr(torch, model.dtype)
    folder = _pipeline_folder(model)
    override = _override_folder(model.transformer) if model.transformer else None
    adapters = [_fetched(lora, ADAPTER_FILES) for lora in model.loras]
    with loading(model.name):
        given: dict[str, Any] = dict.fromkeys(_absent_components(folder))
        if model.transformer and override:
            given["transformer"] = load_transformer(
                override, folder, dtype, file=model.transformer.file, subfolder=model.transformer.subfolder
            )
        pipeline = _from_folder(folder, dtype, model.settings.variant, given)
        for name, component in pipeline.components.items():
            if name.startswith("tokenizer") and component is not None:
                refuse_empty_tokenizer(f"{model.name}, {name}", component)
        for adapter in adapters:
            merge_adapter(pipeline, adapter)
        pipeline.set_progress_bar_config(disable=True)
        plan = place(pipeline, model.device, _pixels(pipeline, model.settings.call))
    if plan.warning:
        warnings.warn(f"{model.name}: {plan.warning}", stacklevel=2)
    if model.settings.negative:
        refuse_inert_negative(model.name, pipeline, model.settings.call)
    return DiffusersGenerator(pipeline, model)


def _pipeline_folder(model: DiffusersModel) -> Path:
    """The pipeline's folder, with everything in it that will be read."""
    weights, given = model.weights, ("transformer",) if model.transformer else ()
    folder = _fetched(weights, [PIPELINE_INDEX])
    repo = weights.source.repo
    names = list_files(repo, weights.revision) if repo else _names(folder)
    with loading(model.name):
        index = json.loads((folder / PIPELINE_INDEX).read_text(encoding="utf-8"))
    refuse_custom_code(str(weights.source), index, names)
    _refuse_foreign_libraries(model.name, index)
    return _fetched(weights, wanted_files(str(weights.source), index, names, model.settings.variant, given))


def _override_folder(override: TransformerOverride) -> Path:
    weights, repo = override.weights, override.weights.source.repo
    if override.file:
        return _fetched(weights, [override.file])
    room = PurePosixPath(override.subfolder or ".")
    names = map(PurePosixPath, list_files(repo, weights.revision)) if repo else ()
    wanted = [str(name) for name in names if name.parent == room and name.suffix in (".json", ".safetensors")]
    return _fetched(weights, wanted)


def _fetched(weights: Weights, files: Collection[str]) -> Path:
    """The local folder; of a repository only `files` are downloaded."""
    source = weights.source
    return source.folder or download(str(source.repo), weights.revision, source.revision, list(files))


def _names(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]


def _refuse_foreign_libraries(name: str, index: Mapping[str, Any]) -> None:
    for component, (library, kind) in components(index).items():
        if library not in ("diffusers", "transformers") and not hasattr(diffusers.pipelines, library):
            raise InfrastructureError(
                f"{name} cannot be loaded: its {component} is {kind} of {library!r}, "
                "and only classes of diffusers and transformers are loaded."
            )


def _from_folder(folder: Path, dtype: torch.dtype, variant: str | None, given: Mapping[str, Any]) -> Any:
    pipeline_class = _pipeline_class(folder)
    # SDXL marks its images invisibly, but only where a package for that happens to be installed.
    extra = {"add_watermarker": False} if "add_watermarker" in inspect.signature(pipeline_class).parameters else {}
    return diffusers.DiffusionPipeline.from_pretrained(
        folder, dtype=dtype, variant=variant, use_safetensors=True, local_files_only=True, **given, **extra
    )


def _pipeline_class(folder: Path) -> Any:
    name = json.loads((folder / PIPELINE_INDEX).read_text(encoding="utf-8"))["_class_name"]
    found = getattr(diffusers, name, None)
    if found is None:
        raise InfrastructureError(f"{folder}: diffusers {diffusers.__version__} has no {name}.")
    return found


def _absent_components(folder: Path) -> list[str]:
    """Components that the pipeline class expects and the folder leaves out, as SD3 folders without T5 do."""
    index = json.loads((folder / PIPELINE_INDEX).read_text(encoding="utf-8"))
    pipeline_class = _pipeline_class(folder)
    expected = set(inspect.signature(pipeline_class.__init__).parameters) - {"self", "args", "kwargs"}
    optional = set(pipeline_class._optional_components) | {"text_encoder_3", "tokenizer_3"}
    return sorted(name for name in expected & optional if index.get(name, [None])[0] is None)


def _pixels(pipeline: Any, call: Mapping[str, Any]) -> int:
    """Pixels of one image; 1024 x 1024 where the model's own default decides."""
    width, height = (call_value(pipeline, call, side) or 1024 for side in ("width", "height"))
    return int(width) * int(height)
