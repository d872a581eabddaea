"""Prompt pairs: a base caption and its wide-spectrum rewriting, read from JSON lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aes_audit.errors import InvalidPrompts
from aes_audit.prompts.companion import Companion, read_companion
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.json_lines import json_lines, text_at
from aes_audit.resources import prompt_set

__all__ = ["PromptPair", "PromptSet", "read_prompt_set"]


@dataclass(frozen=True, slots=True)
class PromptPair:
    """One statistical unit of the `pairs` set."""

    id: str
    """The `item` of the evidence table."""
    original: str
    """p_o: a caption without aesthetic wording."""
    wide: str
    """p_a: the same scene with the selected dimensions at their low end."""
    dimensions: tuple[str, ...]
    """The selected dimensions, in the protocol's order."""


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Pairs in file order with the digest that provenance and baselines quote."""

    name: str
    """The file's name without its ending; a part keeps the name of its set, and so the seeds of its images."""
    pairs: tuple[PromptPair, ...]
    """The pairs in use: of the whole file, of its beginning, or of a named part."""
    digest: str
    """SHA-256 over the pairs in use; independent of white space and key order in the file."""
    repeat: int = 0
    """Which drawing of the set: 0 in every ordinary run, others get other seeds (`item_seed`)."""
    version: str | None = None
    """What the set's companion calls it; None without one."""

    @property
    def provenance(self) -> Mapping[str, str | int]:
        """What baselines and reports record of a set; `version` only where there is one."""
        told: dict[str, str | int] = {"name": self.name, "pairs": len(self.pairs), "digest": self.digest}
        return {**told, "version": self.version} if self.version else told

    def first(self, count: int | None) -> PromptSet:
        """The first `count` pairs, all when None; raises InvalidPrompts when the set is shorter."""
        if count is None:
            return self
        if not 1 <= count <= len(self.pairs):
            raise InvalidPrompts(
                f"prompt set {self.name!r} holds {len(self.pairs)} pairs, {count} were asked for: "
                f"choose between 1 and {len(self.pairs)}."
            )
        pairs = self.pairs[:count]
        return replace(self, pairs=pairs, digest=_digest(pairs))


def read_prompt_set(name_or_path: str) -> PromptSet:
    """Read a shipped set or a named part of one, or any file by path.

    Each line is an object with `id`, `original`, `wide` and `dimensions`; other keys are ignored. A companion, the
    TOML file of its name beside it, may give a version; a companion without pairs names a part of a set in its folder.
    Raises InvalidPrompts naming file and line for anything else, for a repeated id, for an unknown
    dimension and for a wide prompt that is empty or equal to its original (PROTOCOL, rule R2).
    """
    path = Path(name_or_path) if name_or_path.endswith(".jsonl") else prompt_set(name_or_path)
    companion = read_companion(path.with_suffix(".toml"))
    if companion.of is not None:
        return _part(path, companion)
    numbered = {where: _pair(where, raw) for where, raw in json_lines(path, f"prompt set {name_or_path!r}")}
    if not numbered:
        raise InvalidPrompts(f"{path}: holds no prompt pair.")
    _refuse_repeats(numbered)
    pairs = tuple(numbered.values())
    return PromptSet(path.stem, pairs, _digest(pairs), version=companion.version)


def _part(path: Path, companion: Companion) -> PromptSet:
    file = path.with_name(f"{companion.of}.jsonl")
    if path.is_file():
        raise InvalidPrompts(f"{path}: holds pairs of its own, so its companion cannot name a part of {file.name}.")
    path = path.with_suffix(".toml")
    if not file.is_file():
        raise InvalidPrompts(f"{path}: a part is taken from another set in its folder, and there is no {file.name}.")
    whole = read_prompt_set(str(file))
    by_id = {pair.id: pair for pair in whole.pairs}
    if unknown := [name for name in companion.ids if name not in by_id]:
        raise InvalidPrompts(f"{path}: {unknown[0]!r} is no id of prompt set {whole.name!r}.")
    if len(set(companion.ids)) < len(companion.ids):
        raise InvalidPrompts(f"{path}: an id is listed twice; a part holds each pair once.")
    pairs = tuple(by_id[name] for name in companion.ids)
    return replace(whole, pairs=pairs, digest=_digest(pairs))


def _pair(where: str, raw: Mapping[str, Any]) -> PromptPair:
    texts = {key: text_at(where, raw, key) for key in ("id", "original", "wide")}
    if texts["wide"].strip() == texts["original"].strip():
        raise InvalidPrompts(f"{where}: the wide prompt equals the original, so the pair can show no difference.")
    return PromptPair(**texts, dimensions=_dimensions(where, raw))


def _dimensions(where: str, raw: Mapping[str, Any]) -> tuple[str, ...]:
    chosen = raw.get("dimensions")
    if not isinstance(chosen, list) or not chosen:
        raise InvalidPrompts(f"{where}: key 'dimensions' must be a non-empty list, found {chosen!r}.")
    unknown = [name for name in chosen if name not in DIMENSIONS]
    if unknown:
        raise InvalidPrompts(f"{where}: unknown dimension {unknown[0]!r}; known: {', '.join(DIMENSIONS)}.")
    return tuple(name for name in DIMENSIONS if name in chosen)


def _refuse_repeats(placed: Mapping[str, PromptPair]) -> None:
    seen: dict[str, str] = {}
    for where, pair in placed.items():
        if pair.id in seen:
            line = seen[pair.id].rpartition("line ")[2]
            raise InvalidPrompts(f"{where}: id {pair.id!r} was used in line {line}; ids name the item.")
        seen[pair.id] = where


def _digest(pairs: tuple[PromptPair, ...]) -> str:
    rows = [[pair.id, pair.original, pair.wide, list(pair.dimensions)] for pair in pairs]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
