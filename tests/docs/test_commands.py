"""Every command of the documentation is one that the programs take: known subcommands, options, SPECs and files."""

from __future__ import annotations

import argparse
import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any, NoReturn

import pytest
from docs.blocks import PAGES, ROOT, Block, blocks, commands, workflow_steps

from aes_audit.command.main import main
from aes_audit.gates.thresholds import read_thresholds
from aes_audit.generators.spec import parse_spec
from aes_audit.generators.zoo import ZOO
from aes_audit.measures.names import METRIC_NEEDS, PAIRED
from aes_audit.rewards.spec import parse_reward

OURS = {"pytest", "aes-audit", "python", "pip", "mkdocs"}
OTHERS = {".", "bash", "export", "git", "rsync", "ruff"}

# What a shell block of the documentation may be marked with, and why it is not run here.
REASONS = {
    "accelerator": "weights of many gigabytes",
    "ci": "run by continuous integration, word by word (tests/test_readme.py)",
    "endpoint": "a key or a server of the reader's",
    "hub": "weights or data from the hub",
    "project": "files that the reader has and we do not",
}

# A block that is a file of the reader's is a program, and run as such.
SHELL = [block for page in PAGES for block in blocks(page) if block.language in ("bash", "sh") and not block.file]
INDENTED = [block for page in PAGES for block in blocks(page) if block.language == "indented"]
STEPS = [step for page in PAGES for block in blocks(page) if block.language == "yaml" for step in workflow_steps(block)]
TYPED = [(block, words) for block in [*SHELL, *INDENTED, *STEPS] for words in commands(block) if words[0] in OURS]


class Parsed(Exception):
    """The arguments were taken."""


def test_blocks_are_found() -> None:
    assert len(SHELL) > 15
    assert len(TYPED) > 60


def test_shell_blocks_hold_commands_that_are_known_here() -> None:
    unknown = {words[0] for block in SHELL for words in commands(block)} - OURS - OTHERS
    assert not unknown


def test_what_is_not_run_says_why_in_words_that_are_agreed() -> None:
    assert {block.needs for page in PAGES for block in blocks(page)} - {None} <= REASONS.keys()


def test_every_shell_block_is_run_by_a_heavy_test_or_says_what_it_needs() -> None:
    """Put `<!-- run -->`, `<!-- run: exit 1 -->` or `<!-- needs: REASON -->` before the block."""
    assert [block.place for block in SHELL if (block.needs is None) is (block.exit_code is None)] == []


@pytest.mark.parametrize(
    ("block", "words"), TYPED, ids=lambda value: value.place if isinstance(value, Block) else value[0]
)
def test_the_command_is_taken(
    block: Block, words: list[str], pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *arguments = words
    if program == "pytest":
        _take_pytest(block, arguments, pytestconfig)
    elif program == "aes-audit":
        _take_aes_audit(arguments, monkeypatch)
    elif program == "python":
        _take_python(block, arguments)
    elif program == "pip":
        _take_pip(arguments)


def _take_pytest(block: Block, arguments: list[str], config: pytest.Config) -> None:
    # pytest has no public way to ask its parser, which here knows our options and those of the plugins that we name.
    typed, unknown = config._parser.parse_known_and_unknown_args(arguments)
    assert not unknown
    here = {other.file for other in blocks(block.page) if other.file}
    for path in typed.file_or_dir:
        assert path.partition("::")[0] in here or (ROOT / path.partition("::")[0]).exists(), path
    if typed.audit_evidence is None:
        for spec in [*(typed.audit_model or ()), *filter(None, (typed.audit_base_model, typed.audit_edit_source))]:
            _take_model(spec)
    for spec in typed.audit_reward or ():
        parse_reward(spec)
    _take_profile(block, typed)


def _take_model(spec: str) -> None:
    base = parse_spec(spec, ROOT).base
    if re.fullmatch(r"[a-z0-9.-]+(@.+)?", base) and not base.startswith("."):
        assert base.partition("@")[0] in ZOO, base
    if base.startswith("control/"):
        assert (ROOT / "fixtures" / "controls" / base.removeprefix("control/")).is_dir(), base


def _take_profile(block: Block, typed: argparse.Namespace) -> None:
    shipped = read_thresholds(ROOT / "audits" / "thresholds.toml", PAIRED, METRIC_NEEDS.keys() - PAIRED)
    page = block.page.read_text(encoding="utf-8")
    if typed.audit_profile is not None and f"[profiles.{typed.audit_profile}]" not in page:
        shipped.profile(typed.audit_profile)


def _take_aes_audit(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The real parsers, up to the moment when they are content."""
    if arguments == ["--help"]:
        return
    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(argparse.ArgumentParser, name, _content(getattr(argparse.ArgumentParser, name)))
    with pytest.raises(Parsed):
        main(arguments)


def _content(parse: Any) -> Any:
    def parse_and_stop(parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> NoReturn:
        parse(parser, *args, **kwargs)
        raise Parsed

    return parse_and_stop


def _take_python(block: Block, arguments: list[str]) -> None:
    here = {other.file: other.text for other in blocks(block.page)}
    if arguments[0] == "-m":
        found = importlib.util.find_spec(arguments[1])
        assert found is not None, arguments[1]
        assert found.origin is not None, arguments[1]
        source = Path(found.origin).read_text(encoding="utf-8")
    else:
        source = here.get(arguments[0]) or (ROOT / arguments[0]).read_text(encoding="utf-8")
    options = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    assert [option for option in options if f'"{option}"' not in source] == []


def _take_pip(arguments: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for named in re.findall(r"(?:aes-audit|\.)\[([a-z,]+)\]", " ".join(arguments)):
        assert set(named.split(",")) <= extras.keys(), named
