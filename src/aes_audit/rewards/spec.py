"""What `--reward` may say, taken apart; nothing is looked up yet. Imports no torch.

SPEC    = NAME [ "[" OPTION { "," OPTION } "]" ] [ "@" REVISION | "=" PATH ]
OPTION  = NAME "=" VALUE
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aes_audit.errors import UsageError

__all__ = ["RewardSpec", "named", "parse_reward"]

_SPEC = re.compile(r"(?P<name>[^\[\]@=]+)(?:\[(?P<options>[^\[\]]*)\])?(?:@(?P<revision>.+)|=(?P<path>.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RewardSpec:
    """A SPEC string taken apart."""

    text: str
    """The SPEC as typed."""
    name: str
    """A name of the registry or of an entry point."""
    options: Mapping[str, str]
    """Recipe options as typed."""
    revision: str | None
    """Branch, tag or commit of the hub repository."""
    path: str | None
    """File or folder with the official weights, as typed."""

    def place(self, root: Path) -> Path | None:
        """The path, with `~` expanded; a relative one is under `root`."""
        if self.path is None:
            return None
        try:
            return root / Path(self.path).expanduser()
        except RuntimeError:
            # `~somebody` without a home folder: the name as typed, which will not be found.
            return root / self.path


def parse_reward(text: str) -> RewardSpec:
    """Take a SPEC apart; raises UsageError for one that does not follow the grammar."""
    match = _SPEC.fullmatch(text)
    if match is None:
        raise UsageError(
            f"reward {text!r} is not understood: write NAME, NAME@revision, NAME=PATH or NAME[option=value]."
        )
    options: dict[str, str] = {}
    for part in filter(None, map(str.strip, (match["options"] or "").split(","))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not (name and equals and value):
            raise UsageError(f"reward {text!r}: {part!r} is no option; write [name=value], several with commas.")
        if name in options:
            raise UsageError(f"reward {text!r} says {name!r} twice: say it once.")
        options[name] = value
    return RewardSpec(text, match["name"].strip(), options, match["revision"], match["path"])


def named(name: str, options: Mapping[str, str]) -> str:
    """The scorer's name in the evidence: NAME, or NAME[option=value,...] sorted by option."""
    said = ",".join(f"{option}={options[option]}" for option in sorted(options))
    return f"{name}[{said}]" if said else name
