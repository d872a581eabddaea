"""`aes-audit`: what people type, and what they are told when it cannot be done. Imports no torch."""

from __future__ import annotations

import argparse
import io
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from aes_audit.command.art import art
from aes_audit.command.cache_key import cache_key
from aes_audit.command.collect import collect
from aes_audit.command.diff import diff
from aes_audit.command.merge import merge
from aes_audit.command.prompts import prompts
from aes_audit.command.ratings import ratings
from aes_audit.command.report import report
from aes_audit.command.request import ScoreRequest, score_request
from aes_audit.command.train_judge import train_judge
from aes_audit.command.train_lora import train_lora
from aes_audit.errors import AesAuditError, UnknownName, UsageError

__all__ = ["main"]

USAGE = """usage: aes-audit score|collect|merge|train-lora|train-judge|ratings|prompts|art|report|diff|cache-key ...

score        score images under texts with a reward model: `aes-audit score --help`
collect      make and score what the suite measures, whole or in parts: `aes-audit collect --help`
merge        lay the stores of several machines together: `aes-audit merge --help`
train-lora   train an adapter that makes a generator follow its prompts again: `aes-audit train-lora --help`
train-judge  train a judge of dimensions on rated images, and compare it with people: `aes-audit train-judge --help`
ratings      ask people: write blinded sheets, read their answers: `aes-audit ratings --help`
prompts      build a set of wide-spectrum prompts, or check one: `aes-audit prompts --help`
art          write factual captions for artworks: `aes-audit art --help`
report       model cards and the verdict of a finished run: `aes-audit report --help`
diff         say what changed between two runs, pair by pair: `aes-audit diff --help`
cache-key    name the cache of a pipeline by prompts and weights: `aes-audit cache-key --help`"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 done, 1 nothing could be scored, 2 the call or its input is wrong, 130 interrupted.

    Results go to stdout, everything else to stderr, errors as one line.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    if not typed or typed[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if typed else sys.stderr)
        return 0 if typed else 2
    if typed[0] not in _COMMANDS:
        return _say(str(UnknownName("command", typed[0], _COMMANDS)), code=2)
    try:
        with warnings.catch_warnings():
            _quieten()
            return _COMMANDS[typed[0]](typed[1:])
    except UsageError as error:
        return _say(str(error), code=2)
    except AesAuditError as error:
        return _say(str(error), code=1)
    except KeyboardInterrupt as error:
        return _say(str(error) or "interrupted", code=130)


def _score(arguments: Sequence[str]) -> int:
    request: ScoreRequest = score_request(_parser().parse_intermixed_args(arguments))
    from aes_audit.command.score import score

    return score(request)


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "score": _score,
    "collect": collect,
    "merge": merge,
    "train-lora": train_lora,
    "train-judge": train_judge,
    "ratings": ratings,
    "prompts": prompts,
    "art": art,
    "report": report,
    "diff": diff,
    "cache-key": cache_key,
}


def _say(message: str, code: int) -> int:
    print(f"aes-audit: {' '.join(message.split())}", file=sys.stderr)
    return code


def _quieten() -> None:
    # A warning is one line for the reader, not a place in our source; Pillow's own limit on size is an error later.
    warnings.filterwarnings("ignore", module="PIL")
    warnings.showwarning = lambda message, *_, **__: print(f"aes-audit: {message}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        # A text that the terminal cannot show must not end a run.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the whole usage."""
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give a whole number of 1 or more")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="aes-audit score",
        description="Score images under texts. Give IMAGES and --prompt to print a table, or --pairs and --output "
        "for a file of pairs.",
    )
    parser.add_argument("images", nargs="*", metavar="IMAGES", help="image files, scored under every --prompt")
    parser.add_argument("--prompt", action="append", metavar="TEXT", help="a text; may be given several times")
    parser.add_argument("--pairs", metavar="FILE", help="CSV file with the columns image and prompt")
    parser.add_argument("--output", metavar="FILE", help="CSV file to write: the rows of --pairs with value and error")
    parser.add_argument(
        "--reward",
        action="append",
        required=True,
        metavar="SPEC",
        help="NAME, NAME@revision, NAME=PATH or NAME[option=value]=PATH; may be given several times",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"), help="default: auto")
    parser.add_argument(
        "--batch-size", type=_positive, default=32, metavar="N", help="images held in memory at a time (default: 32)"
    )
    return parser
