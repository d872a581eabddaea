"""`aes-audit collect`: everything that the suite would measure is made and scored, and nothing is judged."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from aes_audit.command.argument_types import OneLineParser
from aes_audit.errors import AesAuditError, UsageError
from aes_audit.evidence.batches import WHOLE, Part
from aes_audit.evidence.progress import Progress

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence
    from aes_audit.live.session import LiveSession

__all__ = ["collect"]

_NOT_TAKEN = frozenset(
    (
        "--evidence",
        "--audit-json",
        "--audit-report",
        "--audit-inconclusive",
        "--audit-early-stop",
        "--audit-baselines",
        "--audit-bless",
        "--audit-calibrate",
        "--audit-baseline-mismatch",
        "--audit-plan",
    )
)
"""Options of the suite that are about judging, and about what becomes of verdicts."""


def collect(arguments: Sequence[str]) -> int:
    """Collect, and write the table where one is asked for; 0 when everything was collected.

    Raises UsageError, and what the first table that could not be collected raised, once the others are.
    """
    typed = _parser().parse_args(arguments)
    output = _output(typed)
    from aes_audit.live.session import LiveSession
    from aes_audit.opening import open_session
    from aes_audit.options import collecting_config

    config = collecting_config(vars(typed), Path.cwd(), typed.shard)
    session = open_session(config, Progress(sys.stderr.isatty))
    assert isinstance(session, LiveSession)
    try:
        for line in session.header():
            _say(line)
        tables = _collected(session, typed.shard)
    finally:
        session.close()
    if output:
        _write(tables, output)
        _say(f"table: {output}")
    return 0


def _output(typed: argparse.Namespace) -> Path | None:
    if typed.output is None:
        return None
    if not typed.shard.is_whole:
        raise UsageError("--output writes the whole table: merge the stores of all shards, then collect without one.")
    if not typed.output.endswith(".parquet"):
        raise UsageError(f"--output={typed.output}: give a name that ends in .parquet.")
    return Path(typed.output)


def _collected(session: LiveSession, part: Part) -> list[Evidence]:
    """Every table, or the part of it; what fails keeps no other table from being collected."""
    tables: list[Evidence] = []
    failed: list[AesAuditError] = []
    for set_, model in session.tables:
        collector = session.set_of(set_, model)
        if not part.is_whole and collector and not collector.divisible:
            _say(f"{set_} of {model}: left to a run without --shard, which needs the other tables whole")
            continue
        try:
            table = session.table(set_, model)
        except AesAuditError as error:
            _say(f"{set_} of {model}: {error}")
            failed.append(error)
        else:
            tables.append(table)
            _say(f"{set_} of {model}: {len(table.items(model, set_))} items, {len(table)} rows")
    _ask_known_cases(session, part)
    if failed:
        raise failed[0]
    return tables


def _ask_known_cases(session: LiveSession, part: Part) -> None:
    """What the suite asks of rewards before it judges by them, so that it finds the answers."""
    if session.config.health != "check":
        return
    names = {name for case in session.cases if case.gate for name in session.health.behind(case)}
    for name in part.of(sorted(names), 1):
        session.health.reason(name)


def _write(tables: Sequence[Evidence], output: Path) -> None:
    """The file is there whole or not at all. Raises UsageError naming it."""
    from aes_audit.evidence.table import Evidence

    temporary = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        Evidence.concat(tables).to_parquet(temporary)
        temporary.replace(output)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise UsageError(f"--output={output} cannot be written: {error.strerror or error}.") from error


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _shard(text: str) -> Part:
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give I/N, from 1/N to N/N")
    return Part(int(number), int(count))


def _parser() -> OneLineParser:
    # pytest comes with it, which no other command waits for.
    from aes_audit.option_table import OPTIONS

    parser = OneLineParser(
        prog="aes-audit collect",
        description="Make and score everything that `pytest audits/` with the same options would measure, and judge "
        "nothing: the suite then finds it all in the store. Ini files are not read.",
    )
    for option in OPTIONS:
        if option.flag not in _NOT_TAKEN:
            parser.add_argument(
                option.flag,
                dest=option.dest,
                metavar=option.metavar,
                type=option.parse,
                action="append" if option.repeatable else "store",
                nargs=None if option.bare is None else "?",
                const=option.bare,
                help=option.help + (f" (default: {option.default})" if option.default else ""),
            )
    parser.add_argument("--output", metavar="FILE", help="write the table here, as Parquet: FILE ends in .parquet")
    parser.add_argument(
        "--shard",
        type=_shard,
        default=WHOLE,
        metavar="I/N",
        help="collect only the I-th of N parts, counted from 1, for a job of a batch scheduler; the parts may share a "
        "store, or have one each (aes-audit merge)",
    )
    return parser
