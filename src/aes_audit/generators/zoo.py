"""The generators that have a name, read from zoo.toml. Adding one is one table there. Imports no torch."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from aes_audit.errors import UnknownName, UsageError
from aes_audit.generators.parts import TransformerSource
from aes_audit.generators.settings import DTYPES, Recipe
from aes_audit.resources import control_folder
from aes_audit.weights.source import Source

__all__ = ["LOADINGS", "ROLES", "ZOO", "ZOO_FILE", "ZooEntry", "read_zoo"]

ZOO_FILE = Path(__file__).with_name("zoo.toml")
"""The zoo as data."""

ROLES = ("base", "aligned", "control")
"""In its family: what others descend from; tuned towards taste; tuned towards something else, or milder."""

LOADINGS = ("pipeline", "transformer", "adapter", "hosted")
"""A whole pipeline; the base's with another transformer; the base's with adapters; an interface on the network."""

_RECIPE_KEYS = {"dtype", "steps", "guidance", "size", "variant"}
_FAMILY_KEYS = {*_RECIPE_KEYS, "base", "scheduler", "source"}
_SOURCE_KEYS = {"repo", "revision", "shipped"}
_RELATION_KEYS = {"family", "role", "base", "loading"}
_MODEL_KEYS = {
    *_SOURCE_KEYS,
    *_RELATION_KEYS,
    *("hosted", "loras", "transformer", "scheduler", "licence", "gated", "note", "paper"),
}


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """How a named generator is put together."""

    base: Source | None
    """The pipeline; None for a hosted one."""
    loras: tuple[Source, ...] = ()
    """Adapters applied to it, in order."""
    transformer: TransformerSource | None = None
    """What replaces its transformer."""
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    """Settings by recipe; one that is missing is the default one, and that one's absence chooses nothing."""
    hosted: Mapping[str, str] = field(default_factory=dict)
    """For a hosted one: `gemini:MODEL` or `openai:MODEL` by recipe."""
    family: str | None = None
    """Models that share architecture and settings."""
    role: str | None = None
    """One of ROLES."""
    compared: str | None = None
    """Name of the model it descends from: its base in a paired comparison."""
    scheduler: str | None = None
    """Class of the scheduler in the repository, which is not fetched before it is needed."""
    licence: str = ""
    """Under which terms the weights may be used."""
    gated: bool = False
    """Whether the hub wants the licence accepted by a logged-in user."""
    note: str = ""
    """What a user should know besides."""

    def recipe(self, name: str) -> Recipe:
        """The settings of a recipe."""
        return self.recipes.get(name) or self.recipes.get("default") or Recipe()

    def host(self, recipe: str) -> str | None:
        """The hosted model of a recipe; None for weights."""
        return self.hosted.get(recipe) or self.hosted.get("default")


def read_zoo(path: Path) -> dict[str, ZooEntry]:
    """Read and check a zoo file; raises UsageError or UnknownName naming file, table and key."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"zoo file {path} cannot be read: {error}.") from error
    _known(f"{path}", raw, {"schema", "families", "models"})
    if raw.get("schema") != 1:
        raise UsageError(f"{path}: schema must be 1, found {raw.get('schema')!r}.")
    families = {name: _family(f"{path}: [families.{name}]", table) for name, table in raw.get("families", {}).items()}
    models = raw.get("models", {})
    found = {name: _model(f"{path}: [models.{name}]", table, families) for name, table in models.items()}
    _check_relations(path, found, raw.get("families", {}))
    return found


@dataclass(frozen=True, slots=True)
class _Family:
    recipe: Recipe
    scheduler: str | None


def _family(where: str, table: Any) -> _Family:
    _known(where, table, _FAMILY_KEYS)
    _required(where, table, {"base", "source"})
    return _Family(_recipe(where, table), _text(where, table, "scheduler"))


def _model(where: str, table: Any, families: Mapping[str, _Family]) -> ZooEntry:
    _known(where, table, _MODEL_KEYS)
    _required(where, table, {"family", "role", "loading", "licence"})
    for key, allowed in (("family", families), ("role", ROLES), ("loading", LOADINGS)):
        if (said := str(_text(where, table, key))) not in allowed:
            raise UnknownName(f"{key} in {where}", said, allowed)
    if not isinstance(table.get("gated", False), bool):
        raise UsageError(f"{where}: gated = {table['gated']!r} is not a boolean.")
    family = families[table["family"]]
    paper = table.get("paper", {})
    _known(f"{where}, paper", paper, {*_RECIPE_KEYS, "hosted"})
    hosted = {"default": _text(where, table, "hosted"), "paper": _text(f"{where}, paper", paper, "hosted")}
    recipes = {"default": family.recipe} | ({"paper": _recipe(f"{where}, paper", paper)} if paper else {})
    entry = ZooEntry(
        base=None if table["loading"] == "hosted" else _source(where, table),
        loras=_loras(f"{where}, loras", table.get("loras", [])),
        transformer=_transformer(where, table["transformer"]) if "transformer" in table else None,
        recipes=recipes,
        hosted={name: said for name, said in hosted.items() if said},
        family=table["family"],
        role=table["role"],
        compared=_text(where, table, "base"),
        scheduler=_text(where, table, "scheduler") or family.scheduler,
        licence=str(_text(where, table, "licence")),
        gated=table.get("gated", False),
        note=_text(where, table, "note") or "",
    )
    return _consistent(where, table["loading"], entry)


def _consistent(where: str, loading: str, entry: ZooEntry) -> ZooEntry:
    holds = {
        "pipeline": entry.base is not None and not entry.loras and entry.transformer is None,
        "transformer": entry.transformer is not None,
        "adapter": bool(entry.loras),
        "hosted": bool(entry.hosted) and not entry.loras and entry.transformer is None,
    }
    if not holds[loading] or bool(entry.hosted) != (loading == "hosted"):
        raise UsageError(f"{where}: loading = {loading!r} does not go with what the table holds.")
    return entry


def _check_relations(path: Path, found: Mapping[str, ZooEntry], families: Mapping[str, Any]) -> None:
    for name, entry in found.items():
        if entry.compared is not None and (entry.compared not in found or entry.compared == name):
            raise UnknownName(f"base in {path}: [models.{name}]", entry.compared, set(found) - {name})
    for name, table in families.items():
        if table["base"] not in found or found[table["base"]].family != name:
            of_family = [model for model, entry in found.items() if entry.family == name]
            raise UnknownName(f"base in {path}: [families.{name}]", table["base"], of_family)


def _source(where: str, table: Mapping[str, Any]) -> Source:
    repo, shipped = _text(where, table, "repo"), _text(where, table, "shipped")
    if (repo is None) == (shipped is None):
        raise UsageError(f"{where}: give exactly one of repo (on the hub) and shipped (with this project).")
    if shipped is not None:
        return Source(folder=control_folder(shipped))
    return Source(repo=repo, revision=_text(where, table, "revision"))


def _loras(where: str, listed: Any) -> tuple[Source, ...]:
    if not isinstance(listed, list):
        raise UsageError(f"{where}: {listed!r} is not a list of tables.")
    for table in listed:
        _known(where, table, _SOURCE_KEYS)
    return tuple(_source(where, table) for table in listed)


def _transformer(where: str, table: Any) -> TransformerSource:
    where = f"{where}, transformer"
    _known(where, table, {"repo", "revision", "file", "subfolder"})
    return TransformerSource(_source(where, table), _text(where, table, "file"), _text(where, table, "subfolder"))


def _recipe(where: str, table: Mapping[str, Any]) -> Recipe:
    size = table.get("size")
    if size is not None and not (isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)):
        raise UsageError(f"{where}: size = {size!r} is not [width, height] in pixels.")
    dtype = _text(where, table, "dtype")
    if dtype is not None and dtype not in DTYPES:
        raise UnknownName(f"dtype in {where}", dtype, DTYPES)
    for key, kind, noun in (("steps", int, "whole number"), ("guidance", float, "number with a decimal point")):
        if key in table and type(table[key]) is not kind:
            raise UsageError(f"{where}: {key} = {table[key]!r} is not a {noun}.")
    chosen = Recipe(**{name.name: table[name.name] for name in fields(Recipe) if name.name in table})
    return replace(chosen, size=(size[0], size[1]) if size else None)


def _text(where: str, table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is not None and not (isinstance(value, str) and value):
        raise UsageError(f"{where}: {key} = {value!r} is not a text.")
    return value


def _known(where: str, table: Any, known: Collection[str]) -> None:
    if not isinstance(table, dict):
        raise UsageError(f"{where}: {table!r} is not a table.")
    for key in table:
        if key not in known:
            raise UnknownName(f"key in {where}", key, known)


def _required(where: str, table: Mapping[str, Any], keys: Collection[str]) -> None:
    if absent := sorted(set(keys) - set(table)):
        raise UsageError(f"{where}: key {absent[0]!r} is missing.")


ZOO: dict[str, ZooEntry] = read_zoo(ZOO_FILE)
"""Every named generator."""
