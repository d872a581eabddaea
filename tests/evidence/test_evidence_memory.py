"""Memory: a row takes few bytes, in the table and on the way there, and nothing else is kept for each."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes_audit.evidence.answered import Answered
from aes_audit.evidence.coding import decoded, encoded, joined
from aes_audit.evidence.columns import RowColumns
from aes_audit.evidence.table import Evidence
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.rewards.protocol import Answer


def collected_rows(pairs: int) -> Iterator[Mapping[str, Any]]:
    """48 rows per pair, as a generator is measured: six rewards, the judge, and two preference judges."""
    for number in range(pairs):
        common = {"model": "control/faithful", "set": "pairs", "item": f"pair-{number}", "seed": number * 10**12}
        for image in ("original", "wide"):
            about = {**common, "image": image, "image_sha256": f"{number:08d}{image:0>56}", "image_fault": None}
            about |= {"image_flags": None, "prompt_tokens": f"tokenizer {number % 40}/77", "prompt_truncated": False}
            for row in range(12):
                read = {"prompt": ("original", "wide")[row % 2], "text_tokens": number % 40, "truncated": False}
                yield {**about, **read, "scorer": f"reward-{row // 2}", "value": number + 0.1, "error": None}
            for place, dimension in enumerate(DIMENSIONS):
                judged = {"prompt": None, "scorer": f"judge/{dimension}", "selected": place < 3}
                yield {**about, **judged, "value": (number % 21) / 10, "error": None}
        for judge in ("a", "b"):
            decided = {"image": "pair", "prompt": "wide", "scorer": f"preference/{judge}", "value": 1.0, "error": None}
            yield {**common, **decided}


def growth(make: Callable[[int], object], few: int, many: int) -> tuple[float, float]:
    """Bytes that each unit adds: to what is kept, and to the peak on the way there."""
    kept, peaks = [], []
    tracemalloc.start()
    try:
        for count in (few, few, many):
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            made = make(count)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
            gc.collect()
            kept.append(tracemalloc.get_traced_memory()[0] - before)
            del made
    finally:
        tracemalloc.stop()
    # The first round also fills caches of the libraries.
    return (kept[2] - kept[1]) / (many - few), (peaks[2] - peaks[1]) / (many - few)


def test_a_row_takes_few_bytes_in_the_table_and_on_the_way_there() -> None:
    kept, peak = growth(lambda pairs: Evidence.from_rows(collected_rows(pairs)), 50, 250)
    assert kept / 48 < 40
    assert peak / 48 < 100


def test_tables_put_together_and_looked_up_take_few_bytes_more() -> None:
    def looked_up(pairs: int) -> object:
        whole = Evidence.concat([Evidence.from_rows(collected_rows(pairs))])
        places = [(image, prompt) for image in ("original", "wide") for prompt in ("original", "wide")]
        columns = [
            whole.column("control/faithful", "pairs", f"reward-{n}", *place) for n in range(6) for place in places
        ]
        assert {len(column.items) for column in columns} == {pairs}
        return whole, columns, whole.selected("control/faithful", "pairs")

    kept, peak = growth(looked_up, 50, 250)
    assert kept / 48 < 55
    assert peak / 48 < 150


def test_what_was_answered_takes_few_bytes_until_somebody_looks() -> None:
    def answered(images: int) -> Answered:
        found = Answered()
        for image in range(images):
            found.append(DIMENSIONS, {name: Answer(image + 0.5, None, {"tokens": image % 9}) for name in DIMENSIONS})
        return found

    kept, _ = growth(answered, 100, 1000)
    assert kept / len(DIMENSIONS) < 24
    found = answered(3)
    assert found[-1] == {name: Answer(2.5, None, {"tokens": 2}) for name in DIMENSIONS}


def test_answers_come_back_as_they_were_given() -> None:
    given = [
        {"a": Answer(1.0), "b": Answer(None, "refused")},
        {},
        {"a": Answer(-0.5, None, {"truncated": True}), "b": Answer(2.0, None, {"notes": ["x"]})},
    ]
    found = Answered()
    for answers in given:
        found.append(("a", "b"), answers)
    assert list(found) == given
    assert found[1:] == given[1:]
    with pytest.raises(IndexError):
        found[3]


CELLS = st.one_of(
    *(
        st.lists(kind | st.none(), min_size=1, max_size=8)
        for kind in (
            st.text(max_size=3),
            st.booleans(),
            st.integers(-(2**40), 2**40),
            st.floats(),
            st.lists(st.integers(), max_size=2),
            st.text(max_size=3) | st.booleans() | st.integers(0, 2) | st.floats(0, 2),
        )
    )
)


def plain(column: pd.Series) -> list[Any]:
    """Cells with one spelling of null, and their types, so that 1, 1.0 and true differ."""
    null = [cell is None or (not isinstance(cell, list) and cell != cell) for cell in column.tolist()]
    return [None if nothing else (type(cell), cell) for cell, nothing in zip(column.tolist(), null, strict=True)]


@settings(max_examples=60, deadline=None)
@given(CELLS, st.integers(1, 3))
def test_an_extra_column_comes_out_as_pandas_would_have_it(cells: list[Any], at_once: int) -> None:
    columns = RowColumns()
    for start in range(0, len(cells), at_once):
        columns.extend({"item": "1", "extra": cell} for cell in cells[start : start + at_once])
    found, expected = decoded(columns.frame()["extra"]), pd.Series(cells)
    assert plain(found) == plain(expected)
    assert str(found.dtype) == str(expected.dtype)


@settings(max_examples=60, deadline=None)
@given(st.lists(CELLS | st.none(), min_size=1, max_size=3))
def test_extra_columns_put_together_are_what_pandas_makes_of_them(parts: list[list[Any] | None]) -> None:
    def framed(cells: list[Any] | None) -> pd.DataFrame:
        columns = RowColumns()
        columns.extend([{"item": "1"}] if cells is None else ({"item": "1", "extra": cell} for cell in cells))
        return columns.frame()

    frames = [framed(cells) for cells in parts]
    if all(cells is None for cells in parts):
        assert "extra" not in joined(frames)
        return
    whole = joined(frames)["extra"]
    expected = pd.concat([frame.apply(decoded) for frame in frames], ignore_index=True)["extra"]
    assert [None if cell is None else cell[1] for cell in plain(decoded(whole))] == [
        None if cell is None else cell[1] for cell in plain(expected)
    ]


def test_only_texts_become_codes() -> None:
    frame = pd.DataFrame({"text": ["a", None], "number": [1, 2], "flag": [True, False], "mixed": ["a", 1]})
    assert [str(encoded(frame[name]).dtype) for name in frame] == ["category", "int64", "bool", "object"]
    assert decoded(encoded(frame["text"])).equals(frame["text"].astype(pd.StringDtype("python", np.nan)))
