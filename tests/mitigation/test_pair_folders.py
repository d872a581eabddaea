"""Data folders: what is read, and how what is wrong is said in one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from mitigation.small_worlds import PROMPTS, write_pairs
from PIL import Image

from aes_audit.errors import UsageError
from aes_audit.mitigation.pairs import read_pair_folder
from aes_audit.mitigation.states import picture_tensor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three pairs that a test may spoil."""
    return write_pairs(tmp_path / "data")


def table(folder: Path, text: str, name: str = "pairs.jsonl") -> Path:
    """Replace the folder's table."""
    (folder / "pairs.jsonl").unlink()
    (folder / name).write_text(text)
    return folder


def test_jsonl_and_csv_say_the_same(folder: Path) -> None:
    lines = read_pair_folder(folder)
    assert [pair.prompt for pair in lines.pairs] == list(PROMPTS)
    rows = "".join(f"{name}.png,{prompt}\n" for name, prompt in zip("abc", PROMPTS, strict=True))
    cells = read_pair_folder(table(folder, f"image,prompt\n{rows}", "pairs.csv"))
    assert cells == lines
    assert cells.digest == lines.digest


def test_a_copy_elsewhere_is_the_same_data_and_a_changed_picture_is_not(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert read_pair_folder(copy).digest == read_pair_folder(folder).digest
    Image.new("RGB", (16, 16)).save(copy / "a.png")
    assert read_pair_folder(copy).digest != read_pair_folder(folder).digest


def test_weights_are_read_from_both_formats(folder: Path) -> None:
    text = 'image,prompt,weight,note\na.png,"one, two",2.5,x\nb.png,three,,y\n'
    pairs = read_pair_folder(table(folder, text, "pairs.csv")).pairs
    assert [(pair.prompt, pair.weight) for pair in pairs] == [("one, two", 2.5), ("three", 1.0)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no pairs"),
        ('{"image": "a.png"}', "line 1 needs a text 'prompt': found 'image'"),
        ('{"picture": "a.png", "prompt": "x"}', "needs a text 'image'"),
        ('{"image": "a.png", "prompt": 7}', "7 is no text"),
        ('\n{"image": "gone.png", "prompt": "x"}', "line 2: the picture 'gone.png' is not in"),
        ('{"image": "a.png", "prompt": "x", "weight": 0}', "weight 0 is not a number above 0"),
        ('{"image": "a.png", "prompt": "x", "weight": true}', "weight True is not a number above 0"),
        ("[1]", "is not an object"),
        ("{", "line 1 is not JSON"),
    ],
)
def test_a_wrong_table_is_refused_in_one_sentence(folder: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_pair_folder(table(folder, text))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_table_or_with_two_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_pair_folder(tmp_path / "nowhere")
    (folder / "more.csv").write_text("image,prompt\n")
    with pytest.raises(UsageError, match=r"found more\.csv, pairs\.jsonl"):
        read_pair_folder(folder)


def test_a_picture_is_cut_to_the_middle_and_scaled(tmp_path: Path) -> None:
    wide = Image.new("RGBA", (48, 16), (255, 0, 0, 255))
    wide.paste((0, 0, 255, 255), (16, 0, 32, 16))
    wide.save(tmp_path / "wide.png")
    pixels = picture_tensor(tmp_path / "wide.png", (16, 16))
    assert pixels.shape == (3, 16, 16)
    assert torch.equal(pixels.mean((1, 2)), torch.tensor([-1.0, -1.0, 1.0]))


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"broken\.png.*cannot be read"):
        picture_tensor(tmp_path / "broken.png", (16, 16))
