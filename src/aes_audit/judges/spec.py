"""What the SPEC of a dimension judge may say, taken apart; and the options that every asked judge has.

SPEC = BASE [ "[" OPTION "=" VALUE { "," OPTION "=" VALUE } "]" ] { "+lora=" ADAPTER }
BASE = name of the registry | folder | owner/name[@revision] | openai:MODEL[@URL]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aes_audit.errors import UsageError
from aes_audit.generators.spec import parse_spec
from aes_audit.judges.guideline import Guideline
from aes_audit.weights.source import file_at

__all__ = ["ORDERS", "JudgeSpec", "parse_judge", "read_guideline", "read_size"]

ORDERS = ("text-first", "image-first")
"""What comes first in the user's turn; the published judge was asked text first (PROTOCOL section 5)."""

_SIDES = (32, 2048)


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """A SPEC taken apart; nothing is looked up yet."""

    text: str
    """As typed."""
    base: str
    """Name, folder, repository or hosted model, with its revision."""
    options: Mapping[str, str]
    """What stands in brackets, as typed."""
    loras: tuple[str, ...]
    """Adapters in the order they are merged."""


def parse_judge(text: str, root: Path) -> JudgeSpec:
    """Take a SPEC apart; the grammar is that of generators, `root` is what relative folders refer to.

    Raises UsageError for a broken option or for a part that judges do not have.
    """
    spec = parse_spec(text, root)
    for part in ("transformer", "negative"):
        if getattr(spec, part) is not None:
            raise UsageError(f"judge {text!r}: '+{part}=' belongs to generators; a judge takes '+lora='.")
    return JudgeSpec(text, spec.base, spec.options, spec.loras)


def read_size(options: Mapping[str, str]) -> tuple[int, int]:
    """Width and height that `size` asks for, 512 x 512 without it; raises UsageError for anything else."""
    text = options.get("size", "512")
    found = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", text)
    width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not all(_SIDES[0] <= side <= _SIDES[1] for side in (width, height)):
        raise UsageError(f"option size={text}: give the pixels as N or WxH, each from {_SIDES[0]} to {_SIDES[1]}.")
    return width, height


def read_guideline(options: Mapping[str, str], root: Path) -> Guideline:
    """The guideline that `guideline` names, the shipped one without it; raises UsageError for a file that is none."""
    if "guideline" not in options:
        return Guideline.read()
    file = file_at(options["guideline"], root)
    if file is None:
        raise UsageError(f"option guideline={options['guideline']}: no such file; give a TOML or CSV file.")
    return Guideline.read(file)
