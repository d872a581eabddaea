"""`aes-audit report`: what to do with a finished run: model cards for the hub, its verdict in one word. No torch."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from aes_audit.command.argument_types import OneLineParser
from aes_audit.errors import UnknownName, UsageError

__all__ = ["report"]

USAGE = """usage: aes-audit report hub RUN [--output DIR] [--dataset OWNER/NAME] [--source URL]
       aes-audit report verdict RUN

RUN is a folder that --audit-report wrote, or a file that --audit-json wrote.

hub       write evaluation results for the model's page on the hub: `aes-audit report hub --help`
verdict   print the worst verdict of a run: fail, error, inconclusive, pass or advisory"""

_DATASET = re.compile(r"[\w.-]+/[\w.-]+")


def report(arguments: Sequence[str]) -> int:
    """Run `hub` or `verdict`; 0 when done, whatever the verdict is. Raises UsageError."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments[0] not in ("hub", "verdict"):
        raise UnknownName("command of report", arguments[0], ("hub", "verdict"))
    return _hub(arguments[1:]) if arguments[0] == "hub" else _verdict(arguments[1:])


def _verdict(arguments: Sequence[str]) -> int:
    from aes_audit.report.entries import whole_entries
    from aes_audit.report.outcome import overall
    from aes_audit.report.run_folder import RunFolder

    parser = OneLineParser(prog="aes-audit report verdict", description="Print the worst verdict of a run.")
    parser.add_argument("run", metavar="RUN", help="run folder or results file")
    found = RunFolder.read(parser.parse_args(arguments).run)
    print(overall(whole_entries(found), interrupted=bool(found.run.get("interrupted"))))
    return 0


def _hub(arguments: Sequence[str]) -> int:
    from aes_audit.report.hub_card import hub_cards, write_hub_cards
    from aes_audit.report.run_folder import RunFolder

    typed = _hub_parser().parse_args(arguments)
    if typed.dataset and not _DATASET.fullmatch(typed.dataset):
        raise UsageError(f"--dataset {typed.dataset!r} is no data set of the hub: write OWNER/NAME.")
    cards = hub_cards(RunFolder.read(typed.run), typed.dataset, typed.source)
    for path in write_hub_cards(cards, Path(typed.output)):
        print(path)
    return 0


def _hub_parser() -> OneLineParser:
    parser = OneLineParser(
        prog="aes-audit report hub",
        description="Write, for each audited model, a model card whose metadata holds every result of the run, and "
        "with --dataset a results file for that benchmark. Files only: pushing them is yours.",
    )
    parser.add_argument("run", metavar="RUN", help="run folder or results file")
    parser.add_argument("--output", default="model-cards", metavar="DIR", help="default: model-cards")
    parser.add_argument(
        "--dataset", metavar="OWNER/NAME", help="the benchmark on the hub that the prompts are published as"
    )
    parser.add_argument("--source", metavar="URL", help="where the report can be read")
    return parser
