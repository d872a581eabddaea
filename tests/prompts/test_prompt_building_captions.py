"""Base captions: what each source gives, and what is said about one that is broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from weights.hub_server import COMMIT, OLDER, Hub, serving

from aes_audit.errors import InvalidPrompts, ModelNotFound
from aes_audit.prompts.captions import Caption, read_captions

ROWS = ["A cat sits on a mat", None, "A dog runs\n after  a ball"]


def coco(folder: Path, *annotations: Any) -> str:
    """A file of annotations."""
    file = folder / "captions_val.json"
    file.write_text(json.dumps({"images": [], "annotations": list(annotations)}))
    return str(file)


def test_a_coco_file_gives_captions_with_their_pictures(tmp_path: Path) -> None:
    first = {"image_id": 9, "id": 40, "caption": " A cat sits\non a mat. "}
    second = {"image_id": 9, "id": 41, "caption": "A cat"}
    found = read_captions(coco(tmp_path, first, second))
    assert found.captions[0] == Caption("A cat sits on a mat.", "annotation 40 of image 9", "image 9")
    assert found.captions[1].group == "image 9"
    assert found.provenance["captions"] == "captions_val.json"
    assert len(found.provenance["captions_sha256"]) == 64


def test_a_text_file_gives_a_caption_per_line(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_bytes("\ufeffA cat sits here\r\n\n  A dog\u2028barks\n".encode())
    found = read_captions(str(tmp_path / "lines.txt")).captions
    assert [(caption.text, caption.place) for caption in found] == [
        ("A cat sits here", "line 1"),
        ("A dog barks", "line 3"),
    ]


def test_ids_are_made_of_the_text_alone() -> None:
    one, other = (Caption("A cat's 2nd mat, here", place, place) for place in ("line 1", "line 2"))
    assert one.id == other.id
    assert one.id.rpartition("-")[0] == "a-cats-2nd-mat"
    assert Caption("猫が座る", "line 1", "g").id.startswith("caption-")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("c.json", "{", "not JSON"),
        ("c.json", "[" * 100_000, "not JSON"),
        ("c.json", "[]", "no list 'annotations'"),
        ("c.json", '{"annotations": {}}', "no list 'annotations'"),
        ("c.json", '{"annotations": []}', "holds no caption"),
        ("c.json", '{"annotations": [7]}', "annotation 0 from 0: 'caption' must be a text, found None"),
        ("c.json", '{"annotations": [{"image_id": 1, "id": 1, "bbox": []}]}', r"instances_\*\.json and its like"),
        ("c.json", '{"annotations": [{"caption": "x", "id": 1}]}', "'image_id' must be a whole number, found None"),
        ("c.json", '{"annotations": [{"caption": "x", "image_id": 1, "id": true}]}', "'id' must be a whole number"),
        ("c.json", r'{"annotations": [{"caption": "\ud800", "image_id": 1, "id": 1}]}', "half of a character"),
        ("c.txt", " \n\n", "holds no caption"),
        ("c.txt", b"\xff\xfe", "cannot be read: not UTF-8"),
        ("c.csv", "x", "give a COCO file"),
        ("absent.txt", None, "cannot be read: No such file"),
        ("c" * 300 + ".txt", None, "cannot be read: File name too long"),
    ],
)
def test_a_broken_source_is_one_line_with_its_name(
    tmp_path: Path, name: str, content: str | bytes | None, complaint: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidPrompts, match=complaint) as raised:
        read_captions(str(tmp_path / name))
    assert "\n" not in str(raised.value)
    assert name in str(raised.value)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a data set in parquet, one in JSON lines, and nothing else; an empty cache."""
    parquet, lines, mixed = (tmp_path / name for name in ("parquet", "lines", "mixed"))
    for folder in (parquet, lines, mixed):
        (folder / "data").mkdir(parents=True)
    pq.write_table(pa.table({"text": ROWS, "n": [1, 2, 3]}), parquet / "data" / "train-0.parquet")
    pq.write_table(pa.table({"text": ["A bird"], "n": [4]}), parquet / "data" / "val-0.parquet")
    (lines / "data" / "all.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in ROWS))
    (mixed / "data" / "a.jsonl").write_text('{"text": 7}\n')
    (mixed / "data" / "b.parquet").write_bytes(b"PAR1 is what it claims to be")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    repos = {f"datasets/o/{folder.name}": folder for folder in (parquet, lines, mixed)}
    with serving(Hub(repos, older={"datasets/o/lines": lines})) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        template = f"{running.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield running


@pytest.mark.parametrize(
    ("source", "commit", "file"),
    [
        ("o/parquet:text", COMMIT, "data/train-0.parquet"),
        ("o/parquet@v1:text", COMMIT, "data/train-0.parquet"),
        ("o/lines@old:text", OLDER, "data/all.jsonl"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_a_data_set_gives_a_column_at_a_commit(source: str, commit: str, file: str) -> None:
    found = read_captions(source, "data/[ta]*")
    assert [(caption.text, caption.place) for caption in found.captions] == [
        ("A cat sits on a mat", f"{file}, row 0"),
        ("A dog runs after a ball", f"{file}, row 2"),
    ]
    assert found.provenance == {
        "captions": source.split("@")[0].split(":")[0],
        "captions_commit": commit,
        "captions_column": "text",
        "captions_files": "data/[ta]*",
    }


def test_all_files_of_a_data_set_are_read_and_found_again_without_the_hub(hub: Hub) -> None:
    assert len(read_captions("o/parquet:text").captions) == 3
    hub.closing = frozenset({"o/parquet", "datasets/o/parquet"})
    assert len(read_captions("o/parquet:text").captions) == 3


@pytest.mark.parametrize(
    ("source", "files", "complaint"),
    [
        ("o/parquet:txt", None, r"data/train-0\.parquet: no column 'txt'; it has text, n"),
        ("o/parquet:n", None, "column 'n' holds int64, not text"),
        ("o/lines:txt", None, r"data/all\.jsonl, line 1: no object with the key 'txt'"),
        ("o/lines:text", "*.csv", r"none of data/all\.jsonl fits '\*\.csv'"),
        ("o/mixed:text", None, "perhaps of the same rows"),
        ("o/mixed:text", "*.jsonl", "'text' must be a text, found 7"),
        ("o/mixed:text", "*.parquet", "not a readable Parquet file"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_a_data_set_that_does_not_fit_is_one_line(source: str, files: str | None, complaint: str) -> None:
    with pytest.raises(InvalidPrompts, match=complaint) as raised:
        read_captions(source, files)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("hub")
def test_a_data_set_that_is_not_there_is_one_line() -> None:
    with pytest.raises(ModelNotFound, match="o/absent is not on the hub"):
        read_captions("o/absent:text")


def test_a_pattern_belongs_to_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("A cat")
    with pytest.raises(InvalidPrompts, match="belongs to a data set"):
        read_captions(str(tmp_path / "c.txt"), "*.jsonl")
