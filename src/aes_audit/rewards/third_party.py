"""Rewards that other packages bring, by the entry-point group `aes_audit.rewards`; see docs/rewards.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from aes_audit.errors import InfrastructureError, ModelNotFound, UsageError
from aes_audit.rewards.protocol import Reward
from aes_audit.rewards.spec import RewardSpec, named
from aes_audit.weights.pinned import file_digests, fingerprint

__all__ = ["GROUP", "PluginReward", "plugin_names", "resolve_plugin"]

GROUP = "aes_audit.rewards"
"""Entry-point group in which a package names its rewards."""


@dataclass(frozen=True, slots=True)
class PluginReward:
    """A reward of another package, pinned: what the package made, with its name and version."""

    name: str
    """The `scorer` column of the evidence."""
    revision: str
    """The object's own, or the package's name and version."""
    identity: Mapping[str, Any]
    """Package, version, options, digest of the path, and what the object adds itself."""
    made: Any
    """What the entry point's class or function returned."""

    def load(self) -> Reward:
        """What the object's `load()` returns, or the object itself where it has none; raises InfrastructureError."""
        reward = self.made.load() if hasattr(self.made, "load") else self.made
        if not callable(getattr(reward, "score", None)):
            raise InfrastructureError(
                f"reward {self.name!r}: {type(reward).__name__} has no method score(images, texts)."
            )
        return reward  # type: ignore[no-any-return]  # checked above as far as can be


def plugin_names() -> list[str]:
    """Names that installed packages bring."""
    return sorted({found.name for found in entry_points(group=GROUP)})


def resolve_plugin(spec: RewardSpec, *, device: str, root: Path, cache: Path | None) -> PluginReward | None:
    """The reward that an installed package brings under this name, or None.

    The class or function is called with `path`, `revision`, `options` and `device` by keyword. Raises UsageError
    where it does not take them or two packages use the name, ModelNotFound for a path that does not exist, and
    whatever error of aes_audit.errors it raises itself.
    """
    found = list(
        {(point.value, _package(point)): point for point in entry_points(group=GROUP, name=spec.name)}.values()
    )
    if not found:
        return None
    if len(found) > 1:
        packages = " and ".join(sorted(_package(point) for point in found))
        raise UsageError(f"reward {spec.name!r} is brought by {packages}: uninstall one of them.")
    path = spec.place(root)
    made = _made(found[0], spec, path, device)
    identity = {
        "kind": "entry-point",
        "package": _package(found[0]),
        "reward": spec.name,
        "options": dict(sorted(spec.options.items())),
        "revision": spec.revision,
        "path": _digest(spec, path, cache),
        "own": dict(getattr(made, "identity", {})),
    }
    revision = str(getattr(made, "revision", None) or _package(found[0]))
    return PluginReward(named(spec.name, spec.options), revision, identity, made)


def _made(point: EntryPoint, spec: RewardSpec, path: Path | None, device: str) -> Any:
    try:
        factory = point.load()
    # A broken package may raise anything at all when it is imported.
    except Exception as error:
        raise InfrastructureError(
            f"reward {spec.name!r} of {_package(point)} cannot be imported: {error!r}."
        ) from error
    try:
        return factory(path=path, revision=spec.revision, options=dict(spec.options), device=device)
    except TypeError as error:
        raise UsageError(
            f"reward {spec.name!r} of {_package(point)} does not take path, revision, options and device: {error}."
        ) from error


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def _digest(spec: RewardSpec, path: Path | None, cache: Path | None) -> str | None:
    if path is None:
        return None
    if path.is_dir():
        return fingerprint(path, cache)
    if not path.is_file():
        raise ModelNotFound(f"reward {spec.name!r}: {str(path)!r} does not exist: check the path.")
    return file_digests(path.parent, [path.name], cache)[path.name]
