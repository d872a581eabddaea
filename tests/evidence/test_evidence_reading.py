"""Reading: what the contract allows is read, the same from every format and in every order."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evidence.rows import frame, reward, small_table, tables, write, write_csv
from hypothesis import given, settings
from hypothesis import strategies as st

from aes_audit.evidence import delimited
from aes_audit.evidence.reading import read_evidence
from aes_audit.evidence.schema import COLUMNS, Row
from aes_audit.evidence.table import Evidence


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv", "SCORES.CSV"])
def test_a_table_of_every_set_and_kind_of_scorer_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    (write_csv if path.suffix.lower() == ".csv" else write)(path, small_table())
    assert read_evidence(path) == Evidence.from_rows(small_table())


@settings(max_examples=70, deadline=None)
@given(table=tables(), seed=st.integers(0, 9))
def test_any_table_reads_the_same_from_parquet_csv_and_a_folder_in_any_order(table: list[Row], seed: int) -> None:
    expected = Evidence.from_rows(table)
    shuffled = random.Random(seed).sample(table, len(table))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        assert read_evidence(write(root / "a.parquet", shuffled)) == expected
        assert read_evidence(write(root / "a.csv", shuffled)) == expected
        (root / "parts").mkdir()
        for number in range(min(3, len(shuffled))):
            write(root / "parts" / f"{number}.{'csv' if number % 2 else 'parquet'}", shuffled[number::3])
        assert read_evidence(root / "parts") == expected


@settings(max_examples=50, deadline=None)
@given(table=tables())
def test_a_table_written_by_us_reads_back_equal(table: list[Row]) -> None:
    evidence = Evidence.from_rows(table)
    with tempfile.TemporaryDirectory() as folder:
        evidence.to_parquet(Path(folder) / "a.parquet")
        assert read_evidence(Path(folder) / "a.parquet") == evidence


@pytest.mark.parametrize(
    ("mark", "end"), [(b"", "\n"), (b"\xef\xbb\xbf", "\n"), (b"", "\r\n"), (b"\xef\xbb\xbf", "\r\n")]
)
def test_csv_with_a_byte_order_mark_and_windows_line_ends_reads_the_same(tmp_path: Path, mark: bytes, end: str) -> None:
    path = write_csv(tmp_path / "a.csv", small_table(), end=end)
    path.write_bytes(mark + path.read_bytes())
    assert read_evidence(path) == Evidence.from_rows(small_table())


def test_csv_texts_that_look_like_numbers_or_nulls_stay_texts(tmp_path: Path) -> None:
    names = ["007", "7", "NA", "nan", "None", "null", "NULL", "1e3", "inf", "TRUE", " x"]
    table = [reward(name) for name in names]
    assert read_evidence(write(tmp_path / "a.csv", table)).items("flux-dev", "pairs") == tuple(sorted(names))


def test_csv_may_quote_line_breaks_and_empty_cells_and_hold_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        '"model",set,item,image,prompt,scorer,value,error\n\n'
        'm,pairs,"two\nlines",wide,"",judge/clarity," 1.5 ",""\n\n'
        'm,pairs,3,wide,,judge/clarity,,"said ""no"",\nthen stopped"\n'
    )
    evidence = read_evidence(path)
    assert evidence.items("m", "pairs") == ("3", "two\nlines")
    assert evidence.values("m", "pairs", "judge/clarity", "wide", None)["two\nlines"] == 1.5
    assert evidence.frame["error"][0] == 'said "no",\nthen stopped'


def test_a_line_break_in_a_cell_may_fall_where_the_file_is_cut_for_parsing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_BLOCK", 200)
    table = [reward(f"line {number}\n" * 3) for number in range(200)]
    assert read_evidence(write(tmp_path / "a.csv", table)) == Evidence.from_rows(table)


@pytest.mark.parametrize("text", ["1", "+1", "1.", "01", "1e0", "1E+0", " 1", "10e-1"])
def test_csv_accepts_every_spelling_of_a_decimal_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{','.join(COLUMNS)}\nm,pairs,1,wide,wide,hpsv3,{text},\n")
    assert read_evidence(path).frame["value"].tolist() == [1.0]


def test_columns_may_stand_in_any_order_and_others_are_kept(tmp_path: Path) -> None:
    table = frame(small_table()).assign(seed=range(len(small_table())), image_sha256="ab")
    table[table.columns[::-1]].to_csv(tmp_path / "a.csv", index=False)
    table[table.columns[::-1]].to_parquet(tmp_path / "a.parquet", index=False)
    for name in ("a.csv", "a.parquet"):
        evidence = read_evidence(tmp_path / name)
        assert evidence == Evidence.from_rows(small_table())
        assert {"seed", "image_sha256"} <= set(evidence.frame.columns)


def test_nameless_extra_columns_of_a_spreadsheet_are_kept_apart(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [(*reward("1"), "x", "y")], header=[*COLUMNS, "", ""])  # type: ignore[list-item]
    assert list(read_evidence(path).frame.columns) == [*COLUMNS, "", ".1"]


TEXT_TYPES: list[Any] = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
]


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_every_arrow_type_of_text_is_text(tmp_path: Path, kind: Any) -> None:
    columns = {}
    for name, cells in frame(small_table()).items():
        array = pa.array(
            cells.astype(object).where(cells.notna(), None), pa.float64() if name == "value" else pa.string()
        )
        columns[str(name)] = (
            array
            if name == "value"
            else array.dictionary_encode()
            if pa.types.is_dictionary(kind)
            else array.cast(kind)
        )
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert read_evidence(tmp_path / "a.parquet") == Evidence.from_rows(small_table())


@pytest.mark.parametrize("kind", ["int8", "uint16", "Int64", "float16", "float32", "Float64", "category"])
def test_every_type_of_number_is_a_value(tmp_path: Path, kind: str) -> None:
    frame([reward("1", value=3.0), reward("2", value=1.0)]).astype({"value": kind}).to_parquet(tmp_path / "a.parquet")
    values = read_evidence(tmp_path / "a.parquet").frame["value"]
    assert values.dtype == "float64"
    assert values.tolist() == [3.0, 1.0]


@pytest.mark.parametrize("kind", ["str", "object", "category", "string", "float64"])
def test_nulls_are_nulls_in_whatever_pandas_type_they_come(tmp_path: Path, kind: str) -> None:
    table = frame([Row("m", "pairs", "1", "wide", None, "judge/clarity", 1.0)])
    table.astype({"prompt": kind, "error": kind}).to_parquet(tmp_path / "a.parquet")
    assert read_evidence(tmp_path / "a.parquet").frame[["prompt", "error"]].isna().all(axis=None)


def test_a_table_of_errors_alone_is_read(tmp_path: Path) -> None:
    table = [reward("1", value=None), reward("2", value=None)]
    frame(table).to_parquet(tmp_path / "null.parquet")
    frame(table).astype({"value": "str"}).to_parquet(tmp_path / "text.parquet")
    write(tmp_path / "a.csv", table)
    for name in ("null.parquet", "text.parquet", "a.csv"):
        assert read_evidence(tmp_path / name) == Evidence.from_rows(table)


def test_a_key_column_that_pandas_made_the_index_is_still_a_column(tmp_path: Path) -> None:
    frame(small_table()).set_index(["model", "item"]).to_parquet(tmp_path / "a.parquet")
    assert read_evidence(tmp_path / "a.parquet") == Evidence.from_rows(small_table())


def test_names_of_folders_are_not_taken_for_columns(tmp_path: Path) -> None:
    folder = tmp_path / "model=other" / "seed=3"
    folder.mkdir(parents=True)
    evidence = read_evidence(write(folder / "a.parquet", small_table()))
    assert "other" not in evidence.models
    assert list(evidence.frame.columns) == list(COLUMNS)


def test_a_folder_is_one_table_of_the_files_directly_inside(tmp_path: Path) -> None:
    table = small_table()
    write(tmp_path / "a.parquet", table[:5])
    write(tmp_path / "b.csv", table[5:])
    write(tmp_path / ".hidden.csv", table)
    (tmp_path / "README.md").write_text("about these files")
    (tmp_path / "older").mkdir()
    write(tmp_path / "older" / "a.csv", table)
    assert read_evidence(tmp_path) == Evidence.from_rows(table)


def test_extra_columns_of_different_types_in_a_folder_are_kept_and_can_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    frame([reward("1")]).assign(seed=7, only="here").to_parquet(folder / "a.parquet")
    frame([reward("2")]).assign(seed=8).to_csv(folder / "b.csv", index=False)
    evidence = read_evidence(folder)
    assert list(evidence.frame["seed"]) == [7, "8"]
    evidence.to_parquet(tmp_path / "all.parquet")
    assert read_evidence(tmp_path / "all.parquet") == evidence


def test_a_scorer_without_text_may_score_any_set(tmp_path: Path) -> None:
    table = [
        Row("m", "pairs", "1", "wide", None, "brightness", 1.0),
        Row("human", "art", "1", "work", None, "brightness", 1.0),
        Row("m", "edits", "1", "edited", None, "hpsv3", 1.0),
        Row("m", "edits", "1", "edited", "wide", "hpsv3", 1.0),
    ]
    assert len(read_evidence(write(tmp_path / "a.csv", table))) == 4


def test_a_judges_rounding_error_is_no_fault(tmp_path: Path) -> None:
    table = [Row("m", "pairs", "1", "wide", None, "judge/clarity", 2.0000002)]
    assert len(read_evidence(write(tmp_path / "a.parquet", table))) == 1


def full_table() -> pd.DataFrame:
    """10 models x 300 items x 25 scorers: 13 rewards in four cells, 11 dimensions in two, one preference judge."""
    parts = []
    for model in range(10):
        base = pd.DataFrame({"model": f"model-{model}", "set": "pairs", "item": [f"{item:04}" for item in range(300)]})
        cells: list[tuple[str, str | None, str]] = [
            (image, prompt, f"r{k}")
            for k in range(13)
            for image in ("original", "wide")
            for prompt in ("original", "wide")
        ]
        cells += [(image, None, f"judge/{d}") for d in range(11) for image in ("original", "wide")]
        cells += [("pair", "wide", "preference/q")]
        labels = pd.DataFrame(cells, columns=["image", "prompt", "scorer"])
        parts.append(base.merge(labels, how="cross").assign(value=0.5, error=None))
    return pd.concat(parts).sample(frac=1, random_state=0)


def test_a_full_table_is_read_without_a_loop_over_its_rows(tmp_path: Path) -> None:
    table = full_table()
    table.to_parquet(tmp_path / "a.parquet", index=False)
    table.to_csv(tmp_path / "a.csv", index=False)
    for name in ("a.parquet", "a.csv"):
        took = []
        for _ in range(2):
            start = time.process_time()
            evidence = read_evidence(tmp_path / name)
            took.append(time.process_time() - start)
        assert len(evidence) == 225_000
        # About 0.3 s of processor time, which a busy machine does not stretch; a loop over rows takes far longer.
        assert min(took) < 3
