"""Revisions that may be other weights tomorrow: which there are in a run, and how to write them down for good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from aes_audit.errors import UsageError
from aes_audit.generators.parts import adapter_source
from aes_audit.generators.protocol import ResolvedGenerator
from aes_audit.generators.registry import is_hosted
from aes_audit.generators.resolve import DiffusersModel
from aes_audit.generators.spec import parse_spec
from aes_audit.judges.protocol import ResolvedJudge
from aes_audit.rewards.catalogue import CATALOGUE
from aes_audit.rewards.protocol import ResolvedReward
from aes_audit.rewards.registry import REWARDS, ClipEntry
from aes_audit.rewards.spec import named, parse_reward
from aes_audit.weights.pinned import Weights
from aes_audit.weights.source import Source

__all__ = ["hosted_warning", "pinned_model", "pinned_reward", "refuse_floating"]


def refuse_floating(
    models: Iterable[ResolvedGenerator],
    rewards: Mapping[str, ResolvedReward],
    judge: ResolvedJudge,
    root: Path,
) -> None:
    """Raise UsageError that says what to write instead of every SPEC that names a branch, a tag or nothing.

    `rewards` are by SPEC. Configuration and tokenizers that a reward takes from other repositories are recorded by
    commit in its identity, but no SPEC can name their revision, and so none is asked for.
    """
    said = [(model.name, pinned_model(model, root)) for model in models]
    said += [(spec, pinned_reward(spec, reward)) for spec, reward in rewards.items()]
    said += [(str(weights.source), _at(weights)) for weights in judge.sources if weights.source.is_floating]
    if floating := [f"{pinned!r} for {spec!r}" for spec, pinned in said if pinned]:
        raise UsageError(f"--audit-require-pinned refuses revisions that may change: write {', '.join(floating)}.")


def pinned_model(model: ResolvedGenerator, root: Path) -> str | None:
    """The SPEC of the same generator with every commit written out; None where nothing in it floats."""
    if not isinstance(model, DiffusersModel):
        return None
    parts = [model.weights, *([model.transformer.weights] if model.transformer else []), *model.loras]
    if not any(weights.source.is_floating for weights in parts):
        return None
    spec = parse_spec(model.name, root)
    pieces = [_base(spec.base, model.weights), spec.head.removeprefix(spec.base)]
    if model.transformer and (spec.transformer or model.transformer.weights.source.is_floating):
        inside = model.transformer.file or model.transformer.subfolder
        pieces.append(f"+transformer={_at(model.transformer.weights, inside) or spec.transformer}")
    typed = {adapter_source(text, root): text for text in spec.loras}
    for lora in model.loras:
        # What a name brings along needs no mention, unless it is there that something floats.
        if lora.source.is_floating or lora.source in typed:
            pieces.append(f"+lora={_at(lora) or typed[lora.source]}")
    return "".join([*pieces, f"+negative={spec.negative}" if spec.negative else ""])


def pinned_reward(spec: str, reward: ResolvedReward) -> str | None:
    """The SPEC of the same reward with its commit; None where nothing in it floats, or where only its package knows."""
    asked = parse_reward(spec)
    if asked.path is not None:
        return None
    entry = REWARDS.get(asked.name)
    if isinstance(entry, ClipEntry):
        source = entry.source
    else:
        source = Source(repo=CATALOGUE[asked.name].repo if asked.name in CATALOGUE else None, revision=asked.revision)
    return f"{named(asked.name, asked.options)}@{reward.revision}" if source.is_floating else None


def hosted_warning(names: Iterable[str], root: Path, judges: Iterable[str] = ()) -> str | None:
    """What --audit-require-pinned cannot promise about models on the network; None where there are none.

    `names` are the SPECs of generators, `judges` the names of judges behind endpoints.
    """
    hosted = [*(name for name in names if is_hosted(name, root)), *judges]
    return f"{', '.join(hosted)}: hosted, so that no revision can be pinned." if hosted else None


def _base(typed: str, weights: Weights) -> str:
    return f"{typed.partition('@')[0]}@{weights.revision}" if weights.source.is_floating else typed


def _at(weights: Weights, inside: str | None = None) -> str | None:
    """The repository, what is meant inside it, and the commit; None for a folder."""
    place = "/".join(filter(None, (weights.source.repo, inside)))
    return f"{place}@{weights.revision}" if weights.source.repo else None
