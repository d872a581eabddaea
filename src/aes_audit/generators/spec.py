"""What `--model` may say, taken apart; nothing is looked up but whether a folder has brackets in its name.

SPEC    = BASE [ "[" OPTION "=" VALUE { "," OPTION "=" VALUE } "]" ] { PART }
BASE    = zoo name [@revision] | control/NAME | folder | owner/name[@revision]
          | gemini:MODEL[@URL] | openai:MODEL[@URL] | module:factory
PART    = "+lora=" ADAPTER | "+transformer=" SOURCE | "+negative=" TEXT
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aes_audit.errors import UnknownName, UsageError
from aes_audit.weights.source import folder_at

__all__ = ["PARTS", "GeneratorSpec", "parse_spec"]

PARTS = {
    "lora": "names no adapter after '+lora=': give a folder or a hub id",
    "transformer": "names no weights after '+transformer=': give a folder, a .safetensors file or a hub id",
    "negative": "says nothing after '+negative=': write what the images should not show",
}
"""What may be appended to a base, and the complaint where its value is missing."""

_PART = re.compile(r"\+(?=[a-z]+=)")
# A bracket right after `//` or `@` is the address of a host and no option.
_OPTIONS = re.compile(r"(?P<base>.*[^/@])\[(?P<options>[^\[\]]*)\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class GeneratorSpec:
    """A SPEC string taken apart; nothing is looked up yet."""

    text: str
    """The SPEC as typed: the `model` column of the evidence."""
    base: str
    """Name, folder, repository or hosted model, with its revision."""
    loras: tuple[str, ...] = ()
    """Adapters in the order they are applied."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What stands in brackets, as typed."""
    transformer: str | None = None
    """What replaces the transformer."""
    negative: str | None = None
    """Text that the images are guided away from."""

    @property
    def head(self) -> str:
        """The SPEC as typed without what is appended: base and options."""
        return _PART.split(self.text)[0]


def parse_spec(text: str, root: Path | None = None) -> GeneratorSpec:
    """Take a SPEC apart; `root` is what relative folders refer to, None asks for no folder.

    Raises UsageError for an empty base, a broken option or a part without a value, UnknownName for another part.
    """
    base, *parts = _PART.split(text)
    if not base:
        way = "BASE+lora=ADAPTER" if parts else "control/faithful, ./my-model or owner/name"
        raise UsageError(f"model {text!r} names no base model: write {way}.")
    said: dict[str, list[str]] = {kind: [] for kind in PARTS}
    for part in parts:
        kind, _, value = part.partition("=")
        if kind not in PARTS:
            raise UnknownName("model part", f"+{kind}=", [f"+{known}=" for known in PARTS])
        if not value:
            raise UsageError(f"model {text!r} {PARTS[kind]}.")
        said[kind].append(value)
    name, options = _bracketed(text, base, root)
    once = {kind: _only(text, kind, said[kind]) for kind in ("transformer", "negative")}
    return GeneratorSpec(text, name, tuple(said["lora"]), options, **once)


def _bracketed(text: str, base: str, root: Path | None) -> tuple[str, dict[str, str]]:
    match = _OPTIONS.fullmatch(base)
    if match is None or (root is not None and folder_at(base, root) is not None):
        return base, {}
    options: dict[str, str] = {}
    for part in map(str.strip, match["options"].split(",")):
        name, _, value = (word.strip() for word in part.partition("="))
        if not (name and value):
            raise UsageError(f"model {text!r}: {part!r} is no option; write [name=value], several with commas.")
        if name in options:
            raise UsageError(f"model {text!r} says {name!r} twice: say it once.")
        options[name] = value
    return match["base"], options


def _only(text: str, kind: str, values: list[str]) -> str | None:
    if len(values) > 1:
        raise UsageError(f"model {text!r} says '+{kind}=' twice: say it once.")
    return values[0] if values else None
