"""Tuples of a folder, and drawn ones: read strictly, shown under what is compared, missing with a reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from evidence.tuples import Function, shown, tuple_folder
from PIL import Image

from aes_audit.errors import UsageError
from aes_audit.evidence.emotion import captions_of, collect_emotion
from aes_audit.evidence.emotion_tuples import COLUMNS, filled, read_tuples
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.evidence.store import Store
from aes_audit.evidence.table import Evidence
from aes_audit.measures.registry import measure

HEAD = ",".join(COLUMNS) + "\n"
ROW = "a,a {emotion} face,h.png,s.png,a.png,f.png\n"


def reads(name: str = "reads") -> Function:
    """A reward that knows what a picture shows, and looks for it in the text."""
    return Function(name, lambda image, text: float(shown(image) in text))


def collect(folder: Path, reward: Function, store: Path) -> Evidence:
    """The evidence of one reward."""
    return collect_emotion(read_tuples(str(folder)), [reward], Store(store), LocalEngine())


def test_every_picture_stands_under_the_captions_it_is_compared_under(tmp_path: Path) -> None:
    folder = tuple_folder(tmp_path / "faces", 25)
    table = collect(folder, reads(), tmp_path / "store")
    assert (table.models, len(table)) == (("faces",), 25 * 10)
    cells = set(zip(table.frame["image"], table.frame["prompt"], strict=True))
    assert cells == {(image, prompt) for image in EMOTIONS for prompt in captions_of(image)}
    right = table.frame[table.frame["image"] == table.frame["prompt"]]
    assert (right["value"] == 1).all()
    for emotion in EMOTIONS[1:]:
        for metric in ("emotion_accuracy", "emotion_accuracy_happy"):
            assert measure(metric, table, model="faces", scorer="reads", group=emotion).estimate == 1


def test_a_second_run_asks_nothing_and_finds_the_same(tmp_path: Path) -> None:
    folder, again = tuple_folder(tmp_path / "faces", 5), reads()
    first = collect(folder, reads(), tmp_path / "store")
    assert collect(folder, again, tmp_path / "store") == first
    assert again.asked == 0


def test_a_picture_that_cannot_be_read_is_missing_with_its_reason(tmp_path: Path) -> None:
    folder = tuple_folder(tmp_path / "faces", 20)
    (folder / "3-sad.png").write_bytes(b"\x89PNG broken")
    (folder / "4-happy.png").unlink()
    Image.new("L", (4, 4)).save(
        folder / "5-sad.png", format="GIF", save_all=True, append_images=[Image.new("L", (4, 4), 9)]
    )
    table = collect(folder, reads(), tmp_path / "store")
    errors = table.frame.dropna(subset="error").groupby(["item", "image"])["error"].first()
    assert set(errors.index) == {("t03", "sad"), ("t04", "happy"), ("t05", "sad")}
    assert "not an image" in errors["t03", "sad"]
    assert errors["t04", "happy"] == "no such file"
    assert "2 frames" in errors["t05", "sad"]
    found = measure("emotion_accuracy", table, model="faces", scorer="reads", group="sad")
    assert (found.n, found.missing, found.estimate) == (17, 3, 17 / 20)
    other = measure("emotion_accuracy", table, model="faces", scorer="reads", group="angry")
    assert (other.n, other.missing) == (19, 1)


def test_the_digest_is_that_of_the_table_and_not_of_the_folder(tmp_path: Path) -> None:
    folder = tuple_folder(tmp_path / "faces", 3)
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert read_tuples(str(folder)).digest == read_tuples(str(copy)).digest
    table = copy / "tuples.csv"
    table.write_text(table.read_text().replace("number 1", "number one"))
    assert read_tuples(str(folder)).digest != read_tuples(str(copy)).digest


@pytest.mark.parametrize(
    ("caption", "angry", "sad"),
    [
        ("a {emotion} man", "an angry man", "a sad man"),
        ("An {emotion} man", "An angry man", "A sad man"),
        ("two {emotion} men", "two angry men", "two sad men"),
        ("a man who looks {emotion}", "a man who looks angry", "a man who looks sad"),
        ("Santa {emotion}", "Santa angry", "Santa sad"),
    ],
)
def test_an_article_before_the_emotion_is_made_to_fit(caption: str, angry: str, sad: str) -> None:
    assert (filled(caption, "angry"), filled(caption, "sad")) == (angry, sad)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("item,caption,happy,sad,angry\n", "has no column 'fearful'"),
        (HEAD, "has no rows"),
        (HEAD + ROW.replace("f.png", ""), "row 1: fearful = '' is not text"),
        (HEAD + ROW.replace("{emotion}", "glad"), "row 1: the caption must name the emotion once.*found 0 times"),
        (HEAD + ROW.replace("face", "{emotion}"), "found 2 times"),
        (HEAD + ROW.replace("s.png", "../s.png"), r"row 1: '\.\./s\.png' is not a path inside the folder"),
        (HEAD + ROW.replace("s.png", "/s.png"), "'/s.png' is not a path inside the folder"),
        (HEAD + ROW + ROW, "row 2: a has a row already"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, table: str, complaint: str) -> None:
    (tmp_path / "tuples.csv").write_text(table)
    with pytest.raises(UsageError, match=complaint):
        read_tuples(str(tmp_path))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: no such folder; its table has the columns item, caption, happy"):
        read_tuples("nowhere", tmp_path)


def test_the_drawn_faces_are_labelled_as_drawn() -> None:
    drawn = read_tuples("control_faces")
    assert (drawn.model, drawn.drawn, len(drawn.tuples) >= 100) == ("drawn", True, True)
    first = drawn.tuples[0]
    keys = {emotion: first.pictures[emotion].key() for emotion in EMOTIONS}
    assert len(set(keys.values())) == len(EMOTIONS)
    assert shown(first.pictures["sad"].open()), "a picture that can be opened"
    assert first.pictures["sad"].size() == 64 * 64
