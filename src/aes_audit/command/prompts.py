"""`aes-audit prompts`: build a prompt set with a writer behind an endpoint, or check one. Imports nothing heavy."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

from aes_audit.command.argument_types import OneLineParser, whole
from aes_audit.errors import UnknownName
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.instruction import ATTRIBUTE_WORDS, EXTRA_EFFECTS

if TYPE_CHECKING:
    from aes_audit.prompts.building import Built
    from aes_audit.prompts.building_request import BuildRequest

__all__ = ["prompts"]

USAGE = """usage: aes-audit prompts build|check ...

build   write wide-spectrum prompts for base captions: `aes-audit prompts build --help`
check   print what is wrong with a prompt set: `aes-audit prompts check --help`"""

_DESCRIPTION = (
    "Draw base captions and dimensions, have a language model rewrite each caption, check every answer, and write the "
    "pairs as JSON lines with a companion that holds their provenance. A build that was interrupted goes on with the "
    "same command."
)


def prompts(arguments: Sequence[str]) -> int:
    """Build or check a set; 0 done, for a check 1 when it has faults. Raises UsageError and what a build raises."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments[0] == "check":
        from aes_audit.prompts.validation import main

        return main(arguments[1:], prog="aes-audit prompts check")
    if arguments[0] != "build":
        raise UnknownName("command of prompts", arguments[0], ("build", "check"))
    return _build(_parser().parse_args(arguments[1:]))


def _build(typed: argparse.Namespace) -> int:
    from aes_audit.evidence.progress import Progress
    from aes_audit.prompts.building_request import Stop, build_prompts

    class Interrupts(Stop):
        def listening(self) -> AbstractContextManager[None]:
            return _heard(self.wished)

    request = _request(typed)
    _report(request, build_prompts(request, progress=Progress(sys.stderr.isatty), stop=Interrupts()))
    return 0


def _request(typed: argparse.Namespace) -> BuildRequest:
    from aes_audit.prompts.building_output import Output
    from aes_audit.prompts.building_request import BuildRequest
    from aes_audit.prompts.building_writer import resolve_writer

    return BuildRequest(
        captions=typed.captions,
        output=Output(Path(typed.output)),
        writer=resolve_writer(typed.writer),
        count=typed.count,
        seed=typed.seed,
        balanced=typed.balance,
        dimensions=typed.dimensions,
        rewrites=typed.rewrites,
        replace=typed.replace,
        extra_effects=typed.extra_effects,
        attribute_words=typed.attribute_words,
        instruction=Path(typed.instruction) if typed.instruction else None,
        language=typed.language,
        caption_files=typed.caption_files,
        budget_usd=typed.budget,
    )


def _report(request: BuildRequest, built: Built) -> None:
    from aes_audit.prompts.lexicon import read_lexicon
    from aes_audit.prompts.validation import set_faults

    file = request.output.file
    short = "" if len(built.pairs) == request.count else f" of {request.count} wanted"
    counts = ", ".join(f"{count} {rule}" for rule, count in sorted(built.rejected.items()))
    _say(f"{file}: {len(built.pairs)} pairs{short}; of {built.answers} answers turned down: {counts or 'none'}")
    for left_out in built.left_out:
        _say(f"left out: {left_out.caption!r}: {left_out.reason}")
    english = request.language.lower().split("-")[0] == "en"
    pairs = [written.pair for written in built.pairs]
    if faults := Counter(fault.rule for fault in set_faults(pairs, read_lexicon() if english else None)):
        found = ", ".join(f"{count} {rule}" for rule, count in sorted(faults.items()))
        _say(f"`aes-audit prompts check {shlex.quote(str(file))}` finds faults: {found}")


@contextmanager
def _heard(wished: Event) -> Iterator[None]:
    """Ctrl-C ends the build after the calls under way, which are paid for; a second one ends the process."""

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        wished.set()
        _say("waiting for the calls under way; press Ctrl-C again to leave without their answers")

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="aes-audit prompts build", description=_DESCRIPTION, allow_abbrev=False)
    add = parser.add_argument
    add("--captions", required=True, metavar="SOURCE", help="captions_*.json of COCO, lines.txt, or owner/name:column")
    add("--output", required=True, metavar="FILE", help="a new .jsonl file; a .toml file beside it gets the provenance")
    add("--writer", required=True, metavar="SPEC", help="URL (the paper's model there), openai:MODEL[@URL]; [options]")
    add("--count", type=whole, default=300, metavar="N", help="pairs (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of captions and dimensions (default: %(default)s)")
    add(
        "--balance",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="use all dimensions equally often (default: on)",
    )
    add("--dimensions", type=_names, default=DIMENSIONS, metavar="NAMES", help="with commas (default: all eleven)")
    add("--rewrites", type=whole, default=3, metavar="N", help="answers per caption (default: %(default)s)")
    add(
        "--replace",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="draw another caption for one given up (default: on)",
    )
    add("--extra-effects", choices=EXTRA_EFFECTS, default="forbid", help="effects not asked for (default: forbid)")
    add("--attribute-words", choices=ATTRIBUTE_WORDS, default="free", help="words of the effects (default: free)")
    add("--instruction", metavar="FILE", help="other words for the writer, in the form of prompts/instruction.toml")
    add("--language", default="en", metavar="TAG", help="of the captions (default: en); others go unchecked")
    add("--caption-files", metavar="PATTERN", help="which files of a data set, for instance 'data/train-*'")
    add("--budget", type=_dollars, metavar="USD", help="what this run may spend; needs [price=USD] in the writer")
    return parser


def _dollars(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give US dollars, 0 or more")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


def _say(message: str) -> None:
    print(f"aes-audit: {' '.join(message.split())}", file=sys.stderr)
