"""Prompts for a face that shows an emotion: templates with a place for the emotion, and what is said of the face."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aes_audit.errors import InvalidPrompts
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.prompts.json_lines import json_lines, text_at
from aes_audit.resources import prompt_set

__all__ = ["EMOTIONS", "PLACEHOLDER", "EmotionTemplate", "EmotionTemplates", "read_templates", "statement"]

PLACEHOLDER = "{emotion}"
"""Where the emotion stands in a template."""


@dataclass(frozen=True, slots=True)
class EmotionTemplate:
    """One scene with a face, and a place for its emotion."""

    id: str
    """The `item` of the evidence table."""
    text: str
    """What to draw, with PLACEHOLDER once and no article before it."""
    scene: str = ""
    """What stands before the statement, for a matcher that knows nothing but whole captions; empty for nothing."""

    def prompt(self, emotion: str) -> str:
        """The template with the emotion filled in."""
        return self.text.replace(PLACEHOLDER, emotion)

    def statement(self, emotion: str) -> str:
        """What the matcher is asked about the face that was drawn."""
        said = statement(emotion)
        return f"{self.scene}, {said[0].lower()}{said[1:]}" if self.scene else said


@dataclass(frozen=True, slots=True)
class EmotionTemplates:
    """Templates in file order with the digest that provenance and baselines quote."""

    name: str
    """The file's name without its ending."""
    templates: tuple[EmotionTemplate, ...]
    """At least one; ids differ."""
    digest: str
    """SHA-256 over the templates; independent of white space and key order in the file."""

    @property
    def provenance(self) -> Mapping[str, str | int]:
        """What baselines and reports record of a set."""
        return {"name": self.name, "templates": len(self.templates), "digest": self.digest}

    def first(self, count: int) -> EmotionTemplates:
        """The first `count` templates, at most all."""
        templates = self.templates[:count]
        return replace(self, templates=templates, digest=_digest(templates))


def statement(emotion: str) -> str:
    """What an image-text matcher is asked about a face."""
    return f"The face shows {'an' if emotion[0] in 'aeiou' else 'a'} {emotion} expression"


def read_templates(name_or_path: str) -> EmotionTemplates:
    """Read a shipped set, or any file that ends in .jsonl.

    Each line is an object with `id`, `text` and perhaps `scene`; other keys are ignored. Raises InvalidPrompts naming
    file and line for anything else, for a repeated id and for a text that has not exactly one PLACEHOLDER.
    """
    path = Path(name_or_path) if name_or_path.endswith(".jsonl") else prompt_set(name_or_path)
    found: dict[str, EmotionTemplate] = {}
    for where, raw in json_lines(path, f"templates {name_or_path!r}"):
        template = _template(where, raw)
        if template.id in found:
            raise InvalidPrompts(f"{where}: id {template.id!r} was used before; ids name the item.")
        found[template.id] = template
    if not found:
        raise InvalidPrompts(f"{path}: holds no template.")
    templates = tuple(found.values())
    return EmotionTemplates(path.stem, templates, _digest(templates))


def _template(where: str, raw: Mapping[str, Any]) -> EmotionTemplate:
    scene = text_at(where, raw, "scene") if "scene" in raw else ""
    template = EmotionTemplate(text_at(where, raw, "id"), text_at(where, raw, "text"), scene)
    if (count := template.text.count(PLACEHOLDER)) != 1:
        raise InvalidPrompts(f"{where}: the text must name the emotion once, as {PLACEHOLDER}; found {count} times.")
    return template


def _digest(templates: tuple[EmotionTemplate, ...]) -> str:
    rows = [[template.id, template.text, template.scene] for template in templates]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
