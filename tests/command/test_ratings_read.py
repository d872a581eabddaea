"""`aes-audit ratings read`: answers become evidence, strictly."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from ratings.recorded_pairs import MODEL, Recorded, answered, recorded, records_of

from aes_audit.command.main import main
from aes_audit.evidence.reading import read_evidence

SIDES = {0: "original", 1: None, 2: "wide"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A sheet of twelve pairs for five raters, and one of dimensions."""
    made = recorded(tmp_path_factory.mktemp("run"), [1.0] * 18 + [0.0] * 9 + [0.5] * 3)
    small = ("--number=12", "--raters=5", "--per-rater=6")
    assert made.sheet(*small) == 0
    assert made.run("--dimensions=clarity,richness", *small, output="dimensions") == 0
    return made


def said(key: Any, rater: str, meant: dict[int, int]) -> dict[tuple[int, str], str]:
    """What a rater types who means class `meant[unit]`, on whichever side that is."""
    found: dict[tuple[int, str], str] = {}
    for number, page in enumerate(key["raters"][rater], 1):
        if (level := meant.get(page["unit"])) is not None:
            side = SIDES[level]
            found[number, "preference"] = "neither" if side is None else "left" if page["left"] == side else "right"
    return found


def read(run: Recorded, files: list[Path], output: Path, *more: str, key: str = "sheet") -> int:
    return main(
        ["ratings", "read", *map(str, files), f"--key={run.folder / key}.key.json", f"--output={output}", *more]
    )


def test_what_raters_meant_is_what_the_evidence_says(
    run: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, draw = run.key(), random.Random(3)
    files, meant = [], {}
    for rater in key["raters"]:
        meant[rater] = {unit: draw.choice((0, 1, 2)) for unit in range(12)}
        files.append(tmp_path / f"{rater}.csv")
        files[-1].write_text(answered(key, rater, said(key, rater, meant[rater])))
    output = tmp_path / "people.parquet"
    assert read(run, files, output) == 0
    printed = capsys.readouterr().out
    assert "30 of 30 answers of 5 of 5 raters, 5 of them complete; 12 of 12 pairs rated" in printed
    assert "Krippendorff's alpha" in printed
    assert "preference/oracle against people over 12 pairs: quadratic kappa" in printed

    rows = {(row["item"], row["scorer"]): row for row in records_of(output)}
    assert len(rows) == 24
    for unit, about in enumerate(key["units"]):
        saw = {rater for rater, pages in key["raters"].items() if unit in [page["unit"] for page in pages]}
        row = rows[about["item"], "preference/people"]
        assert json.loads(row["rater_values"]) == {rater: meant[rater][unit] / 2 for rater in saw}
        mean = sum(meant[rater][unit] for rater in saw) / len(saw)
        expected = 1 if mean in (0.5, 1.5) else round(mean)
        assert row["value"] == expected / 2
        assert (row["model"], row["raters"], row["rater_rule"]) == (MODEL, len(saw), "mean")
        assert rows[about["item"], "preference/oracle"]["value"] == run.answers[about["item"]]


def test_ratings_of_dimensions_are_truths_beside_what_the_judge_said(
    run: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = run.key("dimensions")
    files = []
    for rater, pages in key["raters"].items():
        files.append(tmp_path / f"{rater}.csv")
        given = {
            (number, name): str((page["unit"] + len(name)) % 3)
            for number, page in enumerate(pages, 1)
            for name in key["questions"]
        }
        files[-1].write_text(answered(key, rater, given))
    output = tmp_path / "people.csv"
    assert read(run, files, output, key="dimensions") == 0
    printed = capsys.readouterr()
    assert "alpha (ordinal) 1.000" in printed.out
    assert "judge against people over 12 pictures, dimensions pooled: quadratic kappa" in printed.out
    assert "pytest audits/test_judge_agreement.py --evidence=" in printed.err
    rows = {(row["item"], row["scorer"]): row for row in records_of(output)}
    assert len(rows) == 12 * 4
    source = {(row["item"], row["image"], row["scorer"]): row for row in records_of(run.folder / "evidence.parquet")}
    for unit, about in enumerate(key["units"]):
        for name in ("clarity", "richness"):
            truth = rows[about["item"], f"truth/{name}"]
            assert (truth["value"], truth["set"], truth["image"]) == ((unit + len(name)) % 3, "ratings", "work")
            item, _, image = about["item"].partition("/")
            assert rows[about["item"], f"judge/{name}"]["value"] == source[item, image, f"judge/{name}"]["value"]


def test_people_alone_lie_beside_the_table_of_the_run(run: Recorded, tmp_path: Path) -> None:
    key = run.key()
    file, output = tmp_path / "a.csv", run.folder / "people.parquet"
    file.write_text(answered(key, "rater-01", said(key, "rater-01", dict.fromkeys(range(12), 2))))
    assert read(run, [file], output, "--people-only") == 0
    together = tmp_path / "together"
    together.mkdir()
    for part in (output, run.folder / "evidence.parquet"):
        (together / part.name).write_bytes(part.read_bytes())
    assert {"preference/people", "preference/oracle"} <= set(read_evidence(together).scorers(MODEL, "pairs"))


def test_what_nobody_answered_is_missing_and_a_half_filled_file_counts(
    run: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = run.key()
    file, output = tmp_path / "half.csv", tmp_path / "people.csv"
    first = key["raters"]["rater-02"][0]["unit"]
    file.write_text(answered(key, "rater-02", said(key, "rater-02", {first: 0})))
    assert read(run, [file], output) == 0
    assert "incomplete: rater-02 1/6" in capsys.readouterr().out
    people = [row for row in records_of(output) if row["scorer"] == "preference/people"]
    assert [row["value"] for row in people if row["item"] == key["units"][first]["item"]] == [0.0]
    assert sum(row["error"] == "0 of at least 1 ratings" for row in people) == 11
    assert read(run, [file], output, "--least=2") == 0
    assert all(math.isnan(row["value"]) for row in records_of(output) if row["scorer"] == "preference/people")


@pytest.mark.parametrize("kind", ["semicolons", "bom", "crlf", "columns", "case"])
def test_what_spreadsheets_do_to_a_file_does_no_harm(run: Recorded, tmp_path: Path, kind: str) -> None:
    key = run.key()
    text = answered(key, "rater-01", said(key, "rater-01", dict.fromkeys(range(12), 2)))
    changed = {
        "semicolons": text.replace(",", ";"),
        "bom": f"\ufeff{text}",
        "crlf": text.replace("\n", "\r\n") + "\r\n,,,,\r\n",
        "columns": "".join(f"note,{line}\n" for line in text.splitlines()),
        "case": text.replace("left", "LEFT").replace("right", " Right "),
    }
    outputs = []
    for name, content in (("plain", text), (kind, changed[kind])):
        file, output = tmp_path / f"{name}.csv", tmp_path / f"{name}.parquet"
        file.write_text(content, encoding="utf-8", newline="")
        assert read(run, [file], output) == 0
        outputs.append(read_evidence(output))
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("answer\n", "ansver\n", "has no column 'answer'"),
        ("{id},rater-01,2", "s000000000000,rater-01,2", "row 3: sheet 's000000000000' is not the sheet of the key"),
        ("rater-01,2,", "rater-02,2,", "holds answers of 2 raters"),
        ("rater-01,", "rater-99,", "row 2: the key has no rater 'rater-99'"),
        ("rater-01,6,", "rater-01,7,", "row 7: page '7' is none of the 6 pages"),
        ("rater-01,2,", "rater-01,two,", "row 3: page 'two'"),
        ("rater-01,2,", "rater-01,1,", "row 3: page 1 and question 'preference' stand in row 2 already"),
        ("1,preference,", "1,clarity,", "row 2: question 'clarity' was not asked"),
        ("3,preference,", "3,preference,wide", "is no answer; give left, neither, right"),
        ("4,preference,", "4,preference,left,left", "row 5: 6 cells where the header has 5"),
        ("2,preference,", '2,"preference,', "is no readable CSV"),
    ],
)
def test_a_wrong_file_is_said_in_one_line_with_its_row(
    run: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, says: str
) -> None:
    key = run.key()
    text = answered(key, "rater-01", {(1, "preference"): "left"})
    assert old.format(id=key["id"]) in text
    file = tmp_path / "wrong.csv"
    file.write_text(text.replace(old.format(id=key["id"]), new))
    assert read(run, [file], tmp_path / "people.csv") == 2
    error = capsys.readouterr().err
    assert says in error
    assert "wrong.csv" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "people.csv").exists()


def test_a_rater_has_one_file_and_the_key_is_the_one_that_was_written(
    run: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = run.key()
    files = [tmp_path / "first.csv", tmp_path / "again.csv"]
    for file in files:
        file.write_text(answered(key, "rater-01", {(1, "preference"): "left"}))
    assert read(run, files, tmp_path / "people.csv") == 2
    assert "again.csv' is a second file of rater-01" in capsys.readouterr().err
    key["units"][0]["judged"]["preference/oracle"] = 0.5
    (tmp_path / "changed.key.json").write_text(json.dumps(key))
    call = ["ratings", "read", str(files[0]), f"--key={tmp_path / 'changed.key.json'}", f"--output={tmp_path}/p.csv"]
    assert main(call) == 2
    assert "was changed after it was written" in capsys.readouterr().err
    (tmp_path / "changed.key.json").write_text("[]")
    assert main(call) == 2
    assert "is not a key" in capsys.readouterr().err
    files[0].write_text(answered(run.key(), "rater-01", {}))
    assert read(run, files[:1], tmp_path / "people.csv") == 2
    assert "the files hold no answer" in capsys.readouterr().err
