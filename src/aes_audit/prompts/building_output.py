"""What a build leaves: the pairs as JSON lines, and a companion that says how they came about."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aes_audit.errors import StoreUnusable, UsageError
from aes_audit.evidence import files
from aes_audit.prompts.pairs import PromptPair

__all__ = ["Output", "Written"]


@dataclass(frozen=True, slots=True)
class Written:
    """A pair, and where it comes from."""

    pair: PromptPair
    """The pair."""
    place: str
    """Where its caption stands in the source."""
    attempts: int
    """Answers until one passed."""

    @property
    def line(self) -> str:
        """The pair as one line of JSON; readers of sets need the first four keys alone."""
        pair = self.pair
        texts = {"id": pair.id, "original": pair.original, "wide": pair.wide, "dimensions": list(pair.dimensions)}
        return json.dumps({**texts, "caption": self.place, "attempts": self.attempts}, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Output:
    """Where a build writes."""

    file: Path
    """The JSON lines."""

    @property
    def companion(self) -> Path:
        """The TOML file beside it."""
        return self.file.with_suffix(".toml")

    @property
    def journal(self) -> Path:
        """Where answers are kept until the file is written."""
        return self.file.with_name(f"{self.file.name}.progress")

    def refuse_unfit(self) -> None:
        """Raise UsageError for a file that profiles could not name, that is there, or that cannot be written."""
        shown = f"--output {str(self.file)!r}"
        if self.file.suffix != ".jsonl":
            raise UsageError(f"{shown}: the name of a prompt set ends in .jsonl, or no profile could name it.")
        if not os.path.isdir(self.file.parent) or not os.access(self.file.parent, os.W_OK):
            raise UsageError(f"{shown}: the folder {str(self.file.parent)!r} is not there or not yours to write in.")
        if os.path.isfile(self.journal):
            # A build that was killed while it wrote its files writes them again.
            return
        for there in (self.file, self.companion):
            if os.path.lexists(there):
                raise UsageError(f"{shown}: {str(there)!r} is there already: name another file, or remove it.")

    def write(self, pairs: Sequence[Written], companion: Mapping[str, Any]) -> None:
        """Write both files, each whole or not at all; raises UsageError when the disk takes them not."""
        try:
            files.write(self.companion, "".join(_toml(companion)).encode())
            files.write(self.file, "".join(written.line for written in pairs).encode())
        except StoreUnusable as error:
            raise UsageError(str(error).removeprefix("store: ")) from error


def _toml(table: Mapping[str, Any], name: str = "") -> Iterator[str]:
    """A table of texts, numbers, booleans, lists of texts, and tables of the same, in TOML 1.0."""
    yield from (f"{_key(key)} = {_value(value)}\n" for key, value in table.items() if not isinstance(value, Mapping))
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            path = f"{name}.{_key(key)}" if name else _key(key)
            yield f"\n[{path}]\n"
            yield from _toml(value, path)


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    # JSON's strings, numbers and booleans are TOML's, but for one character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
