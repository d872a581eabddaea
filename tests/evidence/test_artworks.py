"""Sets of artworks: a folder with a table, strictly read, and the drawn compositions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from aes_audit.errors import UsageError
from aes_audit.evidence.artworks import read_art
from aes_audit.options import BUILT_IN_ART


def folder(tmp_path: Path, table: str, name: str = "works.csv") -> Path:
    """A folder of two pictures with this table."""
    for image in ("a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / image)
    (tmp_path / name).write_text(table, encoding="utf-8")
    return tmp_path


def test_a_csv_table_gives_works_in_its_order(tmp_path: Path) -> None:
    art = read_art(
        str(
            folder(
                tmp_path, 'image,caption,artist,style,year\nb.png,"a boat, at sea",Ann,Fauvism,1905\na.png,a cat,,,\n'
            )
        )
    )
    first, second = art.works
    assert (art.model, art.drawn, art.control) == ("human", False, ())
    assert (first.id, first.caption, first.artist, first.style, first.year) == (
        "b.png", "a boat, at sea", "Ann", "Fauvism", "1905",
    )  # fmt: skip
    assert (second.artist, second.style, second.year) == (None, None, None)
    assert art.styles == {"Fauvism": 1}


def test_a_jsonl_table_gives_the_same(tmp_path: Path) -> None:
    rows = [{"image": "a.png", "caption": "a cat\nasleep", "year": 1888}, {"image": "b.png", "caption": "a dog"}]
    art = read_art(str(folder(tmp_path, "\n".join(map(json.dumps, rows)), "works.jsonl")))
    assert [(work.id, work.caption, work.year) for work in art.works] == [
        ("a.png", "a cat asleep", "1888"),
        ("b.png", "a dog", None),
    ]


def test_a_caption_may_hold_a_line_break_in_csv(tmp_path: Path) -> None:
    (work,) = read_art(str(folder(tmp_path, 'image,caption\na.png,"a cat\nasleep"\n'))).works
    assert work.caption == "a cat asleep"


def test_a_folder_named_control_is_the_control_arm(tmp_path: Path) -> None:
    root = folder(tmp_path, "image,caption\na.png,a cat\n")
    alone = read_art(str(root))
    (root / "control").mkdir()
    folder(root / "control", "image,caption\nb.png,a photograph of a cat\n")
    art = read_art(str(root))
    assert [work.caption for work in art.control] == ["a photograph of a cat"]
    assert art.digest != alone.digest


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("image,title\na.png,x\n", "has no column 'caption'"),
        ("image,caption\n", "has no rows"),
        ("image,caption\na.png,\n", "row 1: no caption for a.png; `aes-audit art caption`"),
        ("image,caption\na.png,x\na.png,y\n", "row 2: a.png has a row already"),
        ("image,caption\n../a.png,x\n", "row 1: image = '../a.png' is not a path inside the folder"),
        ("image,caption\n/etc/a.png,x\n", "is not a path inside the folder"),
        ("image,caption\n,x\n", "image = None is not a path"),
    ],
)
def test_a_wrong_table_is_refused_and_the_row_named(tmp_path: Path, table: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint.replace(".", r"\.")):
        read_art(str(folder(tmp_path, table)))


def test_a_folder_needs_exactly_one_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        read_art(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="and has none"):
        read_art(str(tmp_path))
    folder(tmp_path, "image,caption\na.png,x\n")
    folder(tmp_path, "", "more.jsonl")
    with pytest.raises(UsageError, match=r"more\.jsonl, works\.csv"):
        read_art(str(tmp_path))


def test_a_line_that_is_no_json_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 1 is not JSON"):
        read_art(str(folder(tmp_path, "{", "works.jsonl")))
    with pytest.raises(UsageError, match="caption = 3 is not text"):
        read_art(str(folder(tmp_path, '{"image": "a.png", "caption": 3}', "works.jsonl")))


def test_a_line_separator_within_a_caption_ends_no_line(tmp_path: Path) -> None:
    row = json.dumps({"image": "a.png", "caption": "a cat\u2028asleep"}, ensure_ascii=False)
    (work,) = read_art(str(folder(tmp_path, f"{row}\r\n", "works.jsonl"))).works
    assert work.caption == "a cat asleep"


@pytest.mark.parametrize(
    ("name", "table", "complaint"),
    [
        ("works.csv", f"image,caption\na.png,{'x' * 200_000}\n", "is not CSV after line 1"),
        ("works.jsonl", "[" * 100_000, "line 1 is not JSON"),
        ("works.csv", "image,caption\na\0.png,a cat\n", "is not a path inside the folder"),
    ],
)
def test_what_no_parser_takes_is_refused_in_one_sentence(tmp_path: Path, name: str, table: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read_art(str(folder(tmp_path, table, name)))


def test_the_drawn_compositions_are_never_called_works_of_people() -> None:
    art = read_art(BUILT_IN_ART)
    assert (art.model, art.drawn) == ("drawn", True)
    assert {work.artist for work in art.works} == {None}
    assert len(art.works) == len({work.picture.key() for work in art.works}) == 160
