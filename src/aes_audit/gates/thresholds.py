"""The thresholds file: profiles (which instruments, how many pairs) and gates (what must hold). Strictly read."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from aes_audit.errors import InvalidThresholds, UnknownName
from aes_audit.generators.settings import RECIPES

__all__ = ["Gate", "Profile", "Thresholds", "read_thresholds"]

KINDS = ("contractual", "evidential")
INTERVALS = ("exact", "wilson")


@dataclass(frozen=True, slots=True)
class Profile:
    """Which instruments measure, on how many pairs, and what is audited when nothing is named."""

    name: str
    """What `--profile` says."""
    prompts: str
    """A shipped prompt set, or a file ending in .jsonl."""
    pairs: int
    """The first so many pairs of the set."""
    models: tuple[str, ...]
    """Generators audited when neither --model nor --reward names a subject."""
    rewards: tuple[str, ...]
    """Rewards audited in that case."""
    pool: tuple[str, ...]
    """Generators whose images a reward is audited on."""
    quality: tuple[str, ...]
    """Rewards that measure conventional quality."""
    matcher: str
    """The reward that says whether the main concept is there."""
    judge: str
    """The dimension judge."""
    preferences: tuple[str, ...]
    """Preference judges: does the wide image follow the wide prompt better?"""
    truth: str
    """The preference judge that rewards are held against; it must not be made from an audited reward."""
    edit_source: str = ""
    """The generator whose wide images the audited models edit, those that `truth` finds to be what was asked for."""
    edits: int = 0
    """How many of them at most; 0 edits nothing."""
    art: str = ""
    """The artworks that rewards are shown: a folder or `control_compositions`; empty for none."""
    art_reference: str = ""
    """The generator whose originals art is compared with; empty takes the first of the pool."""
    emotion: str = ""
    """Faces in four emotions that rewards are shown: a folder, `control_faces` or `edited:SPEC`; empty for none."""
    faces: str = ""
    """Templates of faces that audited generators draw in four emotions, shipped or a .jsonl file; empty for none."""
    recipe: str | None = None
    """The recipe (`default` or `paper`) of every generator whose SPEC names none; None leaves it to the zoo."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition on one metric."""

    profile: str
    """The profile it belongs to."""
    metric: str
    """A metric of the evidence contract."""
    scorer: str | None = None
    """The scorer it applies to; None applies to every scorer without a gate of its own."""
    kind: str = "evidential"
    """`contractual` compares the estimate, `evidential` the bounds of the interval."""
    at_least: float | None = None
    """The good side is here and above."""
    at_most: float | None = None
    """The good side is here and below."""
    margin: float | None = None
    """Paired metrics: how much worse than the base model is too much, in the metric's unit."""
    confidence: float = 0.95
    """Two-sided level of the interval."""
    alpha: float = 0.05
    """One-sided level of the paired test."""
    interval: str = "exact"
    """Interval of a rate: exact (Clopper-Pearson) or wilson."""
    max_missing: float = 0.02
    """Largest share of missing items; beyond it nothing was measured."""
    family: str | None = None
    """Gates of one family on one subject share their alpha: the p-values are adjusted by Holm's method."""
    tolerance: float | None = None
    """How far a measurement may move from its baseline, in the metric's unit; None compares exactly."""
    advisory: bool = False
    """Measured and shown, never red."""
    look_at: str = ""
    """What a person should look at when it fails."""

    @property
    def threshold(self) -> Mapping[str, Any]:
        """The condition as the results file shows it."""
        shown = ("kind", "at_least", "at_most", "margin", "confidence", "alpha", "interval", "family", "advisory")
        return {key: value for key in shown if (value := getattr(self, key)) is not None}

    @property
    def asks(self) -> bool:
        """Whether there is a condition; without one, only the change from a baseline is judged."""
        return any(value is not None for value in (self.at_least, self.at_most, self.margin))

    @property
    def text(self) -> str:
        """The condition in a few characters."""
        if self.margin is not None:
            return f"margin {self.margin:g}"
        if not self.asks:
            return "as its baseline"
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The whole file."""

    path: Path
    """Where it was read from."""
    profiles: Mapping[str, Profile]
    """By name."""
    gates: tuple[Gate, ...]
    """In file order."""

    def profile(self, name: str) -> Profile:
        """The profile with this name; raises UnknownName with those that exist."""
        if name not in self.profiles:
            raise UnknownName("profile", name, self.profiles)
        return self.profiles[name]

    def gate(self, profile: str, metric: str, scorer: str | None) -> Gate | None:
        """The gate for a measurement: one for this scorer before one for any, None when there is neither."""
        fitting = [gate for gate in self.gates if (gate.profile, gate.metric) == (profile, metric)]
        own = [gate for gate in fitting if gate.scorer == scorer]
        return next(iter(own or [gate for gate in fitting if gate.scorer is None]), None)


def read_thresholds(path: Path, paired: Collection[str], unpaired: Collection[str]) -> Thresholds:
    """Read and check the file; `paired` and `unpaired` are the names of the metrics that exist.

    Raises InvalidThresholds naming the file and the key, UnknownName for a profile or metric that does not exist.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidThresholds(f"thresholds file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidThresholds(f"thresholds file {path} is not TOML: {error}.") from error
    _known_keys(f"{path}", raw, {"schema", "profiles", "gates"})
    if raw.get("schema") != 1:
        raise InvalidThresholds(f"{path}: schema must be 1, found {raw.get('schema')!r}.")
    profiles = {name: _profile(f"{path}: [profiles.{name}]", name, table) for name, table in _tables(path, raw).items()}
    listed = raw.get("gates", [])
    if not isinstance(listed, list):
        raise InvalidThresholds(f"{path}: gates = {listed!r} is not a list of tables: write [[gates]].")
    gates = []
    for number, table in enumerate(listed, 1):
        gates.append(_gate(f"{path}: gate {number}", table, profiles, paired, unpaired))
    _refuse_repeats(path, gates)
    return Thresholds(path, profiles, tuple(gates))


def _tables(path: Path, raw: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    tables = raw.get("profiles")
    if not isinstance(tables, dict) or not tables:
        raise InvalidThresholds(f"{path}: declares no [profiles.NAME].")
    return tables


def _profile(where: str, name: str, table: Mapping[str, Any]) -> Profile:
    lists = {"models", "rewards", "pool", "quality", "preferences"}
    wanted = {field.name for field in fields(Profile)} - {"name"}
    _known_keys(where, table, wanted)
    if absent := sorted(wanted - _OPTIONAL - set(table)):
        raise InvalidThresholds(f"{where}: key {absent[0]!r} is missing.")
    for key, value in table.items():
        # isinstance would let `pairs = true` pass: a bool is an int.
        fits = _is_strings(value) if key in lists else type(value) is (int if key in _COUNTS else str)
        if not fits or (key in _COUNTS and value < 1):
            noun = "list of strings" if key in lists else "whole number of 1 or more" if key in _COUNTS else "string"
            raise InvalidThresholds(f"{where}: {key} = {value!r} is not a {noun}.")
    if len(alone := _EDITING & set(table)) == 1:
        raise InvalidThresholds(f"{where}: {next(iter(alone))} alone edits nothing: give edit_source and edits.")
    if (recipe := table.get("recipe")) not in (None, *RECIPES):
        raise UnknownName(f"recipe in {where}", recipe, RECIPES)
    values: dict[str, Any] = {key: tuple(value) if key in lists else value for key, value in table.items()}
    return Profile(name=name, **values)


_COUNTS = frozenset({"pairs", "edits"})
_EDITING = frozenset({"edit_source", "edits"})
_OPTIONAL = _EDITING | {"art", "art_reference", "emotion", "faces", "recipe"}


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def _gate(
    where: str,
    table: Mapping[str, Any],
    profiles: Collection[str],
    paired: Collection[str],
    unpaired: Collection[str],
) -> Gate:
    _known_keys(where, table, {field.name for field in fields(Gate)})
    for key in ("profile", "metric"):
        if not isinstance(table.get(key), str):
            raise InvalidThresholds(f"{where}: key {key!r} is missing or not a string.")
    where = f"{where} ({table['metric']})"
    if table["profile"] not in profiles:
        raise UnknownName(f"profile in {where}", table["profile"], profiles)
    if table["metric"] not in {*paired, *unpaired}:
        raise UnknownName(f"metric in {where}", table["metric"], {*paired, *unpaired})
    gate = Gate(**{key: _typed(where, key, value) for key, value in table.items()})
    _check_condition(where, gate, gate.metric in paired)
    return gate


_STRINGS = {"profile", "metric", "scorer", "kind", "interval", "family", "look_at"}


def _typed(where: str, key: str, value: Any) -> Any:
    expected = str if key in _STRINGS else bool if key == "advisory" else float
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    # TOML has nan and inf: no estimate would ever be on either side of them.
    if not isinstance(value, expected) or (isinstance(value, float) and not math.isfinite(value)):
        raise InvalidThresholds(f"{where}: {key} = {value!r} is not a {_noun(expected)}.")
    return value


def _check_condition(where: str, gate: Gate, is_paired: bool) -> None:
    conditions = [key for key in ("at_least", "at_most", "margin") if getattr(gate, key) is not None]
    if not conditions and gate.tolerance is not None:
        _check_levels(where, gate)
        return
    if len(conditions) != 1:
        raise InvalidThresholds(
            f"{where}: give exactly one of at_least, at_most, margin, or a tolerance alone; "
            f"found {conditions or 'none'}."
        )
    if is_paired != (gate.margin is not None):
        wanted = "margin, because it compares two models" if is_paired else "at_least or at_most: margin is for pairs"
        raise InvalidThresholds(f"{where}: needs {wanted}.")
    if gate.family is not None and not is_paired:
        raise InvalidThresholds(
            f"{where}: family = {gate.family!r} is for tests with a p-value, which compare two models."
        )
    if gate.margin is not None and gate.margin <= 0:
        raise InvalidThresholds(f"{where}: margin = {gate.margin:g} must be above 0.")
    _check_levels(where, gate)


def _check_levels(where: str, gate: Gate) -> None:
    if gate.kind not in KINDS:
        raise UnknownName(f"kind in {where}", gate.kind, KINDS)
    if gate.interval not in INTERVALS:
        raise UnknownName(f"interval in {where}", gate.interval, INTERVALS)
    for key in ("confidence", "alpha"):
        if not 0 < getattr(gate, key) < 1:
            raise InvalidThresholds(f"{where}: {key} = {getattr(gate, key):g} must lie between 0 and 1.")
    if not 0 <= gate.max_missing < 1:
        raise InvalidThresholds(f"{where}: max_missing = {gate.max_missing:g} must lie in [0, 1).")
    if gate.tolerance is not None and gate.tolerance < 0:
        raise InvalidThresholds(f"{where}: tolerance = {gate.tolerance:g} must be 0 or more.")


def _refuse_repeats(path: Path, gates: list[Gate]) -> None:
    seen: set[tuple[str, str, str | None]] = set()
    for gate in gates:
        key = (gate.profile, gate.metric, gate.scorer)
        if key in seen:
            raise InvalidThresholds(f"{path}: two gates for {gate.metric} of scorer {gate.scorer} in {gate.profile}.")
        seen.add(key)


def _known_keys(where: str, table: Mapping[str, Any], known: Collection[str]) -> None:
    if not isinstance(table, dict):
        raise InvalidThresholds(f"{where}: {table!r} is not a table.")
    for key in table:
        if key not in known:
            raise UnknownName(f"key in {where}", key, known)


def _noun(expected: type) -> str:
    return {str: "string", bool: "boolean", float: "number"}[expected]
