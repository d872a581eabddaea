"""The code blocks of README, CONTRIBUTING and docs/, with what the page says about running them.

A comment before a block says what keeps it from being run here, `<!-- needs: hub -->`, or that a heavy test runs it for
real, `<!-- run -->` or `<!-- run: exit 1 -->`. A line "`name.py`:" before a block names the file that it is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

__all__ = ["PAGES", "ROOT", "Block", "blocks", "commands", "workflow_steps"]

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

_COMMENT = re.compile(r"<!-- (needs|run)(?:: ([a-z0-9 ]+))? -->")
_FILE = re.compile(r"`([\w./-]+\.\w+)`:")
_SEPARATORS = {"&&", "||", "|", ";", "&"}


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page."""

    page: Path
    """The page it stands on."""
    line: int
    """Where it begins, counted from 1."""
    language: str
    """What stands behind the fence; `indented` for a block without one."""
    text: str
    """Its lines, ending in a line feed."""
    needs: str | None = None
    """What it cannot be run without."""
    exit_code: int | None = None
    """What it ends with when it is run for real; None where that is not asked for."""
    file: str | None = None
    """The file that it is."""

    @property
    def place(self) -> str:
        """For messages and names of tests: page and line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """Every block of a page, in order."""
    return tuple(_blocks(page, page.read_text(encoding="utf-8").splitlines()))


def _blocks(page: Path, lines: list[str]) -> Iterator[Block]:
    index = 0
    while index < len(lines):
        fence = re.match(r"(```+)(.*)", lines[index])
        indented = lines[index].startswith("    ") and index > 0 and not lines[index - 1].strip()
        if fence:
            end = next(row for row in range(index + 1, len(lines)) if lines[row] == fence[1])
            yield _block(page, lines, index, fence[2].strip() or "none", lines[index + 1 : end])
            index = end
        elif indented and not _in_list(lines, index):
            end = next((row for row in range(index, len(lines)) if lines[row][:4].strip()), len(lines))
            yield _block(page, lines, index, "indented", [line[4:] for line in lines[index:end]])
            index = end - 1
        index += 1


def _in_list(lines: list[str], index: int) -> bool:
    """Whether indented lines continue an item of a list and are no code."""
    above = next((line for line in reversed(lines[:index]) if line.strip() and not line.startswith(" ")), "")
    return bool(re.match(r"(-|\d+\.) ", above))


def _block(page: Path, lines: list[str], index: int, language: str, body: list[str]) -> Block:
    needs, exit_code, file = None, None, None
    for line in (line for line in reversed(lines[:index]) if line.strip()):
        comment, name = _COMMENT.fullmatch(line), _FILE.fullmatch(line)
        if comment and comment[1] == "needs":
            needs = comment[2]
        elif comment:
            exit_code = int((comment[2] or "exit 0").removeprefix("exit "))
        elif name:
            file = name[1]
        else:
            break
    text = "\n".join(body).rstrip() + "\n"
    return Block(page, index + 1, language, text, needs, exit_code, file)


def commands(block: Block) -> Iterator[list[str]]:
    """The simple commands of a shell block, as words: without comments, assignments before them and redirections."""
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _SEPARATORS:
                words.append(word)
                continue
            while words and re.match(r"[A-Z_]+=", words[0]):
                del words[0]
            if words:
                yield words[: next((at for at, word in enumerate(words) if word in ("<", ">", ">>")), len(words))]
            words = []


def workflow_steps(block: Block) -> Iterator[Block]:
    """What the `run` and `script` keys of a YAML block hold, as blocks of their own."""

    def scripts(node: Any) -> Iterator[str]:
        for key, value in node.items() if isinstance(node, dict) else ((None, part) for part in node):
            if key in ("run", "script"):
                yield "\n".join([value] if isinstance(value, str) else value)
            elif isinstance(value, dict | list):
                yield from scripts(value)

    for script in scripts(yaml.safe_load(block.text)):
        yield replace(block, text=f"{script}\n")
