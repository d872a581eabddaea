"""Which files of a diffusers pipeline are loaded: one precision, safetensors only, and no code. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from aes_audit.errors import ModelNotFound, UnsafeWeights

__all__ = ["PIPELINE_INDEX", "components", "refuse_custom_code", "wanted_files"]

PIPELINE_INDEX = "model_index.json"
"""The file that names a pipeline's class and components."""

_WEIGHTS = re.compile(
    r"(?P<stem>diffusion_pytorch_model|model|pytorch_model)"
    r"(?:\.(?P<variant>[A-Za-z]\w*))?(?:-\d{5}-of-\d{5})?(?:\.(?P<late>[A-Za-z]\w*))?\.(?P<format>safetensors|bin)"
)
# Configurations, vocabularies, chat templates and weight indices: small, and read by one library or another.
_BESIDE = (".json", ".txt", ".model", ".jinja")
_LIBRARIES = ("diffusers", "transformers")


def components(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Component -> library and class, from the content of a pipeline index; what is left out (null) is not there."""
    return {
        name: (str(value[0]), str(value[1]))
        for name, value in index.items()
        if not name.startswith("_") and isinstance(value, list) and len(value) == 2 and value[0] is not None
    }


def refuse_custom_code(what: str, index: Mapping[str, Any], files: Collection[str]) -> None:
    """Raise UnsafeWeights where a pipeline or one of its components is a class of its own Python files.

    `index` is the content of the pipeline index, `files` the names in the folder. diffusers marks such a pipeline by a
    list as `_class_name`, and such a component by the name of a module that lies beside its weights.
    """
    name = index.get("_class_name")
    if isinstance(name, list):
        raise _custom(what, f"the pipeline is {name[-1]} of {name[0]}.py")
    for component, (library, kind) in components(index).items():
        if f"{component}/{library}.py" in files or "." in library or library.startswith("_"):
            raise _custom(what, f"{component} is {kind} of {library}.py")


def wanted_files(
    what: str, index: Mapping[str, Any], files: Iterable[str], variant: str | None = None, given: Collection[str] = ()
) -> list[str]:
    """The names among `files` (posix paths) that loading the pipeline reads, in order.

    Weights are one set per component: those of `variant` ("fp16") where the component has them, else the plain ones.
    `given` are components whose weights come from elsewhere; their configuration is still wanted.
    Raises UnsafeWeights for weights that exist only as pickles, ModelNotFound where no component has the variant.
    """
    wanted, varied = [PIPELINE_INDEX], False
    names = sorted(files)
    for component in sorted(components(index)):
        inside = [name for name in names if PurePosixPath(name).parent.as_posix() == component]
        wanted += [name for name in inside if name.endswith(_BESIDE)]
        if component in given:
            continue
        of_variant, plain = _weights(inside, variant), _weights(inside, None)
        varied = varied or bool(of_variant)
        wanted += of_variant or plain
        pickles = [name for name in inside if name.endswith(".bin") and _WEIGHTS.fullmatch(PurePosixPath(name).name)]
        if pickles and not (of_variant or plain):
            raise UnsafeWeights(f"{what}: {pickles[0]} can run code when loaded, and there is no safetensors file.")
    if variant and not varied:
        raise ModelNotFound(f"{what} has no {variant} weight files: leave the variant out, or take another revision.")
    return wanted


def _weights(names: Iterable[str], variant: str | None) -> list[str]:
    found = []
    for name in names:
        match = _WEIGHTS.fullmatch(PurePosixPath(name).name)
        if match and match["format"] == "safetensors" and (match["variant"] or match["late"]) == variant:
            found.append(name)
    return found


def _custom(what: str, fault: str) -> UnsafeWeights:
    known = " and ".join(_LIBRARIES)
    return UnsafeWeights(f"{what} brings its own code ({fault}), which is never run: only classes of {known} load.")
