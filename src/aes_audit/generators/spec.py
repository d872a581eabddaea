"""What `--model` may say, parsed: a base with an optional revision, and adapters appended to it.

SPEC     = BASE ["@" REVISION] { "+lora=" BASE ["@" REVISION] }
BASE     = name of the zoo | control/NAME | folder | owner/name on the hub
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aes_audit.errors import UnknownName, UsageError

__all__ = ["GeneratorSpec", "parse_spec"]

_PART = re.compile(r"\+(?=[a-z]+=)")


@dataclass(frozen=True, slots=True)
class GeneratorSpec:
    """A SPEC string taken apart; nothing is looked up yet."""

    text: str
    """The SPEC as typed: the `model` column of the evidence."""
    base: str
    """Name, folder or repository, with its revision."""
    loras: tuple[str, ...]
    """Adapters in the order they are applied."""


def parse_spec(text: str) -> GeneratorSpec:
    """Take a SPEC apart; raises UsageError for an empty base or an unknown `+part=`."""
    base, *parts = _PART.split(text)
    if not base:
        raise UsageError(f"model {text!r} names no base model: write BASE+lora=ADAPTER.")
    loras = []
    for part in parts:
        kind, _, value = part.partition("=")
        if kind != "lora":
            raise UnknownName("model part", f"+{kind}=", ["+lora="])
        if not value:
            raise UsageError(f"model {text!r} names no adapter after '+lora=': give a folder or a hub id.")
        loras.append(value)
    return GeneratorSpec(text, base, tuple(loras))
