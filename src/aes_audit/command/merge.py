"""`aes-audit merge`: the stores of several machines laid together. Imports no torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aes_audit.command.argument_types import OneLineParser

__all__ = ["merge"]

_SHOWN = 10
"""How many conflicts and damaged objects are named."""


def merge(arguments: Sequence[str]) -> int:
    """Merge, and say what was found; 0 when everything is together, 1 for conflicts and damaged objects.

    Raises UsageError and StoreUnusable.
    """
    typed = _parser().parse_args(arguments)
    from aes_audit.evidence.merging import merge_stores

    done = merge_stores(typed.stores, typed.into)
    print(f"{typed.into}: {done.taken} objects taken, {done.there} there already", file=sys.stderr)
    _name("left out", done.damaged, "the next run makes it again")
    _name("conflict", done.conflicts, f"{typed.into} keeps its own; remove the file that is wrong and merge again")
    return 1 if done.conflicts or done.damaged else 0


def _name(what: str, found: Sequence[str], way_out: str) -> None:
    for sentence in found[:_SHOWN]:
        print(f"{what}: {sentence}; {way_out}", file=sys.stderr)
    if len(found) > _SHOWN:
        print(f"{what}: and {len(found) - _SHOWN} more", file=sys.stderr)


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="aes-audit merge",
        description="Lay the images and scores of several stores together. Every object is verified; what is there "
        "already stays, and what two stores hold differently is named. The stores that are read are not changed, and "
        "an interrupted merge goes on with the same command.",
    )
    parser.add_argument("stores", nargs="+", metavar="STORE", help="stores to read, as given to --audit-store")
    parser.add_argument("--into", required=True, metavar="STORE", help="the store to write; made where there is none")
    return parser
