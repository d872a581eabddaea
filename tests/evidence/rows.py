"""Valid evidence rows, by hand and at random, and the file formats they are written in."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from hypothesis import strategies as st

from aes_audit.evidence.schema import COLUMNS, IMAGES, PROMPTS, Row

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)
NAME = TEXT | st.sampled_from(["007", "NA", "nan", "None", "null", "1e3", "true", "a,b", 'say "x"', "zwei\nZeilen"])
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def reward(item: str, image: str = "wide", prompt: str | None = "wide", value: float | None = 1.0) -> Row:
    """A row of a reward that reads texts."""
    return Row("flux-dev", "pairs", item, image, prompt, "hpsv3", value, None if value is not None else "no image")


def judged(item: str, dimension: str, image: str = "wide", value: float = 1.0) -> Row:
    """A row of the dimension judge."""
    return Row("flux-dev", "pairs", item, image, None, f"judge/{dimension}", value)


def small_table() -> list[Row]:
    """Every set and kind of scorer, once or twice."""
    return [
        *(reward(item, image, prompt) for item in ("1", "2") for image in ("original", "wide") for prompt in ("wide",)),
        reward("3", value=None),
        judged("1", "clarity"),
        Row("flux-dev", "pairs", "1", "pair", "wide", "preference/qwen", 0.5),
        Row("human", "art", "mona", "work", "caption", "hpsv3", -3.25),
        Row("nano", "emotion", "t1", "sad", "happy", "hpsv3", 2.0),
        Row("nano", "emotion", "t1", "sad", "happy", "blip-itm/face", 0.25),
        Row("nano", "emotion", "t1", "sad", None, "judge/face", 2.0),
        Row("krea", "edits", "e1", "edited", None, "judge/clarity", 0.0),
        Row("krea", "edits", "e1", "source", "original", "hpsv3", 7.0),
        Row("people", "ratings", "r1", "work", None, "truth/face", 2.0),
        Row("people", "ratings", "r1", "work", None, "judge/face", 1.75),
    ]


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Any row that the contract allows."""
    kind = draw(st.sampled_from(["reads", "looks", "face", "judge", "truth", "preference"]))
    scorer = f"{kind}/{draw(NAME)}" if kind in ("judge", "truth", "preference") else f"{kind}-{draw(NAME)}"
    if kind == "preference":
        place: tuple[str, str, str | None] = ("pairs", "pair", "wide")
    else:
        texts = kind in ("reads", "face")
        set_ = "emotion" if kind == "face" else draw(st.sampled_from([name for name in IMAGES if PROMPTS[name]]))
        set_ = set_ if texts else draw(st.sampled_from(list(IMAGES)))
        image = draw(st.sampled_from([name for name in IMAGES[set_] if name != "pair"]))
        place = (set_, image, draw(st.sampled_from(PROMPTS[set_])) if texts else None)
    scorer += "/face" if kind == "face" else ""
    values = {
        "preference": st.sampled_from([0.0, 0.5, 1.0]),
        "judge": st.floats(0, 2),
        "truth": st.sampled_from([0.0, 1.0, 2.0]),
    }
    value = draw(values.get(kind, FINITE) | st.none())
    error = draw(TEXT) if value is None else None
    return Row(draw(NAME), place[0], draw(NAME), *place[1:], scorer, value, error)


def tables() -> st.SearchStrategy[list[Row]]:
    """Any valid table of a few rows."""
    return st.lists(rows(), min_size=1, max_size=12, unique_by=lambda row: row[:6])


def frame(table: Sequence[Row]) -> pd.DataFrame:
    """The rows as pandas users hold them."""
    return pd.DataFrame(list(table), columns=list(COLUMNS))


def write_csv(path: Path, table: Sequence[Row], *, header: Sequence[str] = COLUMNS, end: str = "\n") -> Path:
    """Write rows as CSV, quoted where necessary; None is an empty cell."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in table]
    # A lone carriage return ends a line as well, but csv quotes for the chosen line end only.
    returns = any("\r" in cell for row in cells for cell in row)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL)
        writer.writerows([header, *cells])
    return path


def write(path: Path, table: Sequence[Row]) -> Path:
    """Write rows in the format that the suffix names."""
    if path.suffix == ".csv":
        return write_csv(path, table)
    frame(table).astype({"value": "float64"}).to_parquet(path, index=False)
    return path
