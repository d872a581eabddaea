"""A sheet: what every rater is shown in which order, and the key that says what it was."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from aes_audit.errors import UsageError
from aes_audit.evidence.keys import digest
from aes_audit.ratings.sampling import assigned, sampled
from aes_audit.ratings.units import PAIR_IMAGES, PREFERENCE, Unit

__all__ = ["DIMENSIONS_ASKED", "Page", "Sheet", "Wanted", "draw_sheet", "read_key", "write_key"]

DIMENSIONS_ASKED = "dimensions"
_FORMAT = "aes-audit rating key 1"
_ID = 12

Kind = Literal["preference", "dimensions"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How large the sheet is and how it is drawn. The paper: 40 pairs, 18 raters, 10 each."""

    number: int = 40
    """Pairs, or pictures, in the sample."""
    raters: int = 18
    """People."""
    per_rater: int = 10
    """Pages of each of them."""
    shares: str = "proportional"
    """One of SHARES."""
    seed: int = 0
    """Of the sample, who sees what, the order and the sides."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of one rater."""

    unit: int
    """Which unit of the sheet."""
    left: str | None = None
    """The label of the picture on the left; None where there is one picture."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything about a sheet; raters get none of it but the texts and pictures of their pages."""

    kind: Kind
    """`preference`: which of two pictures; `dimensions`: a class per dimension of one picture."""
    questions: tuple[str, ...]
    """What is asked on every page: `preference`, or the dimensions."""
    wanted: Wanted
    """How it was drawn."""
    units: tuple[Unit, ...]
    """The sample."""
    raters: Mapping[str, tuple[Page, ...]]
    """Rater -> pages in order; the first page has the number 1."""
    stratified_by: str
    """Whose answers the strata are."""

    @property
    def id(self) -> str:
        """Digest of the whole sheet; it stands in every answer, so that answers and key cannot be mixed up."""
        # It begins with a letter: a spreadsheet must not take it for a number.
        return f"s{digest(self._content())[:_ID]}"

    def shown(self, page: Page) -> tuple[str, ...]:
        """Labels of the page's pictures from left to right."""
        labels = tuple(self.units[page.unit].images)
        if page.left is None:
            return labels
        return (page.left, *(label for label in labels if label != page.left))

    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content


def draw_sheet(
    units: Sequence[Unit], wanted: Wanted, kind: Kind, questions: Sequence[str], stratified_by: str
) -> Sheet:
    """Sample, assign, shuffle; each rater has the wide picture on the left on half of the pages.

    Equal for equal arguments. Raises UsageError when the numbers do not fit.
    """
    draw = random.Random(wanted.seed)
    strata: dict[str, list[Unit]] = {}
    for unit in sorted(units, key=lambda unit: (unit.model, unit.item)):
        strata.setdefault(unit.stratum, []).append(unit)
    chosen = sampled(strata, wanted.number, wanted.shares, draw)
    draw.shuffle(chosen)
    raters: dict[str, tuple[Page, ...]] = {}
    digits = len(str(wanted.raters))
    for count, mine in enumerate(assigned(len(chosen), wanted.raters, wanted.per_rater, draw), 1):
        sides: Sequence[str | None] = _sides(len(mine), draw) if kind == PREFERENCE else [None] * len(mine)
        pages = (Page(unit, left) for unit, left in zip(mine, sides, strict=True))
        raters[f"rater-{count:0{max(2, digits)}}"] = tuple(pages)
    return Sheet(kind, tuple(questions), wanted, tuple(chosen), raters, stratified_by)


def _sides(pages: int, draw: random.Random) -> list[str]:
    sides = [PAIR_IMAGES[place % 2] for place in range(pages - pages % 2)]
    sides += draw.choices(PAIR_IMAGES, k=pages % 2)
    draw.shuffle(sides)
    return sides


def write_key(path: Path, sheet: Sheet) -> None:
    """Write what unblinds the answers. Raises StoreUnusable."""
    from aes_audit.evidence.files import write

    content = {"format": _FORMAT, "id": sheet.id, **sheet._content()}
    write(path, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())


def read_key(path: Path) -> Sheet:
    """The sheet that a key was written for. Raises UsageError for a file that is not exactly what was written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise ValueError("another format")
        known = content.pop("id")
        sheet = _sheet(content)
    except OSError as error:
        raise UsageError(f"--key {str(path)!r} cannot be read: {error.strerror or error}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UsageError(f"--key {str(path)!r} is not a key that `aes-audit ratings sheet` wrote.") from error
    if sheet.id != known:
        raise UsageError(f"--key {str(path)!r} was changed after it was written: use the file as it was.")
    return sheet


def _sheet(content: Mapping[str, Any]) -> Sheet:
    return Sheet(
        kind=content["kind"],
        questions=tuple(content["questions"]),
        wanted=Wanted(**content["wanted"]),
        units=tuple(Unit(**unit) for unit in content["units"]),
        raters={name: tuple(Page(**page) for page in pages) for name, pages in content["raters"].items()},
        stratified_by=content["stratified_by"],
    )
