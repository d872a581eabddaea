"""Faults: each makes the whole table invalid, with a line that names the file, the column and the row or key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evidence.rows import frame, reward, small_table, write, write_csv
from hypothesis import given, settings
from hypothesis import strategies as st

from aes_audit.errors import InvalidEvidence
from aes_audit.evidence.reading import read_evidence
from aes_audit.evidence.schema import COLUMNS, Row
from aes_audit.evidence.table import Evidence

HEADER = ",".join(COLUMNS)


def complaint(path: Path) -> str:
    """What reading says; a few lines at most, and the name of the file in the first."""
    with pytest.raises(InvalidEvidence) as caught:
        read_evidence(path)
    message = str(caught.value)
    assert message.count("\n") <= 2
    assert len(message) < 1200
    assert message.startswith(str(path))
    return message


def row(**changes: Any) -> Row:
    """A valid row with changes."""
    return Row("flux-dev", "pairs", "7", "wide", "wide", "hpsv3", 1.0)._replace(**changes)


WRONG_ROWS: list[tuple[Row, str, str]] = [
    (row(set="pears"), "set", "'pears'"),
    (row(image="wyde"), "image", "'wyde'"),
    (row(image="work"), "image", "'work'"),
    (row(image="pair"), "image", "preference"),
    (row(image="wide", scorer="preference/q"), "image", "preference"),
    (row(set="edits", image="edited", prompt="wide", scorer="preference/q"), "image", "preference"),
    (row(image="pair", prompt="original", scorer="preference/q"), "prompt", "'original'"),
    (row(image="pair", prompt=None, scorer="preference/q"), "prompt", "null"),
    (row(prompt="wyde"), "prompt", "'wyde'"),
    (row(prompt="caption"), "prompt", "'caption'"),
    (row(scorer="judge/clarity"), "prompt", "'wide'"),
    (row(set="art", image="work", prompt="wide"), "prompt", "'wide'"),
    (row(set="emotion", image="neutral", prompt="sad"), "image", "'neutral'"),
    (row(set="emotion", image="sad", prompt="neutral"), "prompt", "'neutral'"),
    (row(set="emotion", image="sad", prompt=None, scorer="blip-itm/face"), "prompt", "null"),
    (row(set="edits", image="wide"), "image", "'wide'"),
    (row(set="edits", image="edited", prompt="caption"), "prompt", "'caption'"),
    (row(set="ratings", image="work", prompt="caption"), "prompt", "should be null for the set ratings"),
    (row(set="ratings", image="work", prompt="caption", scorer="truth/clarity"), "prompt", "'caption'"),
    (row(scorer="judge/", prompt=None), "scorer", "'judge/'"),
    (row(image="pair", scorer="preference/"), "scorer", "'preference/'"),
    (row(image="pair", scorer="preference/q", value=0.3), "value", "0.29999999999999999"),
    (row(image="pair", scorer="preference/q", value=2.0), "value", "2"),
    (row(image="pair", scorer="preference/q", value=-1.0), "value", "-1"),
    (row(prompt=None, scorer="judge/clarity", value=2.01), "value", "2.0099"),
    (row(prompt=None, scorer="judge/clarity", value=-0.5), "value", "-0.5"),
    (row(prompt=None, scorer="judge/anything else", value=3.0), "value", "3"),
    (row(set="ratings", image="work", prompt=None, scorer="truth/clarity", value=1.5), "value", "1.5"),
    (row(set="ratings", image="work", prompt=None, scorer="truth/face", value=3.0), "value", "3"),
    (row(set="ratings", image="work", prompt=None, scorer="truth/clarity", value=-1.0), "value", "-1"),
    (row(error="refused"), "error", "'refused'"),
    (row(value=None), "value", "null"),
    (row(model=None), "model", "empty"),
    (row(set=None), "set", "empty"),
    (row(item=None), "item", "empty"),
    (row(image=None), "image", "empty"),
    (row(scorer=None), "scorer", "empty"),
    (row(model="  "), "model", "empty"),
    (row(item="\t"), "item", "empty"),
    (row(scorer=" "), "scorer", "empty"),
    (row(prompt=" "), "prompt", "empty"),
    (row(value=None, error=" "), "error", "empty"),
]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(("wrong", "column", "word"), WRONG_ROWS)
def test_a_row_that_breaks_a_rule_is_named_by_column_row_and_key(
    tmp_path: Path, wrong: Row, column: str, word: str, suffix: str
) -> None:
    table = [reward("1"), reward("2"), wrong, wrong._replace(model="another", item="9")]
    message = complaint(write(tmp_path / f"a.{suffix}", table))
    assert f"column '{column}'" in message
    assert word in message
    assert "row 3" in message
    for name, cell in wrong._asdict().items():
        if name not in ("value", "error") and isinstance(cell, str):
            assert f"{name}={cell!r}" in message


def test_a_fault_far_from_every_audit_still_makes_the_file_invalid(tmp_path: Path) -> None:
    table = [*small_table(), Row("unused", "ratings", "z", "work", None, "truth/safety", 7.0)]
    assert "truth/safety" in complaint(write(tmp_path / "a.csv", table))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(tmp_path: Path, column: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    table = frame(small_table()).drop(columns=column)
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path, index=False)
    assert f"column '{column}': missing" in complaint(path)


def test_a_file_with_another_separator_is_missing_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER.replace(",", ";") + "\nm;pairs;1;wide;wide;hpsv3;1,5;\n")
    message = complaint(path)
    assert "column 'model': missing" in message
    assert "model;set;item" in message


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_that_occurs_twice_is_a_fault(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "csv":
        write_csv(path, [(*reward("1"), "x")], header=[*COLUMNS, "item"])  # type: ignore[list-item]
    else:
        arrays = [pa.array([cell]) for cell in (*reward("1"), "x")]
        pq.write_table(pa.Table.from_arrays(arrays, names=[*COLUMNS, "item"]), path)
    assert "column 'item': there are 2 columns" in complaint(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_without_rows_is_a_fault(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "csv":
        path.write_text(HEADER + "\n")
    else:
        frame([]).to_parquet(path)
    assert "no rows" in complaint(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_repeated_key_is_a_fault_even_with_an_equal_value(tmp_path: Path, suffix: str) -> None:
    table = [reward("1"), reward("2"), reward("3"), reward("2")]
    message = complaint(write(tmp_path / f"a.{suffix}", table))
    assert "duplicate key" in message
    assert "row 4 repeats row 2" in message
    assert "item='2'" in message


def test_a_repeated_key_is_one_also_where_the_prompt_is_null_and_one_row_is_an_error(tmp_path: Path) -> None:
    twice = [Row("m", "pairs", "1", "wide", None, "judge/clarity", *end) for end in ((1.0, None), (None, "refused"))]
    assert "prompt=null" in complaint(write(tmp_path / "a.parquet", [reward("1"), *twice]))


def test_the_repeat_that_comes_first_in_the_file_is_reported(tmp_path: Path) -> None:
    table = [reward("b"), reward("a"), reward("b"), reward("a"), reward("a")]
    assert "row 3 repeats row 1" in complaint(write(tmp_path / "a.csv", table))


def test_a_key_in_two_files_of_a_folder_names_both(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", [reward("1"), reward("2")])
    write(tmp_path / "b.parquet", [reward("3"), reward("1")])
    with pytest.raises(InvalidEvidence, match=r"b\.parquet: .*row 2 repeats row 1 of .*a\.csv"):
        read_evidence(tmp_path)


def test_a_faulty_file_of_a_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", [reward("1")])
    write(tmp_path / "b.csv", [reward("2")._replace(image="wyde")])
    with pytest.raises(InvalidEvidence, match=r"b\.csv: column 'image'"):
        read_evidence(tmp_path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_scorer_that_reads_texts_may_not_lose_one(tmp_path: Path, suffix: str) -> None:
    table = [reward("1"), reward("2"), reward("3", prompt=None)]
    message = complaint(write(tmp_path / f"a.{suffix}", table))
    assert "column 'prompt': null, but 'hpsv3' was given a text" in message
    assert "row 3" in message


def test_a_scorer_that_reads_texts_may_not_lose_one_in_another_file(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", [reward("3", prompt=None)])
    write(tmp_path / "b.csv", [reward("1")])
    with pytest.raises(InvalidEvidence, match=r"a\.csv: column 'prompt': null"):
        read_evidence(tmp_path)


@pytest.mark.parametrize(
    "text", ["abc", "nan", "NaN", "inf", "-inf", "1,5", "0x1F", "1_000", "1 2", "--1", "e5", ".", "\u0661"]
)
def test_a_csv_value_that_is_no_decimal_number_is_a_fault(tmp_path: Path, text: str) -> None:
    message = complaint(write_csv(tmp_path / "a.csv", [reward("1"), reward("2", value=text)]))  # type: ignore[arg-type]
    assert "column 'value'" in message
    assert text in message
    assert "item='2'" in message


def test_a_csv_value_beyond_every_float_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}\nm,pairs,1,wide,wide,hpsv3,1e999,\n")
    assert "column 'value': infinite" in complaint(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("error", [None, "refused"])
def test_nan_and_infinity_in_parquet_are_faults_and_null_is_not(
    tmp_path: Path, value: float, error: str | None
) -> None:
    cells = zip(reward("1"), reward("2", value=value)._replace(error=error), strict=True)
    pq.write_table(
        pa.table([pa.array(pair, from_pandas=False) for pair in cells], list(COLUMNS)), tmp_path / "a.parquet"
    )
    message = complaint(tmp_path / "a.parquet")
    assert "column 'value'" in message
    assert "row 2" in message


@pytest.mark.parametrize("kind", ["str", "category"])
def test_numbers_stored_as_text_in_parquet_are_a_fault(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.parquet"
    frame([reward("1")]).assign(value=pd.Series(["1.5"], dtype=kind)).to_parquet(path)
    assert "column 'value': holds text, not numbers" in complaint(path)


@pytest.mark.parametrize("cells", [[True], [pd.Timestamp(0)], [[1.0]], [b"1"]])
def test_a_value_column_of_another_type_is_a_fault(tmp_path: Path, cells: list[Any]) -> None:
    frame([reward("1")]).assign(value=cells).to_parquet(tmp_path / "a.parquet")
    assert "column 'value': holds" in complaint(tmp_path / "a.parquet")


@pytest.mark.parametrize("column", ["model", "set", "item", "image", "prompt", "scorer", "error"])
@pytest.mark.parametrize("cell", [7, 1.5, True, b"x"])
def test_a_text_column_of_another_type_is_a_fault(tmp_path: Path, column: str, cell: Any) -> None:
    frame([reward("1")]).assign(**{column: [cell]}).to_parquet(tmp_path / "a.parquet")
    assert f"column '{column}': holds" in complaint(tmp_path / "a.parquet")


def test_a_category_of_numbers_is_no_text(tmp_path: Path) -> None:
    frame([reward("1")]).assign(item=pd.Categorical([7])).to_parquet(tmp_path / "a.parquet")
    assert "column 'item': holds" in complaint(tmp_path / "a.parquet")


def test_an_empty_text_is_not_null_in_parquet(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [reward("1"), reward("2")._replace(error="")])
    assert "column 'error': is empty text" in complaint(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (HEADER.encode("utf-16"), "UTF-8"),
        (f"{HEADER}\nm,pairs,1,wide,wide,hpsv3,1,\n".encode() + b"\xff,pairs,1,wide,wide,x,1,\n", "UTF-8"),
        (f"{HEADER}\n{'x' * 100_000},pairs,1,wide,wide,hpsv3,1,\n".encode() + b"\xff,pairs,1,wide,wide,x,1,\n", "UTF8"),
        (f"{HEADER}\nm,pairs,1,wide,wide,hpsv3\n".encode(), "Expected 8 columns, got 6"),
        (f"{HEADER}\nm,pairs,1,wide,wide,hpsv3,1,,\n".encode(), "Expected 8 columns, got 9"),
        (f'{HEADER}\nm,pairs,1,wide,wide,hpsv3,,"cut off\nm,pairs,2,wide,wide,hpsv3,1,\n'.encode(), "never closed"),
        (f'"{HEADER}\nm,pairs,1,wide,wide,hpsv3,1,\n'.encode(), "CSV"),
    ],
)
def test_a_csv_file_that_is_none_is_a_fault(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert word in complaint(tmp_path / "a.csv")


def damaged(change: Callable[[bytes], bytes], path: Path) -> Path:
    """A Parquet file of the small table with its bytes changed."""
    write(path, small_table())
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content[:100],
        lambda content: content[:-1],
        lambda content: b"not parquet at all",
        lambda content: content[:-8] + b"\xff\xff\xff\x7fPAR1",
    ],
)
def test_a_parquet_file_that_is_none_is_a_fault(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    assert "not a readable Parquet file" in complaint(damaged(change, tmp_path / "a.parquet"))


@settings(max_examples=150, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255))
def test_a_damaged_parquet_file_is_a_fault_or_a_valid_table(
    tmp_path_factory: pytest.TempPathFactory, position: float, byte: int
) -> None:
    def flipped(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[int(position * len(content))] ^= byte
        return bytes(changed)

    path = damaged(flipped, tmp_path_factory.mktemp("damaged") / "a.parquet")
    # Without a checksum a changed digit is a valid table; what must not happen is any other error.
    with suppress(InvalidEvidence):
        assert len(read_evidence(path)) > 0


def test_text_that_is_no_utf8_in_parquet_is_a_fault(tmp_path: Path) -> None:
    columns = {name: pa.array([cell]) for name, cell in reward("1")._asdict().items()}
    broken = pa.array([b"\xff\xfe"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({**columns, "item": broken}), tmp_path / "a.parquet")
    assert "Parquet" in complaint(tmp_path / "a.parquet")


def test_a_path_that_does_not_exist_is_a_fault(tmp_path: Path) -> None:
    assert "no such file" in complaint(tmp_path / "missing.csv")


def test_a_file_of_another_kind_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    assert "neither a .parquet nor a .csv file" in complaint(tmp_path / "a.json")


def test_a_folder_without_tables_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    write(tmp_path / "inner" / "a.csv", small_table())
    assert "holds no .parquet or .csv file" in complaint(tmp_path)


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.csv", small_table())

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert "cannot be read: Permission denied" in complaint(path)


def test_what_a_hostile_file_says_is_quoted_and_shortened(tmp_path: Path) -> None:
    hostile = reward("1\x1b[2J\n" + "x" * 5000)._replace(image="\x1b]0;evil\x07" + "y" * 5000)
    message = complaint(write(tmp_path / "a.parquet", [hostile]))
    assert "\x1b" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("rows", "column"),
    [
        ([reward("1"), row(value="1.0")], "value"),
        ([reward("1"), row(value=True)], "value"),
        ([reward("1"), row(value=float("nan"), error="refused")], "value"),
        ([reward("1"), row(value=10**400)], "value"),
        ([reward("1"), row(item=7)], "item"),
        ([{"model": "m"}], "set"),
    ],
)
def test_rows_made_in_memory_obey_the_same_rules(rows: list[Any], column: str) -> None:
    with pytest.raises(InvalidEvidence, match=f"^made up: column '{column}'"):
        Evidence.from_rows(rows, source="made up")


def test_no_rows_at_all_are_a_fault() -> None:
    with pytest.raises(InvalidEvidence, match="no rows"):
        Evidence.from_rows([])
