"""`aes-audit diff`: what changed between two runs. Imports no torch."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from aes_audit.command.argument_types import OneLineParser
from aes_audit.errors import UsageError

if TYPE_CHECKING:
    from aes_audit.report.diff.difference import Difference

__all__ = ["FORMATS", "diff"]

FORMATS = ("text", "markdown", "html")


def diff(arguments: Sequence[str]) -> int:
    """Compare two runs and print or write what changed.

    0 compared, 1 with `--fail-on worse` when something got significantly worse. Raises UsageError for what is no run.
    """
    typed = _parser().parse_args(arguments)
    from aes_audit.report.diff.difference import difference
    from aes_audit.report.diff.side import read_side

    found = difference(read_side(typed.run_a), read_side(typed.run_b), typed.model)
    _write(_shown(found, typed.format, typed.output is None), typed.output)
    if typed.fail_on and not found.tested:
        warnings.warn("nothing could be tested, so --fail-on worse finds nothing: the output says why", stacklevel=2)
    return 1 if typed.fail_on == "worse" and found.worse else 0


def _shown(found: Difference, format_: str, printed: bool) -> str:
    from aes_audit.report.diff.folder_texts import texts_of

    texts = texts_of(found.before, found.after)
    if format_ == "markdown":
        from aes_audit.report.diff.markdown import markdown_text

        return markdown_text(found, texts)
    if format_ == "html":
        from aes_audit.report.diff.page import diff_page

        return diff_page(found, texts)
    from aes_audit.report.diff.terminal import terminal_lines

    width = shutil.get_terminal_size().columns if printed and sys.stdout.isatty() else None
    return "\n".join(terminal_lines(found, texts, width)) + "\n"


def _write(text: str, output: str | None) -> None:
    """Print, or write the file whole or not at all. Raises UsageError naming it."""
    if output is None:
        sys.stdout.write(text)
        return
    path = Path(output)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise UsageError(f"{output} cannot be written: {error.strerror or error}. Give another --output.") from error


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="aes-audit diff",
        description="Say what changed between two runs, item by item where both measured the same items. RUN is a "
        "folder that --audit-report wrote, or a file that --audit-json wrote.",
    )
    parser.add_argument("run_a", metavar="RUN_A", help="the earlier run")
    parser.add_argument("run_b", metavar="RUN_B", help="the later run")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME_A=NAME_B",
        help="what a model or reward of RUN_A is called in RUN_B; may be given several times",
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--output", metavar="FILE", help="default: the terminal")
    parser.add_argument(
        "--fail-on", choices=("worse",), help="exit with 1 when a measurement is significantly worse in RUN_B"
    )
    return parser
