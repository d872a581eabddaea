"""Tables of rated images: every layout says the same, and what is not a picture or rating is named."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from weights.hub_server import COMMIT, Hub, serving

from aes_audit.errors import UnknownName, UsageError
from aes_audit.judges.guideline import Guideline
from aes_audit.judges.training.annotations import Annotations, read_annotations
from aes_audit.judges.training.sources import resolve_data

RATINGS: tuple[dict[str, Any], ...] = (
    {"clarity": 2, "color brightness": -1, "detail refinement": -4, "hands": 0},
    {"clarity": 0, "color brightness": 1, "detail refinement": None, "hands": 1},
    {"clarity": -2, "color brightness": 0, "detail refinement": 2, "hands": -4},
)
CLASSES = [
    {"clarity": 2, "color brightness": 0, "detail refinement": 0},
    {"clarity": 1, "color brightness": 2},
    {"clarity": 0, "color brightness": 1, "detail refinement": 2},
]

READ = """
import json, sys
from pathlib import Path
from aes_audit.judges.guideline import Guideline
from aes_audit.judges.training.annotations import read_annotations
from aes_audit.judges.training.sources import resolve_data
source = resolve_data(sys.argv[1], Path.cwd())
found = read_annotations(source, Guideline.read(), pictures=Path(sys.argv[2]))
names = [file.name for file in source.files]
print(json.dumps([source.name, source.commit, names, [dict(image.classes) for image in found.images]]))
"""


def png(shade: int) -> bytes:
    """A grey picture's file."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (shade,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures beside which a table may lie."""
    place = tmp_path / "data"
    place.mkdir()
    for number in range(3):
        (place / f"{number}.png").write_bytes(png(number))
    return place


def read(table: Path, **more: Any) -> Annotations:
    """What the command reads; pictures that a table holds go beside the folder of the data."""
    source = resolve_data(str(table), Path.cwd())
    return read_annotations(source, Guideline.read(), pictures=table.parent / "kept", **more)


def lines(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A table of JSON lines."""
    (folder / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "r.jsonl"


def write(folder: Path, layout: str) -> Path:
    """RATINGS in one of the layouts."""
    paths = [f"{number}.png" for number in range(3)]
    if layout == "jsonl":
        return lines(folder, [{"image": path, **row} for path, row in zip(paths, RATINGS, strict=True)])
    if layout == "jsonl annotation":
        return lines(folder, [{"image": path, "annotation": row} for path, row in zip(paths, RATINGS, strict=True)])
    if layout == "csv":
        frame = pd.DataFrame(RATINGS).astype("Int64")
        frame.insert(0, "image", paths)
        frame.to_csv(folder / "r.csv", index=False)
        return folder / "r.csv"
    pictures: list[Any] = [png(number) for number in range(3)]
    if layout == "parquet as hubs hold it":
        pictures = [{"bytes": content, "path": None} for content in pictures]
    if layout == "parquet of paths":
        pictures = paths
    columns: dict[str, Any] = {"image": pictures, "annotation": list(RATINGS), "prompt": ["a", "b", "c"]}
    if layout == "parquet of columns":
        columns = {"image": pictures, **{name: [row[name] for row in RATINGS] for name in RATINGS[0]}}
    pq.write_table(pa.table(columns), folder / "r.parquet")
    return folder / "r.parquet"


@pytest.mark.parametrize(
    "layout",
    [
        "jsonl",
        "jsonl annotation",
        "csv",
        "parquet",
        "parquet as hubs hold it",
        "parquet of paths",
        "parquet of columns",
    ],
)
def test_every_layout_gives_the_same_pictures_and_classes(folder: Path, layout: str) -> None:
    found = read(write(folder, layout))
    assert found.dimensions == ("clarity", "color brightness", "detail refinement")
    assert [dict(image.classes) for image in found.images] == CLASSES
    assert [image.sha256 for image in found.images] == [hashlib.sha256(png(n)).hexdigest() for n in range(3)]
    assert [image.open().getpixel((0, 0)) for image in found.images] == [(n,) * 3 for n in range(3)]


def test_pictures_in_a_table_are_kept_once_and_by_content(folder: Path) -> None:
    table = write(folder, "parquet")
    before = [image.file for image in read(table).images]
    times = [file.stat().st_mtime_ns for file in before]
    assert [image.file for image in read(table).images] == before
    assert [file.stat().st_mtime_ns for file in before] == times
    before[0].write_bytes(b"cut off")
    assert read(table).images[0].open().size == (8, 8)


def test_a_folder_of_parquet_files_is_one_table_in_the_order_of_names(folder: Path) -> None:
    whole = pq.read_table(write(folder, "parquet as hubs hold it"))
    split = folder / "split" / "data"
    split.mkdir(parents=True)
    for number in (1, 0):
        pq.write_table(whole.slice(2 * number, 2), split / f"train-0000{number}-of-00002.parquet")
    assert [dict(image.classes) for image in read(folder / "split").images] == CLASSES


def test_a_data_set_on_the_hub_is_read_as_its_publishers_lay_it_out(folder: Path, tmp_path: Path) -> None:
    whole = pq.read_table(write(folder, "parquet as hubs hold it"))
    upload = tmp_path / "upload"
    (upload / "data").mkdir(parents=True)
    (upload / "README.md").write_text("Ratings.")
    for number in (0, 1):
        pq.write_table(whole.slice(2 * number, 2), upload / "data" / f"train-0000{number}-of-00002.parquet")
    with serving(Hub({"datasets/o/rated": upload})) as hub:
        own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        command = [sys.executable, "-c", READ, "o/rated@v1", str(tmp_path / "kept")]
        output = subprocess.run(command, env={**os.environ, **own}, check=True, capture_output=True, text=True).stdout
    assert json.loads(output) == [
        "o/rated",
        COMMIT,
        ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        CLASSES,
    ]


def test_dimensions_that_prompts_do_not_use_are_learnt_when_asked_for(folder: Path) -> None:
    found = read(write(folder, "csv"), asked=("hands", "clarity"))
    assert found.dimensions == ("clarity", "hands")
    assert [image.classes["hands"] for image in found.images] == [1, 2, 0]


def test_a_rating_that_is_not_learnt_need_not_be_one(folder: Path) -> None:
    table = lines(folder, [{"image": "0.png", "clarity": 1, "hands": "two"}])
    assert read(table).dimensions == ("clarity",)
    with pytest.raises(UsageError, match="'hands' is 'two', not a whole number"):
        read(table, asked=("hands",))


def test_classes_are_taken_as_they_are_when_the_table_says_so(folder: Path) -> None:
    table = lines(folder, [{"image": "0.png", "clarity": 0}, {"image": "1.png", "clarity": 2.0}])
    assert [image.classes["clarity"] for image in read(table, values="classes").images] == [0, 2]
    assert [image.classes["clarity"] for image in read(table).images] == [1, 2]


def test_rows_that_nobody_rated_are_counted_and_left_out(folder: Path) -> None:
    table = lines(folder, [{"image": "0.png", "clarity": None}, {"image": "1.png", "clarity": 1}])
    found = read(table)
    assert (len(found.images), found.unrated) == (1, 1)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"clarity": 1}, "line 2 has no picture: 'image' must be a path or a picture's bytes, found None"),
        ({"image": "9.png", "clarity": 1}, "line 2: the picture '9.png' cannot be read in"),
        ({"image": "r.jsonl", "clarity": 1}, "line 2: its picture is no image that Pillow reads"),
        ({"image": "1.png", "clarity": "sharp"}, "line 2: 'clarity' is 'sharp', not a whole number"),
        ({"image": "1.png", "clarity": 0.5}, "line 2: 'clarity' is 0.5, not a whole number"),
        ({"image": "1.png", "clarity": True}, "line 2: 'clarity' is True, not a whole number"),
        ({"image": "1.png", "clarity": 1e999}, "line 2: 'clarity' is inf, not a whole number"),
        ({"image": "1.png", "color brightness": 2}, "is 2, not from -1 to 1; add --values classes if these are"),
        (
            {"image": "1.png", "annotation": "1, 0"},
            "line 2: 'annotation' must hold a rating per dimension, found '1, 0",
        ),
    ],
)
def test_a_broken_row_is_named(folder: Path, row: dict[str, Any], said: str) -> None:
    table = lines(folder, [{"image": "0.png", "clarity": 1}, row])
    with pytest.raises(UsageError) as caught:
        read(table)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_classes_beyond_2_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="'clarity' is -1, not from 0 to 2; classes are 0, 1 and 2"):
        read(lines(folder, [{"image": "0.png", "clarity": -1}]), values="classes")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("r.jsonl", b'{"image"', "line 1 is not JSON"),
        ("r.jsonl", b"[1]\n", "line 1 is not an object"),
        ("r.jsonl", b"\xff\xfe", "cannot be read"),
        ("r.csv", b"image,clarity,clarity\n", "has two columns 'clarity'"),
        ("r.csv", b"image,clarity\n0.png\n", "row 1 has not as many cells as the header"),
        ("r.csv", b"image,clarity\n0.png,1,2\n", "row 1 has not as many cells as the header"),
        ("r.csv", b"image,clarity\n", "holds no rating of a dimension of the guideline"),
        ("r.parquet", b"PAR1 and no more", "is no readable Parquet file"),
        ("r.txt", b"", "is no table: give a file that ends with .parquet, .jsonl, .csv"),
    ],
)
def test_a_file_that_is_no_table_is_named(folder: Path, name: str, content: bytes, said: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read(folder / name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_dimensions_that_are_not_there_are_refused(folder: Path) -> None:
    table = write(folder, "jsonl")
    with pytest.raises(UnknownName, match="unknown dimension in the guideline 'sharpness'"):
        read(table, asked=("sharpness",))
    with pytest.raises(UsageError, match="r holds no rating of 'face': leave it out of --dimensions"):
        read(table, asked=("face",))


def test_data_that_is_nowhere_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"--data '/no/such' is no table"):
        resolve_data("/no/such", Path.cwd())
    with pytest.raises(UsageError, match=r"holds no \.parquet file"):
        resolve_data(str(folder), Path.cwd())


def test_a_picture_that_broke_later_is_named(folder: Path) -> None:
    image = read(write(folder, "jsonl")).images[0]
    image.file.write_bytes(png(0)[:40])
    with pytest.raises(UsageError, match=r"the picture '.*0\.png' cannot be read"):
        image.open()
