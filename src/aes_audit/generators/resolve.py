"""From a SPEC to a pinned diffusers pipeline, without loading anything. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.device import default_dtype
from aes_audit.errors import ModelNotFound, UnknownName, UsageError
from aes_audit.generators.parts import (
    LORA_MARKER,
    TransformerOverride,
    adapter_source,
    pin_adapter,
    pin_transformer,
    transformer_source,
)
from aes_audit.generators.settings import RECIPES, Settings, read_options, read_settings
from aes_audit.generators.spec import GeneratorSpec, parse_spec
from aes_audit.generators.zoo import ZOO, ZooEntry
from aes_audit.weights.pinned import Weights, resolve_weights
from aes_audit.weights.source import Source, parse_source

if TYPE_CHECKING:
    from aes_audit.generators.pipeline import DiffusersGenerator

__all__ = [
    "LORA_MARKER",
    "PIPELINE_MARKER",
    "DiffusersModel",
    "TransformerOverride",
    "recipe_of",
    "resolve_generator",
    "unknown_model",
    "zoo_name",
]

PIPELINE_MARKER = "model_index.json"


@dataclass(frozen=True, slots=True)
class DiffusersModel:
    """A diffusers pipeline with its adapters, pinned and not loaded."""

    name: str
    """The `model` column of the evidence: the SPEC as typed."""
    weights: Weights
    """The pipeline."""
    loras: tuple[Weights, ...]
    """Adapters, fused into the transformer or U-Net in this order."""
    settings: Settings
    """How the pipeline is called."""
    device: str
    """Where it runs."""
    transformer: TransformerOverride | None = None
    """What replaces the pipeline's transformer, before adapters are applied."""
    entry: ZooEntry | None = None
    """What the zoo says about the base; None for a model that it does not know."""

    @property
    def revision(self) -> str:
        """Commit or content digest, another transformer and adapters included."""
        replaced = (self.transformer.weights,) if self.transformer else ()
        return "+".join(weights.revision for weights in (self.weights, *replaced, *self.loras))

    @property
    def dtype(self) -> str:
        """Precision of the weights."""
        return self.settings.dtype or default_dtype(self.device)

    @property
    def batch_size(self) -> int:
        """Images per call."""
        return self.settings.batch_size

    @property
    def independent(self) -> bool:
        """False: which images share a batch is fixed, because kernels may round by its size."""
        return False

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that determines an image besides prompt and seed."""
        return {
            "kind": "diffusers",
            "weights": self.weights.identity,
            "loras": [lora.identity for lora in self.loras],
            "call": dict(self.settings.call),
            "dtype": self.dtype,
            "scheduler": self.scheduler,
            # Keys of what most models do not have are left out, so that their images keep their keys.
            **({"transformer": dict(self.transformer.identity)} if self.transformer else {}),
            **({"variant": self.settings.variant} if self.settings.variant else {}),
            **({"negative": self.settings.negative} if self.settings.negative else {}),
        }

    @property
    def scheduler(self) -> str | None:
        """The scheduler's class, for people who compare; its settings are part of the weights' digest."""
        if self.weights.source.folder is None:
            return self.entry.scheduler if self.entry else None
        try:
            index = json.loads((self.weights.source.folder / PIPELINE_MARKER).read_text(encoding="utf-8"))
            return str(index["scheduler"][1])
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def load(self) -> DiffusersGenerator:
        """Load pipeline and adapters onto the device; raises InfrastructureError."""
        from aes_audit.generators.pipeline import load_pipeline

        return load_pipeline(self)


def resolve_generator(
    text: str,
    *,
    root: Path,
    device: str,
    batch_size: int | None = None,
    cache: Path | None = None,
    recipe: str | None = None,
) -> DiffusersModel:
    """Pin the diffusers pipeline that a SPEC names.

    `root` is what relative folders refer to, `cache` a folder that remembers file digests, `recipe` the one of a zoo
    name that says none itself. Raises UnknownName (with what exists), UsageError, ModelNotFound or UnsafeWeights.
    """
    spec = parse_spec(text, root)
    entry = _entry(spec, root)
    if entry.base is None:
        raise UsageError(f"model {text!r} is hosted: it has no weights to load.")
    weights = resolve_weights(entry.base, PIPELINE_MARKER, cache)
    _refuse_broken_index(weights)
    transformer = transformer_source(spec.transformer, root) if spec.transformer else entry.transformer
    return DiffusersModel(
        name=text,
        weights=weights,
        loras=tuple(pin_adapter(source, cache) for source in _adapters(spec, entry, root)),
        settings=_settings(spec, entry, recipe).with_batch_size(batch_size),
        device=device,
        transformer=pin_transformer(transformer, cache) if transformer else None,
        entry=entry if entry.family else None,
    )


def recipe_of(spec: GeneratorSpec, wanted: str | None) -> str:
    """The recipe that a zoo name is run with: its own, else the wanted one, else the default; raises UnknownName."""
    recipe = spec.options.get("recipe") or wanted or RECIPES[0]
    if recipe not in RECIPES:
        raise UnknownName(f"recipe of {spec.text!r}", recipe, RECIPES)
    return recipe


def zoo_name(base: str) -> tuple[str | None, str | None]:
    """Name and revision where `base` is a name of the zoo, else None twice."""
    if base in ZOO:
        return base, None
    name, _, revision = base.partition("@")
    return (name, revision) if name in ZOO and revision else (None, None)


def unknown_model(base: str) -> UnknownName:
    """The error for a name that is nothing, listing what exists."""
    return UnknownName("model", base, ZOO, "Or give a folder, or a hub id as owner/name[@revision].")


def _entry(spec: GeneratorSpec, root: Path) -> ZooEntry:
    name, revision = zoo_name(spec.base)
    if name is not None:
        return _at(name, revision)
    if "recipe" in spec.options:
        raise UsageError(f"model {spec.text!r}: only names of the zoo have recipes; give steps, guidance, size, dtype.")
    source = None if spec.base.startswith("control/") else parse_source(spec.base, root)
    if source is None:
        raise unknown_model(spec.base)
    # The repository behind a name is the same model when it is spelt out.
    same = (known for known in ZOO.values() if known.base and known.base.repo == source.repo is not None)
    whole = [known for known in same if not known.loras and known.transformer is None]
    return replace(whole[0], base=source) if whole else ZooEntry(source)


def _at(name: str, revision: str | None) -> ZooEntry:
    entry = ZOO[name]
    if revision is None:
        return entry
    if entry.base is None or entry.base.repo is None:
        raise UsageError(f"model '{name}@{revision}': {name} has no revisions: write {name}.")
    return replace(entry, base=replace(entry.base, revision=revision))


def _adapters(spec: GeneratorSpec, entry: ZooEntry, root: Path) -> list[Source]:
    """Those of the zoo, then those appended; naming one of the zoo's again says which revision of it is meant."""
    found = list(entry.loras)
    for text in spec.loras:
        source = adapter_source(text, root)
        again = [number for number, known in enumerate(entry.loras) if known.repo and known.repo == source.repo]
        if again:
            found[again[0]] = source
        else:
            found.append(source)
    return found


def _settings(spec: GeneratorSpec, entry: ZooEntry, recipe: str | None) -> Settings:
    beside = read_settings(entry.base.folder) if entry.base and entry.base.folder else Settings()
    chosen = read_options(spec.text, spec.options)
    return beside.following(entry.recipe(recipe_of(spec, recipe))).following(chosen).away_from(spec.negative)


def _refuse_broken_index(weights: Weights) -> None:
    if weights.source.folder is None:
        return
    file = weights.source.folder / PIPELINE_MARKER
    try:
        name = json.loads(file.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelNotFound(f"{file} is not a diffusers pipeline index: {error!r}.") from error
    if not isinstance(name, str):
        raise ModelNotFound(f"{file}: `_class_name` must be a string, found {name!r}.")
