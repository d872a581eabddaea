"""From a SPEC to a pinned generator, without loading anything. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.device import default_dtype
from aes_audit.errors import ModelNotFound, UnknownName
from aes_audit.generators.settings import Settings, read_settings
from aes_audit.generators.spec import parse_spec
from aes_audit.generators.zoo import ZOO, ZooEntry
from aes_audit.weights.pinned import Weights, resolve_weights
from aes_audit.weights.source import Source, parse_source

if TYPE_CHECKING:
    from aes_audit.generators.pipeline import DiffusersGenerator

__all__ = ["DiffusersModel", "TransformerOverride", "resolve_generator"]

PIPELINE_MARKER = "model_index.json"
LORA_MARKER = "pytorch_lora_weights.safetensors"


@dataclass(frozen=True, slots=True)
class TransformerOverride:
    """Weights that take the place of a pipeline's transformer, pinned and not loaded."""

    weights: Weights
    """Where they come from."""
    file: str | None = None
    """One safetensors file inside, as `folder/name.safetensors`; None is a folder that diffusers saved."""
    subfolder: str | None = None
    """The folder inside that holds the transformer; None is the top."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What goes into keys: on this machine content alone, on the hub also which file of the commit."""
        place = {"file": self.file, "subfolder": self.subfolder} if self.weights.source.repo else {}
        return {**self.weights.identity, **{key: value for key, value in place.items() if value is not None}}


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
        """Never: matrix kernels may round differently for another batch."""
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
            "scheduler": self._scheduler(),
            # Keys of what most models do not have are left out, so that their images keep their keys.
            **({"transformer": dict(self.transformer.identity)} if self.transformer else {}),
            **({"variant": self.settings.variant} if self.settings.variant else {}),
            **({"negative": self.settings.negative} if self.settings.negative else {}),
        }

    def load(self) -> DiffusersGenerator:
        """Load pipeline and adapters onto the device; raises InfrastructureError."""
        from aes_audit.generators.pipeline import load_pipeline

        return load_pipeline(self)

    def _scheduler(self) -> str | None:
        # The scheduler's settings are part of the weights' digest; its class is named for people who compare keys.
        if self.weights.source.folder is None:
            return None
        try:
            index = json.loads((self.weights.source.folder / PIPELINE_MARKER).read_text(encoding="utf-8"))
            return str(index["scheduler"][1])
        except (OSError, ValueError, LookupError, TypeError):
            return None


def resolve_generator(
    text: str, *, root: Path, device: str, batch_size: int | None = None, cache: Path | None = None
) -> DiffusersModel:
    """Pin the generator that a SPEC names.

    `root` is what relative folders refer to, `cache` a folder that remembers file digests. Raises
    UnknownName (with what exists), ModelNotFound or UnsafeWeights.
    """
    spec = parse_spec(text)
    entry = _entry(spec.base, root)
    sources = (*entry.loras, *(_lora_source(lora, root) for lora in spec.loras))
    weights = resolve_weights(entry.base, PIPELINE_MARKER, cache)
    _refuse_broken_index(weights)
    return DiffusersModel(
        name=text,
        weights=weights,
        loras=tuple(resolve_weights(source, LORA_MARKER, cache) for source in sources),
        settings=(read_settings(entry.base.folder) if entry.base.folder else Settings()).with_batch_size(batch_size),
        device=device,
    )


def _entry(base: str, root: Path) -> ZooEntry:
    if base in ZOO:
        return ZOO[base]
    source = None if base.startswith("control/") else parse_source(base, root)
    if source is None:
        raise UnknownName("model", base, ZOO, "Or give a folder, or a hub id as owner/name[@revision].")
    return ZooEntry(source)


def _lora_source(text: str, root: Path) -> Source:
    source = parse_source(text, root)
    if source is None:
        raise ModelNotFound(
            f"adapter {text!r} is neither a folder nor a hub id: write +lora=FOLDER or +lora=owner/name."
        )
    return source


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
