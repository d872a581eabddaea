"""Artworks of a data set on the hub: both layouts, columns by other names, captions from a file, ways to be wrong."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from endpoints import hosts
from evidence.galleries import Counting
from huggingface_hub import constants
from PIL import Image
from weights.hub_server import COMMIT, OLDER, Hub, serving

from aes_audit.command.main import main
from aes_audit.errors import ModelNotFound, UsageError
from aes_audit.evidence import art_shelf
from aes_audit.evidence.art import collect_art
from aes_audit.evidence.art_hub import parse_hub
from aes_audit.evidence.art_pictures import FilePicture, Unreadable
from aes_audit.evidence.artworks import read_art
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.store import Store

COUNT = 50
STYLES = ["Cubism", "Fauvism"]


def png(number: int) -> bytes:
    """A picture of its own for every number."""
    pixels = np.random.default_rng(number).integers(0, 255, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).save(stream := io.BytesIO(), format="PNG")
    return stream.getvalue()


def shards(folder: Path, captions: bool = True, paths: bool = True) -> None:
    """Two Parquet files in row groups of 7, as `datasets` writes them: styles are numbers with names in the schema."""
    features = {"movement": {"names": STYLES, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    for shard, numbers in enumerate((range(30), range(30, COUNT))):
        columns: dict[str, Any] = {
            "image": [{"bytes": png(n), "path": f"{n}.png" if paths else None} for n in numbers],
            "Painter": [f"artist {n % 5}" for n in numbers],
            "movement": [n % 2 for n in numbers],
            "year": [1900.0 if n else None for n in numbers],
        }
        if captions:
            columns["caption"] = [f"picture  number {n}" for n in numbers]
        table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        (folder / "data").mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / "data" / f"train-{shard}.parquet", row_group_size=7)


def image_folder(folder: Path, table: bool = True) -> None:
    """Files beside a table."""
    (folder / "train").mkdir(parents=True)
    for number in range(4):
        (folder / "train" / f"{number}.PNG").write_bytes(png(number))
    if table:
        lines = [f"{number}.PNG,picture number {number},a{number}" for number in range(4)]
        (folder / "train" / "metadata.csv").write_text("\n".join(["file_name,text,creator", *lines]))


@pytest.fixture(scope="module")
def repos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data sets by name."""
    names = ("rows", "files", "silent", "bare", "both", "broken", "empty", "torn")
    found = {name: tmp_path_factory.mktemp(name) for name in names}
    shards(found["rows"])
    (found["rows"] / "figure.png").write_bytes(png(0))
    image_folder(found["files"])
    shards(found["silent"], captions=False, paths=False)
    image_folder(found["bare"], table=False)
    shards(found["both"])
    image_folder(found["both"])
    (found["broken"] / "a.parquet").write_bytes(b"PAR1 is what it claims to be")
    (found["empty"] / "README.md").write_text("nothing")
    (found["torn"] / "metadata.jsonl").write_text('{"file_name": "absent.png", "text": "x"}\n')
    (found["torn"] / "there.png").write_bytes(png(0))
    return {f"datasets/o/{name}": folder for name, folder in found.items()}


@pytest.fixture
def hub(repos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with these data sets, and an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    older = {"datasets/o/rows": repos["datasets/o/rows"]}
    with serving(Hub(repos, older=older, gated=frozenset({"datasets/o/gated"}))) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        template = f"{running.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield running


@pytest.mark.usefixtures("hub")
def test_rows_of_parquet_become_works_with_columns_by_other_names() -> None:
    art = read_art("hub:o/rows")
    assert (art.name, art.model, len(art.works)) == (f"o/rows@{COMMIT[:12]}", "human", COUNT)
    assert art.provenance == {
        "hub": "o/rows",
        "commit": COMMIT,
        "columns": {
            "image": "image", "caption": "caption", "artist": "Painter", "style": "movement", "year": "year",
        },
    }  # fmt: skip
    first, last = art.works[0], art.works[-1]
    assert (first.id, first.caption, first.artist, first.style, first.year) == (
        "0.png", "picture number 0", "artist 0", "Cubism", None,
    )  # fmt: skip
    assert (last.id, last.style, last.year) == ("49.png", "Fauvism", "1900")


@pytest.mark.usefixtures("hub")
def test_a_picture_in_a_row_is_the_picture_of_a_file(tmp_path: Path) -> None:
    works = read_art("hub:o/rows").works
    (tmp_path / "own.png").write_bytes(png(33))
    # In another order than that of the rows, and back again.
    for number in (33, 2, 49, 1, 33):
        with Image.open(io.BytesIO(png(number))) as expected:
            assert works[number].picture.open().tobytes() == expected.tobytes()
    assert works[33].picture.key() == FilePicture(tmp_path / "own.png").key()
    assert works[33].picture.size() == 36


@pytest.mark.usefixtures("hub")
def test_image_files_are_listed_by_the_table_beside_them() -> None:
    art = read_art("hub:o/files@v1")
    assert [(work.id, work.caption, work.artist) for work in art.works][:2] == [
        ("train/0.PNG", "picture number 0", "a0"),
        ("train/1.PNG", "picture number 1", "a1"),
    ]
    assert art.works[1].picture.open().size == (6, 6)


@pytest.mark.usefixtures("hub")
def test_a_revision_is_resolved_and_recorded() -> None:
    assert read_art("hub:o/rows@old").provenance["commit"] == OLDER
    assert read_art("hub:o/rows@old").digest != read_art("hub:o/rows").digest == read_art("hub:o/rows@main").digest


@pytest.mark.parametrize(
    ("typed", "pinned"),
    [
        ("hub:o/n", "hub:o/n@c0ffee"),
        ("hub:o/n@main[artist=a,files=*.parquet]", "hub:o/n@c0ffee[artist=a,files=*.parquet]"),
        ("hub:o/n@c0ffee[artist=a]", None),
    ],
)
def test_a_source_can_be_written_down_for_good(typed: str, pinned: str | None) -> None:
    assert parse_hub(typed).pinned("c0ffee") == pinned


def test_without_a_network_the_cache_answers(hub: Hub) -> None:
    before = read_art("hub:o/rows")
    hub.closing = frozenset({"datasets/o/rows", "o/rows"})
    again = read_art("hub:o/rows")
    assert (again.digest, again.works[7].picture.key()) == (before.digest, before.works[7].picture.key())


@pytest.mark.usefixtures("hub")
def test_captions_that_are_missing_come_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"50 of 50 works have no caption, the first is 'data/train-0.parquet#0'; `aes-audit art"
    ):
        read_art("hub:o/silent")
    rows = [{"image": f"data/train-{n >= 30:d}.parquet#{n - 30 * (n >= 30)}", "caption": f"c{n}"} for n in range(COUNT)]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    art = read_art("hub:o/silent[captions=c.jsonl]", tmp_path)
    assert [work.caption for work in art.works] == [f"c{n}" for n in range(COUNT)]
    assert art.works[3].artist == "artist 3"
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, [*rows[:-1], {**rows[-1], "caption": "other"}])))
    assert read_art("hub:o/silent[captions=c.jsonl]", tmp_path).digest != art.digest


@pytest.mark.usefixtures("hub")
def test_the_command_writes_the_captions_that_a_data_set_lacks(tmp_path: Path) -> None:
    shown: list[str] = []

    def named(url: str) -> str:
        return f"c {hashlib.sha256(url.encode()).hexdigest()}"

    def looking(asked: hosts.Asked) -> hosts.Sent:
        shown.append(asked.body["messages"][0]["content"][1]["image_url"]["url"])
        return hosts.Sent({"choices": [{"message": {"content": named(shown[-1])}, "finish_reason": "stop"}]})

    with hosts.serving(looking) as host:
        command = ["art", "caption", str(tmp_path / "own"), "--of=hub:o/silent", f"--model=openai:seer@{host.url}/v1"]
        assert main(command) == 0
        assert main(command) == 0
    assert len(set(shown)) == len(shown) == COUNT
    for work in read_art("hub:o/silent[captions=own/works.jsonl]", tmp_path).works:
        work.picture.open().save(stream := io.BytesIO(), format="JPEG", quality=95)
        assert work.caption == named(f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}")
    with pytest.raises(UsageError, match="have no caption"):
        read_art("hub:o/silent")


@pytest.mark.usefixtures("hub")
def test_files_without_a_table_are_called_by_their_names(tmp_path: Path) -> None:
    lines = "".join(f"train/{n}.PNG,c{n},{1900 + n}\n" for n in range(4))
    (tmp_path / "c.csv").write_text(f"image,caption,year\n{lines}")
    art = read_art("hub:o/bare[captions=c.csv]", tmp_path)
    assert [(work.id, work.caption, work.year) for work in art.works][3] == ("train/3.PNG", "c3", "1903")


@pytest.mark.usefixtures("hub")
def test_columns_can_be_named_and_a_folder_can_be_the_control_arm(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "p.png")
    (tmp_path / "t.csv").write_text("image,caption\np.png,a photograph\n")
    art = read_art(f"hub:o/rows[artist=movement,style=Painter,files=*-1.parquet,control={tmp_path}]")
    assert (len(art.works), art.works[0].artist, art.works[0].style) == (20, "Cubism", "artist 0")
    assert [work.id for work in art.control] == ["p.png"]
    assert art.provenance["files"] == "*-1.parquet"


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ("hub:rows", "is not understood: write hub:OWNER/NAME"),
        ("hub:o/rows[colour=red]", "'colour=red' is none of the options image, caption"),
        ("hub:o/rows[caption=words]", "no column 'words'; it has image, Painter, movement, year, caption"),
        ("hub:o/rows[image=Painter]", "column 'Painter' holds string, not image files"),
        ("hub:o/rows[captions=nowhere.csv]", "there is no .*nowhere.csv"),
        ("hub:o/rows[files=*.gif]", r"has no .parquet and no image file that fits '\*.gif'"),
        ("hub:o/empty", "has no .parquet and no image file"),
        ("hub:o/both", "has .parquet and image files; choose"),
        ("hub:o/broken", "not readable as Parquet"),
        ("hub:o/torn", "file_name = 'absent.png' is no image file of the data set"),
        ("hub:o/rows@v9", "o/rows has no revision 'v9'"),
        ("hub:o/gated", "o/gated is gated: accept its licence"),
        ("hub:o/nowhere", "o/nowhere is not on the hub"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_is_wrong_is_said_in_one_sentence(named: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=complaint) as raised:
        read_art(named, tmp_path)
    assert "\n" not in str(raised.value)


def test_a_hub_that_does_not_answer_is_one_sentence(hub: Hub) -> None:
    hub.closing = frozenset({"datasets/o/rows", "o/rows"})
    with pytest.raises(ModelNotFound, match="o/rows cannot be fetched: the hub does not answer"):
        read_art("hub:o/rows")


@pytest.mark.usefixtures("hub")
def test_a_data_set_is_streamed_and_its_row_groups_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[int, int]] = []
    rows = art_shelf.Shelf._rows

    def counted(shelf: art_shelf.Shelf, file: int, group: int) -> Any:
        taken.append((file, group))
        return rows(shelf, file, group)

    monkeypatch.setattr(art_shelf.Shelf, "_rows", counted)
    art = read_art("hub:o/rows")
    table = collect_art(art, [Counting("one")], Store(tmp_path / "store"), LocalEngine())
    assert taken == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (1, 2)]
    bright = float(np.asarray(Image.open(io.BytesIO(png(41)))).mean())
    assert table.values("human", "art", "one", "work", "caption")["41.png"] == pytest.approx(bright + 0.017)


def test_the_shelf_holds_few_rows_however_long_the_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [bytes([n % 256]) * 9 for n in range(900)]}), tmp_path / "a.parquet")
    shelf = art_shelf.Shelf([tmp_path / "a.parquet"], "image")
    assert all(shelf.picture(0, row) == bytes([row % 256]) * 9 for row in range(900))
    assert len(shelf._held) <= art_shelf.HELD


def test_a_row_without_a_picture_and_a_broken_page_are_missing(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(4000)
    pq.write_table(pa.table({"image": [noise, None]}), tmp_path / "a.parquet", write_page_checksum=True)
    shelf = art_shelf.Shelf([tmp_path / "a.parquet"], "image")
    with pytest.raises(Unreadable, match="has no picture in this row"):
        shelf.picture(0, 1)
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[1000] ^= 255
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(Unreadable, match=r"a\.parquet, row 0: not readable as Parquet"):
        art_shelf.Shelf([tmp_path / "a.parquet"], "image").picture(0, 0)
