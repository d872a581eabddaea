"""Which dimensions a text asks for, as far as its words tell.

A stand-in for the question "could a person tell?": a list of words and phrases per dimension, `lexicon.toml`, read the
same way for what a prompt must say and for what it must not say. It knows English only, and no irony.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aes_audit.errors import InvalidPrompts
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["Lexicon", "read_lexicon", "words"]

_SHIPPED = Path(__file__).with_name("lexicon.toml")
_CURLED = "\N{RIGHT SINGLE QUOTATION MARK}"
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_GAP = r"(?:\S+ ){0,5}"


def words(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, without punctuation; a hyphen parts two words, an apostrophe does not."""
    return tuple(_WORD.findall(text.lower().replace(_CURLED, "'")))


class Lexicon:
    """Words and phrases that signal the low end of a dimension."""

    def __init__(self, entries: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """`entries`: dimension -> lists by name; a dimension is signalled when each of its lists has a match."""
        self._lists = {
            dimension: tuple(re.compile(f" (?:{'|'.join(map(_pattern, listed))})") for listed in lists.values())
            for dimension, lists in entries.items()
        }

    def signals(self, text: str) -> Mapping[str, tuple[str, ...]]:
        """Dimension -> the words of the text that signal it, one per list; dimensions in the protocol's order."""
        plain = f" {' '.join(words(text))} "
        found = {
            dimension: tuple(match.group().strip() for expression in lists if (match := expression.search(plain)))
            for dimension, lists in self._lists.items()
        }
        told = {name: said for name, said in found.items() if len(said) == len(self._lists[name])}
        return {name: told[name] for name in DIMENSIONS if name in told}


def read_lexicon(path: Path = _SHIPPED) -> Lexicon:
    """The shipped lexicon, or another file of its form. Raises InvalidPrompts naming the file and the table."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidPrompts(f"{path}: the lexicon cannot be read ({error}).") from error
    if set(raw) != set(DIMENSIONS):
        wrong = sorted(set(raw) ^ set(DIMENSIONS))[0]
        raise InvalidPrompts(f"{path}: a lexicon has one table for each dimension and no other; look at {wrong!r}.")
    for dimension, lists in raw.items():
        if not isinstance(lists, dict) or not lists or not all(_entries(listed) for listed in lists.values()):
            raise InvalidPrompts(f"{path}: table {dimension!r} must hold lists of words and phrases, found {lists!r}.")
    return Lexicon(raw)


def _entries(listed: Any) -> bool:
    return isinstance(listed, list) and bool(listed) and all(isinstance(word, str) and word.strip() for word in listed)


def _pattern(entry: str) -> str:
    return "".join(_GAP if word == "..." else re.escape(word).replace(r"\*", r"\S*") + " " for word in entry.split())
