"""`aes-audit ratings`: a blinded sheet for people out of recorded evidence, and their answers back into evidence."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from aes_audit.errors import StoreUnusable, UnknownName, UsageError

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence
    from aes_audit.judges.guideline import Guideline
    from aes_audit.ratings.sheet import Sheet, Wanted
    from aes_audit.ratings.units import Unit

__all__ = ["ratings"]

_SHARES = ("proportional", "equal")
_FEW = 5


def ratings(arguments: Sequence[str]) -> int:
    """Write a sheet or read answers; 0 when that is done. Raises UsageError, MissingScores or StoreUnusable."""
    typed = _parser().parse_args(arguments)
    return _sheet(typed) if typed.task == "sheet" else _read(typed)


def _sheet(typed: argparse.Namespace) -> int:
    output = Path(typed.output)
    key = Path(typed.key) if typed.key else output.with_name(f"{output.name}.key.json")
    if key.resolve().is_relative_to(output.resolve()):
        raise UsageError(f"--key {str(key)!r} lies in the folder for the raters: it tells what they must not know.")
    if key.exists():
        raise UsageError(f"--key {str(key)!r} is there already, and other answers may need it: name a new file.")
    from aes_audit.ratings.folders import write_folders
    from aes_audit.ratings.pictures import folder_pictures, store_pictures
    from aes_audit.ratings.questions import INSTRUCTIONS, TITLES, questions_of
    from aes_audit.ratings.sheet import write_key

    guideline = _guideline(typed)
    sheet = _drawn(typed, guideline)
    instructions = _lines(typed.instructions) if typed.instructions else list(INSTRUCTIONS[sheet.kind])
    questions = questions_of(sheet.kind, sheet.questions, guideline)
    wording = {"title": TITLES[sheet.kind], "instructions": instructions, "questions": questions}
    find = folder_pictures(Path(typed.images)) if typed.images else store_pictures(typed.audit_store)
    write_folders(output, sheet, wording, find, form=typed.format, side=typed.side)
    # The key comes last: a key is the sign of a whole sheet.
    write_key(key, sheet)
    _tell(sheet, output, key)
    return 0


def _drawn(typed: argparse.Namespace, guideline: Guideline | None) -> Sheet:
    from aes_audit.evidence.reading import read_evidence
    from aes_audit.ratings.sheet import Wanted, draw_sheet

    evidence = read_evidence(Path(typed.evidence))
    models = _models(typed, evidence)
    wanted = Wanted(typed.number, typed.raters, typed.per_rater, typed.shares, typed.seed)
    if guideline is not None:
        from aes_audit.ratings.units import picture_units

        dimensions = _dimensions(typed.dimensions, guideline)
        units = _kept(picture_units(evidence, models, dimensions), typed.exclude)
        return draw_sheet(units, wanted, "dimensions", dimensions, "judge")
    return _drawn_pairs(typed, evidence, models, wanted)


def _drawn_pairs(typed: argparse.Namespace, evidence: Evidence, models: Sequence[str], wanted: Wanted) -> Sheet:
    from aes_audit.prompts.pairs import read_prompt_set
    from aes_audit.ratings.sheet import draw_sheet
    from aes_audit.ratings.units import PREFERENCE, pair_units, stratifying_judge

    if not typed.prompts:
        raise UsageError("give --prompts, the prompt set of the evidence: raters read the wide prompts.")
    judge = stratifying_judge(evidence, models, typed.judge)
    texts = {pair.id: pair.wide for pair in read_prompt_set(typed.prompts).pairs}
    units = _kept(pair_units(evidence, models, judge, texts), typed.exclude)
    return draw_sheet(units, wanted, "preference", (PREFERENCE,), judge)


def _models(typed: argparse.Namespace, evidence: Evidence) -> Sequence[str]:
    for name in typed.model or ():
        if name not in evidence.models:
            raise UnknownName("model in the evidence", name, evidence.models)
    return tuple(dict.fromkeys(typed.model or evidence.models))


def _guideline(typed: argparse.Namespace) -> Guideline | None:
    """The guideline when dimensions are asked about, None for pairs."""
    if typed.dimensions is None:
        if typed.guideline:
            raise UsageError("--guideline belongs to --dimensions: pairs are asked about without one.")
        return None
    if typed.prompts or typed.judge:
        raise UsageError("--prompts and --judge are for sheets of pairs: leave them out with --dimensions.")
    from aes_audit.judges.guideline import Guideline

    return Guideline.read(Path(typed.guideline) if typed.guideline else None)


def _dimensions(asked: str, guideline: Guideline) -> tuple[str, ...]:
    from aes_audit.prompts.dimensions import DIMENSIONS

    if asked in ("used", "all"):
        return tuple(DIMENSIONS) if asked == "used" else tuple(guideline.levels)
    names = tuple(dict.fromkeys(name.strip() for name in asked.split(",")))
    for name in names:
        if name not in guideline.levels:
            raise UnknownName("dimension in the guideline", name, guideline.levels)
    return names


def _kept(units: Sequence[Unit], exclude: str | None) -> Sequence[Unit]:
    left_out = set(_lines(exclude)) if exclude else set()
    if unknown := left_out - {unit.source for unit in units} - {unit.item for unit in units}:
        raise UsageError(f"--exclude {exclude!r}: {min(unknown)!r} is no item that could be rated.")
    return [unit for unit in units if unit.source not in left_out and unit.item not in left_out]


def _lines(file: str) -> list[str]:
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file!r} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file!r} is not UTF-8 at byte {error.start}: save it as UTF-8.") from error
    return [line.strip() for line in text.split("\n") if line.strip()]


def _tell(sheet: Sheet, output: Path, key: Path) -> None:
    from collections import Counter

    counts = Counter(unit.stratum for unit in sheet.units)
    by_stratum = ", ".join(f"{counts[name]} {name}" for name in sorted(counts))
    _say(f"sheet {sheet.id}: {len(sheet.units)} by the answer of {sheet.stratified_by}: {by_stratum}")
    few = [name for name in sorted(counts) if counts[name] < _FEW]
    if few and sheet.wanted.shares == "proportional":
        _say(f"fewer than {_FEW} {few[0]}: agreement on them will be vague; --shares=equal draws more of them")
    _say(f"every rater gets one folder of {output}; {key} is for nobody who rates")


def _read(typed: argparse.Namespace) -> int:
    output = Path(typed.output)
    if output.suffix.lower() not in (".parquet", ".csv"):
        raise UsageError(f"--output {str(output)!r} must end in .parquet or .csv.")
    if not output.parent.is_dir():
        raise UsageError(f"--output {str(output)!r}: the folder {str(output.parent)!r} does not exist: make it first.")
    from aes_audit.evidence.table import Evidence
    from aes_audit.ratings.answers import read_answers
    from aes_audit.ratings.rows import evidence_rows
    from aes_audit.ratings.sheet import read_key
    from aes_audit.ratings.summary import summary
    from aes_audit.ratings.units import PREFERENCE

    sheet = read_key(Path(typed.key))
    answered = read_answers([Path(name) for name in typed.answers], sheet)
    if not answered:
        raise UsageError("the files hold no answer: every cell of the column answer is empty.")
    rows = evidence_rows(sheet, answered, rule=typed.rule, least=typed.least, people_only=typed.people_only)
    evidence = Evidence.from_rows(rows, source="the answers")
    _write(evidence, output)
    for line in summary(sheet, answered, evidence):
        print(line)
    audit = "preference_agreement" if sheet.kind == PREFERENCE else "judge_agreement"
    _say(f"{len(evidence)} rows in {output}: `pytest audits/test_{audit}.py --evidence={shlex.quote(str(output))}`")
    return 0


def _write(evidence: Evidence, output: Path) -> None:
    import io

    from aes_audit.evidence.files import write

    content = io.BytesIO()
    if output.suffix.lower() == ".csv":
        evidence.frame.to_csv(content, index=False, lineterminator="\n")
    else:
        evidence.frame.to_parquet(content, index=False)
    try:
        write(output, content.getvalue())
    except StoreUnusable as error:
        raise UsageError(f"--output: {str(error).removeprefix('store: ')}") from error


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the whole usage."""
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="aes-audit ratings", description="People as judges.", allow_abbrev=False)
    tasks = parser.add_subparsers(dest="task", metavar="sheet|read", required=True, parser_class=_Parser)
    _add_sheet(tasks.add_parser("sheet", help="write a blinded sheet", allow_abbrev=False))
    _add_read(tasks.add_parser("read", help="read the answers", allow_abbrev=False))
    return parser


def _add_sheet(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write one folder per rater, with a page that works offline, and a key that raters do not get."
    add = parser.add_argument
    add("--evidence", required=True, metavar="PATH", help="table with items, judges' answers and image_sha256")
    add("--output", required=True, metavar="DIR", help="a new folder")
    add("--key", metavar="FILE", help="what unblinds the answers (default: DIR.key.json)")
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument(
        "--audit-store", default=".aes_audit", metavar="STORE", help="the run's store (default: %(default)s)"
    )
    pictures.add_argument("--images", metavar="DIR", help="pictures at [MODEL/]ITEM/original.png, wide.png or work.png")
    add("--prompts", metavar="NAME", help="the prompt set of the pairs: a shipped one or a .jsonl file")
    add("--model", action="append", metavar="NAME", help="model of the evidence (default: all); may be repeated")
    add("--judge", metavar="NAME", help="preference judge whose answers stratify (default: the only one)")
    add("--dimensions", nargs="?", const="used", metavar="NAMES", help="ask 0, 1, 2 per dimension: used, all, or a,b,c")
    add("--guideline", metavar="FILE", help="wording of the dimensions (default: the shipped one)")
    add("--number", type=_whole, default=40, metavar="N", help="pairs, or pictures, to rate (default: %(default)s)")
    add("--raters", type=_whole, default=18, metavar="N", help="people (default: %(default)s)")
    add("--per-rater", type=_whole, default=10, metavar="N", help="pages of each (default: %(default)s)")
    add(
        "--shares", choices=_SHARES, default=_SHARES[0], help="sample as the judge answered (default), or each as often"
    )
    add("--seed", type=int, default=0, metavar="N", help="of everything that is drawn (default: %(default)s)")
    add("--format", choices=("web", "csv"), default="web", help="a page (default), or a table to fill in")
    add("--side", type=_whole, default=768, metavar="N", help="most pixels on a picture's side (default: %(default)s)")
    add("--exclude", metavar="FILE", help="items that nobody shall see, one per line")
    add("--instructions", metavar="FILE", help="your own instructions, a paragraph per line")


def _add_read(parser: argparse.ArgumentParser) -> None:
    parser.description = "Turn raters' answers into evidence: preference/people, or truth/<dimension>."
    add = parser.add_argument
    add("answers", nargs="+", metavar="ANSWERS", help="CSV files, one per rater")
    add("--key", required=True, metavar="FILE", help="the key of the sheet")
    add("--output", required=True, metavar="FILE", help="evidence to write, .parquet or .csv")
    add("--rule", choices=("mean", "majority"), default="mean", help="how ratings become one value (default: mean)")
    add("--least", type=_whole, default=1, metavar="N", help="ratings that a value needs (default: %(default)s)")
    add("--people-only", action="store_true", help="without the judges' rows, to lie beside the table of the sheet")


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give a whole number of 1 or more")
    return int(text)


def _say(message: str) -> None:
    print(f"aes-audit: {' '.join(message.split())}", file=sys.stderr)
