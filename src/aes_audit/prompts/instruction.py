"""What the writer of wide prompts is told: a fixed text, the caption, and one low-end text for each dimension.

Source: PROTOCOL sections 2 ("low end asked for") and 3 ("Rewrite"), and rule R2; the wording is our own.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from aes_audit.errors import InvalidPrompts
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["ATTRIBUTE_WORDS", "COMPLAINTS", "EXTRA_EFFECTS", "FIELD", "Instruction", "read_instruction"]

EXTRA_EFFECTS = ("forbid", "allow")
"""Whether the writer may add effects: the published instruction forbids it, the paper's text allows it (R2)."""

ATTRIBUTE_WORDS = ("free", "keep")
"""Whether the telling words of the low-end texts must stand in the prompt."""

FIELD = "prompt"
"""The one field of the writer's answer."""

COMPLAINTS = {"length": "count", "unsignalled": "effect", "leak": "words", "near-duplicate": None}
"""Reasons that the next attempt is told, and what is filled into each."""

_SHIPPED = Path(__file__).with_name("instruction.toml")
_BLANK = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Instruction:
    """The texts of one build, with the choices made."""

    system: str
    """The system message."""
    request: str
    """The user's message, with the blanks `caption` and `effects`."""
    again: str
    """What follows it after an answer that was turned down, with the blank `complaint`."""
    complaints: Mapping[str, str]
    """Reason -> its words."""
    effects: Mapping[str, str]
    """Dimension -> its low end."""

    @property
    def digest(self) -> str:
        """SHA-256 over all of it: equal exactly when every message is."""
        return sha256(json.dumps(vars(self), sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def messages(self, caption: str, dimensions: Sequence[str], complaint: str = "") -> list[dict[str, str]]:
        """The chat that asks for one wide prompt; `complaint` says what was wrong with the answer before."""
        effects = "\n".join(self.effects[name] for name in dimensions)
        text = _filled(self.request, caption=caption, effects=effects)
        if complaint:
            text += _filled(self.again, complaint=complaint)
        return [{"role": "system", "content": self.system}, {"role": "user", "content": text.strip()}]

    def complaint(self, reason: str, said: str = "") -> str:
        """One reason of COMPLAINTS in words; `said` fills its blank."""
        return _filled(self.complaints[reason], **({blank: said} if (blank := COMPLAINTS[reason]) else {}))


def read_instruction(path: Path | None = None, *, extra_effects: str, attribute_words: str) -> Instruction:
    """The instruction that ships, or another file of its form, with the two choices filled in.

    Raises InvalidPrompts naming the file and what is missing, unknown or no text.
    """
    path = path or _SHIPPED
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidPrompts(f"{path}: the instruction cannot be read ({error}).") from error
    texts = {"system": (), "request": ("caption", "effects"), "again": ("complaint",)}
    tables = {
        "extra_effects": dict.fromkeys(EXTRA_EFFECTS),
        "attribute_words": dict.fromkeys(ATTRIBUTE_WORDS),
        "complaints": COMPLAINTS,
        "effects": dict.fromkeys(DIMENSIONS),
    }
    _refuse_other_keys(path, "the instruction", raw, [*texts, *tables])
    for key, blanks in texts.items():
        _refuse_unfit(path, key, raw[key], blanks)
    for key, known in tables.items():
        if not isinstance(raw[key], dict):
            raise InvalidPrompts(f"{path}: {key!r} must be a table, found {raw[key]!r}.")
        _refuse_other_keys(path, f"table {key!r}", raw[key], list(known))
        for name, blank in known.items():
            _refuse_unfit(path, f"{key}.{name}", raw[key][name], (blank,) if blank else ())
    chosen = {
        "extra_effects": raw["extra_effects"][extra_effects],
        "attribute_words": raw["attribute_words"][attribute_words],
    }
    request = _filled(raw["request"], **chosen)
    return Instruction(raw["system"], request, raw["again"], raw["complaints"], raw["effects"])


def _filled(text: str, **blanks: str) -> str:
    # In one pass: a caption may hold braces of its own.
    return _BLANK.sub(lambda found: blanks.get(found[1], found[0]), text)


def _refuse_other_keys(path: Path, where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    if wrong := [*(key for key in table if key not in known), *(key for key in known if key not in table)]:
        said = "is missing from" if wrong[0] in known else "is unknown in"
        raise InvalidPrompts(f"{path}: {wrong[0]!r} {said} {where}; it has {', '.join(known)}.")


def _refuse_unfit(path: Path, key: str, text: Any, blanks: Sequence[str]) -> None:
    if not isinstance(text, str) or not text.strip():
        raise InvalidPrompts(f"{path}: {key!r} must be a text that is not empty, found {text!r}.")
    for blank in blanks:
        if f"{{{blank}}}" not in text:
            raise InvalidPrompts(f"{path}: {key!r} has no place for {{{blank}}}.")
