"""What may be put onto a pipeline: adapters and another transformer, found and pinned. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aes_audit.errors import ModelNotFound, UnsafeWeights
from aes_audit.weights.pinned import Weights, file_digests, resolve_weights
from aes_audit.weights.source import Source, file_at, parse_source

__all__ = [
    "LORA_MARKER",
    "PEFT_MARKER",
    "TransformerOverride",
    "TransformerSource",
    "adapter_source",
    "pin_adapter",
    "pin_transformer",
    "transformer_source",
]

LORA_MARKER = "pytorch_lora_weights.safetensors"
"""An adapter in the layout of diffusers."""
PEFT_MARKER = "adapter_config.json"
"""An adapter in the layout of PEFT; its weights are adapter_model.safetensors."""

_CONFIG = "config.json"
_WEIGHTS = ".safetensors"
_INSIDE = re.compile(r"(?P<repo>[^/@]+/[^/@]+)/(?P<path>[^@]+)(?:@(?P<revision>.+))?")


@dataclass(frozen=True, slots=True)
class TransformerSource:
    """Where another transformer comes from."""

    source: Source
    """A folder or a repository."""
    file: str | None = None
    """One safetensors file inside, as `folder/name.safetensors`; None is a folder that diffusers saved."""
    subfolder: str | None = None
    """The folder inside a repository that holds the transformer; None is the top."""


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


def adapter_source(text: str, root: Path) -> Source:
    """What `+lora=` names; raises ModelNotFound for what is neither a folder nor a hub id."""
    source = parse_source(text, root)
    if source is None:
        raise ModelNotFound(
            f"adapter {text!r} is neither a folder nor a hub id: write +lora=FOLDER or +lora=owner/name."
        )
    return source


def pin_adapter(source: Source, cache: Path | None = None) -> Weights:
    """Pin an adapter of either layout; raises ModelNotFound or UnsafeWeights."""
    folder = source.folder
    if (
        folder is not None
        and folder.is_dir()
        and not any((folder / name).is_file() for name in (LORA_MARKER, PEFT_MARKER))
    ):
        raise ModelNotFound(
            f"adapter folder {str(folder)!r} holds neither {LORA_MARKER} nor {PEFT_MARKER}: "
            "give a folder that diffusers or PEFT saved."
        )
    peft = folder is not None and not (folder / LORA_MARKER).is_file()
    return resolve_weights(source, PEFT_MARKER if peft else LORA_MARKER, cache)


def transformer_source(text: str, root: Path) -> TransformerSource:
    """What `+transformer=` names: a folder, a file ending in .safetensors, or owner/name[/PATH][@revision].

    A folder may be a transformer or a whole pipeline, whose transformer is taken. Raises ModelNotFound or
    UnsafeWeights.
    """
    path = file_at(text, root)
    if path is not None:
        if path.suffix != _WEIGHTS:
            raise UnsafeWeights(f"transformer {text!r} may run code when loaded: give a {_WEIGHTS} file.")
        return TransformerSource(Source(folder=path.parent), file=path.name)
    source = parse_source(text, root)
    if source is not None and source.folder is not None:
        inside = source.folder / "transformer"
        whole = not (source.folder / _CONFIG).is_file() and (inside / _CONFIG).is_file()
        return TransformerSource(Source(folder=inside) if whole else source)
    match = _INSIDE.fullmatch(text)
    if match and (within := parse_source(match["repo"], root)) and within.repo:
        named = Source(repo=within.repo, revision=match["revision"])
        is_file = match["path"].endswith(_WEIGHTS)
        return TransformerSource(named, *((match["path"], None) if is_file else (None, match["path"].strip("/"))))
    if source is None or str(source.repo).endswith(_WEIGHTS):
        raise ModelNotFound(
            f"transformer {text!r} is no folder, no file and no hub id: write +transformer=FOLDER, FILE{_WEIGHTS} or "
            "owner/name[/PATH][@revision]."
        )
    return TransformerSource(source)


def pin_transformer(wanted: TransformerSource, cache: Path | None = None) -> TransformerOverride:
    """Pin another transformer: a commit, or digests of the folder or of the one file. Raises as `resolve_weights`."""
    source = wanted.source
    if source.folder is None or wanted.file is None:
        return TransformerOverride(resolve_weights(source, _CONFIG, cache), wanted.file, wanted.subfolder)
    digests = file_digests(source.folder, [wanted.file], cache)
    if wanted.file not in digests:
        raise ModelNotFound(f"transformer {str(source.folder / wanted.file)!r} does not exist: check the path.")
    return TransformerOverride(Weights(source, digests[wanted.file]), wanted.file)
