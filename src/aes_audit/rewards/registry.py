"""The rewards that have a name, pinned but not loaded. Adding one is one entry in the catalogue. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.errors import UnknownName, UsageError
from aes_audit.resources import control_folder
from aes_audit.rewards.catalogue import CATALOGUE, RewardEntry
from aes_audit.rewards.protocol import ResolvedReward
from aes_audit.rewards.sources import PinnedFiles, pin_files
from aes_audit.rewards.spec import RewardSpec, named, parse_reward
from aes_audit.rewards.third_party import plugin_names, resolve_plugin
from aes_audit.weights.pinned import Weights, resolve_weights
from aes_audit.weights.source import Source

if TYPE_CHECKING:
    from aes_audit.rewards.pair_scorer import PairScorer

__all__ = ["REWARDS", "ClipEntry", "ClipRewardModel", "OfficialReward", "contrastive", "resolve_reward", "scorer_name"]

RECIPE_VERSION = 1
"""Part of every official reward's identity; raised when a recipe's scores change."""


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """A CLIP in the ordinary format of transformers, with a recipe of its own: the controls are such."""

    source: Source
    """Folder or repository of the CLIPModel."""
    scaled: bool
    """Whether scores are multiplied by exp(logit_scale)."""


REWARDS: dict[str, RewardEntry | ClipEntry] = {
    "control/clip": ClipEntry(Source(folder=control_folder("clip")), scaled=False),
    "control/preference": ClipEntry(Source(folder=control_folder("preference")), scaled=True),
    **CATALOGUE,
}
"""Every built-in reward by name; other packages add theirs by entry points."""


@dataclass(frozen=True, slots=True)
class ClipRewardModel:
    """A CLIP with a recipe of its own, pinned and not loaded."""

    name: str
    """The `scorer` column of the evidence."""
    weights: Weights
    """The CLIPModel folder."""
    scaled: bool
    """Whether scores are multiplied by exp(logit_scale)."""
    device: str
    """Where it runs."""

    @property
    def revision(self) -> str:
        """Commit or content digest."""
        return self.weights.revision

    @property
    def identity(self) -> Mapping[str, Any]:
        """Weights and recipe; the device is provenance, not identity."""
        recipe = {"image": "square-bicubic", "text": "clip-raw", "dtype": "float32", "scaled": self.scaled}
        return {"kind": "clip", "weights": self.weights.identity, "recipe": recipe}

    def load(self) -> PairScorer[Any, Any]:
        """Load the weights; raises InfrastructureError."""
        from aes_audit.rewards.clip import load_clip

        return load_clip(self.weights.folder(), scaled=self.scaled, device=self.device)


@dataclass(frozen=True, slots=True)
class OfficialReward:
    """A reward of the catalogue with its official weights, pinned and not loaded."""

    entry: RewardEntry
    """What the catalogue says."""
    kind: str
    """Name in the catalogue."""
    said: Mapping[str, str]
    """Options that were chosen and are not the default."""
    files: PinnedFiles
    """Checkpoint and companions."""
    device: str
    """Where it runs."""

    @property
    def name(self) -> str:
        """The `scorer` column of the evidence: two recipes never meet under one name."""
        return named(self.kind, self.said)

    @property
    def revision(self) -> str:
        """Commit or content digest of the checkpoint."""
        return self.files.revision

    @property
    def options(self) -> dict[str, str]:
        """Every option of the recipe, `dtype` included."""
        return self.entry.defaults(self.device) | dict(self.said)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Weights and the whole recipe; the device is provenance, not identity."""
        recipe = {"image": self.entry.image, "text": self.entry.text, "version": RECIPE_VERSION, **self.options}
        return {"kind": self.kind, "weights": self.files.identity, "recipe": recipe}

    def load(self) -> PairScorer[Any, Any]:
        """Fetch and load the weights; raises ModelNotFound, UnsafeWeights or InfrastructureError."""
        from aes_audit.rewards.pair_scorer import PairScorer

        files = self.files.fetch()
        module, _, function = self.entry.loader.partition(":")
        return PairScorer(getattr(import_module(module), function)(files, self.options, self.device))


def resolve_reward(spec: str, *, device: str, root: Path = Path(), cache: Path | None = None) -> ResolvedReward:
    """Pin the reward that a SPEC names: NAME[option=value,...], then @revision or =PATH where it is wanted.

    `root` is what relative paths refer to, `cache` a folder that remembers file digests. Raises UnknownName (with
    what exists), UsageError or ModelNotFound.
    """
    asked = parse_reward(spec)
    entry = _entry(asked)
    if entry is None:
        plugin = resolve_plugin(asked, device=device, root=root, cache=cache)
        if plugin is None:
            raise UnknownName("reward", asked.name, {*REWARDS, *plugin_names()})
        return plugin
    said = _said(asked, entry, device)
    if isinstance(entry, ClipEntry):
        return ClipRewardModel(asked.name, resolve_weights(entry.source, "config.json", cache), entry.scaled, device)
    files = pin_files(entry, asked.name, asked.place(root), asked.revision, cache)
    return OfficialReward(entry, asked.name, said, files, device)


def contrastive(reward: ResolvedReward) -> ResolvedReward | None:
    """The same CLIP giving its logits, by which it was trained to choose among texts; None for any other reward."""
    if isinstance(reward, ClipRewardModel):
        return replace(reward, scaled=True)
    if isinstance(reward, OfficialReward) and reward.kind == "clip-l":
        return replace(reward, said={**reward.said, "output": "logits"})
    return None


def scorer_name(spec: str, *, device: str) -> str:
    """What the `scorer` column of the evidence will say for a SPEC; looks nothing up but names and options.

    Raises UnknownName or UsageError.
    """
    asked = parse_reward(spec)
    entry = _entry(asked)
    if entry is None and asked.name not in plugin_names():
        raise UnknownName("reward", asked.name, {*REWARDS, *plugin_names()})
    return named(asked.name, asked.options if entry is None else _said(asked, entry, device))


def _entry(asked: RewardSpec) -> RewardEntry | ClipEntry | None:
    return REWARDS.get(asked.name)


def _said(asked: RewardSpec, entry: RewardEntry | ClipEntry, device: str) -> dict[str, str]:
    """The options that differ from the default, in their one spelling."""
    if isinstance(entry, ClipEntry):
        if asked.text != asked.name:
            raise UsageError(f"reward {asked.text!r}: {asked.name} takes no options, revision or path.")
        return {}
    defaults = entry.defaults(device)
    return {
        name: text for name, text in entry.read_options(asked.options, asked.name).items() if defaults[name] != text
    }
