"""Which generators may be compared: what to compare a model with, and what else differs between two arms.

Rules R6 to R8 of the protocol. Within one generator there is nothing to check: a request holds a prompt and a seed, so
originals and wide images share every other setting by construction. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aes_audit.generators.protocol import ResolvedGenerator
from aes_audit.generators.resolve import DiffusersModel, zoo_name
from aes_audit.generators.spec import parse_spec
from aes_audit.generators.zoo import ZOO

__all__ = ["ProvenanceWarning", "differences", "proposed_base", "provenance_warnings"]

_SHOWN = {"num_inference_steps": "steps", "guidance_scale": "guidance"}
_SCHEDULER = Path("scheduler") / "scheduler_config.json"


class ProvenanceWarning(UserWarning):
    """What a comparison shows is not the alignment alone; the fields that differ are named."""


def proposed_base(text: str, root: Path | None = None) -> str | None:
    """The SPEC to compare a model with: itself without what was appended, or what the zoo says it descends from."""
    spec = parse_spec(text, root)
    if spec.loras or spec.transformer or spec.negative:
        return spec.head
    name, _ = zoo_name(spec.base)
    compared = ZOO[name].compared if name else None
    return f"{compared}{spec.head.removeprefix(spec.base)}" if compared else None


def differences(model: ResolvedGenerator, other: ResolvedGenerator) -> dict[str, tuple[str, str]]:
    """Settings in which two generators differ, for people: name -> the one's and the other's.

    What `+negative=`, adapters and another transformer do is what is compared, and no difference. Generators other
    than diffusers pipelines do not tell their settings; they differ in nothing that could be seen.
    """
    if not (isinstance(model, DiffusersModel) and isinstance(other, DiffusersModel)):
        return {}
    ours, theirs = _settings(model), _settings(other)
    names = sorted({*ours, *theirs}, key=[*ours, *theirs].index)
    default = "the pipeline's default"
    found = {name: (ours.get(name, default), theirs.get(name, default)) for name in names}
    return {name: values for name, values in found.items() if values[0] != values[1]}


def provenance_warnings(models: Sequence[ResolvedGenerator], base: ResolvedGenerator | None) -> tuple[str, ...]:
    """What a reader of the results must know about the models under audit and their base, a sentence each."""
    compared = [_comparison_warning(model, base) for model in models if base is not None and model.name != base.name]
    return tuple(said for said in (*compared, _table_warning(models)) if said)


def _comparison_warning(model: ResolvedGenerator, base: ResolvedGenerator) -> str | None:
    """What besides the weights tells a model from its base, in one sentence; None for a fair comparison."""
    differing = differences(model, base)
    said = [f"{name} ({', '.join(values)})" for name, values in differing.items()]
    families = [_family(generator) for generator in (model, base)]
    if None not in families and families[0] != families[1]:
        said.insert(0, f"family ({families[0]}, {families[1]})")
    if isinstance(model, DiffusersModel) != isinstance(base, DiffusersModel):
        said.append("kind (one of them does not tell its settings)")
    if not said:
        return None
    return f"{model.name} and {base.name} differ in {_listed(said)}: their images differ by more than the alignment."


def _table_warning(models: Sequence[ResolvedGenerator]) -> str | None:
    """Size and settings of each model where one table shows models drawn with different ones; None where all agree."""
    known = [model for model in models if isinstance(model, DiffusersModel)]
    if not any(differences(known[0], other) for other in known[1:]):
        return None
    said = [f"{model.name} ({', '.join(_described(model))})" for model in known]
    return f"models drawn with different settings stand in one table and do not compare: {'; '.join(said)}."


def _settings(model: DiffusersModel) -> Mapping[str, str]:
    call = dict(model.settings.call)
    if model.settings.negative is not None:
        # The scale without which the text would do nothing belongs to it.
        for name in ("negative_prompt", "true_cfg_scale"):
            call.pop(name, None)
    size = {"size": f"{call.pop('width')}x{call.pop('height')}"} if {"width", "height"} <= call.keys() else {}
    named = {_SHOWN.get(name, name): _plain(value) for name, value in call.items()}
    scheduler = {"scheduler": model.scheduler} if model.scheduler else {}
    tuned = _tuned(model)
    variant = {"weight files": model.settings.variant} if model.settings.variant else {}
    return {"dtype": model.dtype, **size, **named, **scheduler, **tuned, **variant}


def _tuned(model: DiffusersModel) -> Mapping[str, str]:
    """The scheduler's own settings; those of a repository are not on this machine yet."""
    folder = model.weights.source.folder
    if folder is None:
        return {}
    try:
        said = json.loads((folder / _SCHEDULER).read_text(encoding="utf-8"))
        return {f"scheduler's {name}": _plain(value) for name, value in said.items() if not name.startswith("_")}
    except (OSError, ValueError, AttributeError):
        return {}


def _described(model: DiffusersModel) -> list[str]:
    found = _settings(model)
    words = {"steps": "{} steps", "guidance": "guidance {}"}
    shown = {name: found[name] for name in ("size", "steps", "guidance", "dtype", "scheduler") if name in found}
    return [words.get(name, "{}").format(value) for name, value in shown.items()]


def _family(model: ResolvedGenerator) -> str | None:
    return model.entry.family if isinstance(model, DiffusersModel) and model.entry else None


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
