"""`aes-audit art`: factual captions for artworks, of a folder or of the hub. Imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from aes_audit.command.argument_types import OneLineParser, number
from aes_audit.errors import UnknownName

__all__ = ["art"]

USAGE = """usage: aes-audit art caption DIR --model SPEC [--of hub:OWNER/NAME] [--budget USD]

caption   let a vision-language model say what each work shows: `aes-audit art caption --help`"""


def art(arguments: Sequence[str]) -> int:
    """Caption a folder; 0 when every work has one, 1 when some have none. Raises UsageError and what calls raise."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments[0] != "caption":
        raise UnknownName("command of art", arguments[0], ("caption",))
    typed = _parser().parse_args(arguments[1:])
    from aes_audit.endpoints.budget import Budget
    from aes_audit.evidence.art_captions import caption_works
    from aes_audit.prompts.building_writer import resolve_writer

    writer = resolve_writer(typed.model)
    writer.refuse_unready(typed.budget)
    done = caption_works(Path(typed.folder), writer, Budget(typed.budget), typed.of)
    for image, reason in done.left_out.items():
        print(f"left out: {image}: {reason}", file=sys.stderr)
    print(f"{done.table}: {done.written} captions written, {len(done.left_out)} works without one", file=sys.stderr)
    return 1 if done.left_out else 0


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="aes-audit art caption",
        description="Write a factual caption for every work that has none: into the folder's table, or into "
        "works.jsonl where it has no table. With --of the works are those of a data set, and the folder keeps the "
        "captions. A run that was cut short goes on with the same command.",
    )
    parser.add_argument("folder", metavar="DIR", help="folder of artworks")
    parser.add_argument(
        "--model", required=True, metavar="SPEC", help="openai:MODEL[@URL] with options as for a writer of prompts"
    )
    parser.add_argument("--of", metavar="SET", help="hub:OWNER/NAME, as for --art, of which to caption the works")
    parser.add_argument("--budget", type=number, metavar="USD", help="what this run may spend")
    return parser
