"""`aes-audit score --pairs`: the file that comes back, whatever is in the file that goes in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aes_audit.command import pictures
from aes_audit.command.main import main
from aes_audit.rewards.protocol import Reward, answers
from aes_audit.rewards.registry import resolve_reward

REWARD = "control/clip"


def picture(seed: int, mode: str = "RGB") -> Image.Image:
    """A small picture of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three pictures, away from the working directory."""
    home = tmp_path / "data"
    home.mkdir()
    for seed in range(3):
        picture(seed).save(home / f"{seed}.png")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return home


def write_pairs(folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = ("image", "prompt")) -> Path:
    """A file of pairs as Python's own writer makes it."""
    file = folder / "pairs.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return file


def run(pairs: Path, *more: str, reward: str = REWARD) -> tuple[int, list[dict[str, str]]]:
    """Exit code and the rows of the output as Python's own reader sees them; none without an output."""
    output = pairs.parent / "out.csv"
    code = main(["score", "--pairs", str(pairs), "--output", str(output), "--reward", reward, "--device", "cpu", *more])
    if not output.exists():
        return code, []
    with output.open(newline="", encoding="utf-8") as stream:
        return code, list(csv.DictReader(stream))


def expected(file: Path, text: str, reward: str = REWARD) -> float:
    """The score of one pair by itself."""
    loaded = resolve_reward(reward, device="cpu", root=Path.cwd()).load()
    return loaded.score([Image.open(file)], [text])[0]


def test_rows_come_back_in_their_order_with_a_value_each(folder: Path) -> None:
    rows = [["2", "0.png", "a cat", "x"], ["1", "1.png", "a red boat", ""], ["3", "0.png", "", "007"]]
    code, found = run(write_pairs(folder, rows, ("id", "image", "prompt", "note")))
    assert code == 0
    assert [[row[name] for name in ("id", "image", "prompt", "note")] for row in found] == rows
    assert list(found[0]) == ["id", "image", "prompt", "note", "value", "error"]
    for row in found:
        assert float(row["value"]) == pytest.approx(expected(folder / row["image"], row["prompt"]), abs=1e-5)
        assert row["error"] == ""


@pytest.mark.parametrize("batch_size", ["1", "2", "32"])
def test_values_do_not_depend_on_the_batch_size(folder: Path, batch_size: str) -> None:
    rows = [[f"{seed}.png", text] for text in ("a cat", "a dog") for seed in range(3)]
    _, found = run(write_pairs(folder, rows), "--batch-size", batch_size)
    assert [float(row["value"]) for row in found] == pytest.approx(
        [expected(folder / image, text) for image, text in rows], abs=1e-5
    )


def test_prompts_with_commas_quotes_and_line_breaks_come_back_as_they_were(folder: Path) -> None:
    texts = ['a "cat", big', "two\nlines", "two\r\nlines", "old\rmac", "", " blank ", "東京の夜", "=1+1"]
    code, found = run(write_pairs(folder, [["0.png", text] for text in texts]))
    assert code == 0
    assert [row["prompt"] for row in found] == texts


def test_a_byte_order_mark_and_windows_line_ends_are_fine(folder: Path) -> None:
    file = folder / "pairs.csv"
    file.write_bytes(b"\xef\xbb\xbfimage,prompt\r\n0.png,a cat\r\n\r\n1.png,a dog\r\n")
    code, found = run(file)
    assert code == 0
    assert [row["image"] for row in found] == ["0.png", "1.png"]


def test_files_that_are_no_images_cost_only_their_own_rows(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:400])
    (folder / "text.png").write_text("hello")
    (folder / "empty.png").touch()
    Image.new("1", (4000, 4000)).save(folder / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    broken = ["cut.png", "text.png", "empty.png", "bomb.png", "missing.png", "", "."]
    rows = [[name, "a cat"] for name in ("0.png", *broken, "1.png")]
    code, found = run(write_pairs(folder, rows))
    assert code == 0
    assert [bool(row["value"]) for row in found] == [True, *[False] * len(broken), True]
    assert [bool(row["error"]) for row in found] == [False, *[True] * len(broken), False]
    assert "7 of 9 rows have no value" in capsys.readouterr().err


def test_no_value_at_all_is_a_failure_and_still_written(folder: Path) -> None:
    code, found = run(write_pairs(folder, [["missing.png", "a cat"]]))
    assert code == 1
    assert found[0]["error"] == "no such file: missing.png"


def test_images_lie_beside_the_file_of_pairs_or_else_in_the_working_directory(folder: Path) -> None:
    picture(7).save("7.png")
    picture(8).save("0.png")
    code, found = run(write_pairs(folder, [["7.png", "a"], ["0.png", "a"], [str(folder / "1.png"), "a"]]))
    assert code == 0
    wanted = [expected(Path("7.png"), "a"), expected(folder / "0.png", "a"), expected(folder / "1.png", "a")]
    assert [float(row["value"]) for row in found] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"image,prompt\n", "no pairs"),
        (b"image,text\n0.png,a\n", "has no column 'prompt'"),
        (b"image;prompt\n0.png;a\n", "parted by commas"),
        (b"image,prompt,prompt\n0.png,a,b\n", "more than one column 'prompt'"),
        (b"image,prompt\n0.png,a,b\n", "3 cells where the header has 2"),
        (b"image,prompt\n0.png\n", "1 cells where the header has 2"),
        (b'image,prompt\n0.png,"a\n', "no readable CSV"),
        ("image,prompt\n0.png,é\n".encode("latin-1"), "is not UTF-8"),
        (b"image,prompt,value\n0.png,a,1\n", "already has a column 'value'"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_in_one_sentence(
    folder: Path, content: bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "pairs.csv"
    file.write_bytes(content)
    code, found = run(file)
    error = capsys.readouterr().err
    assert (code, found) == (2, [])
    assert says in error
    assert error.count("\n") == 1


def test_several_rewards_give_a_row_each(folder: Path) -> None:
    pairs = write_pairs(folder, [["0.png", "a cat"], ["missing.png", "b"]])
    code, found = run(pairs, "--reward", "control/preference")
    assert code == 0
    assert [(row["image"], row["reward"]) for row in found] == [
        ("0.png", "control/clip"),
        ("0.png", "control/preference"),
        ("missing.png", "control/clip"),
        ("missing.png", "control/preference"),
    ]
    assert float(found[1]["value"]) == pytest.approx(
        expected(folder / "0.png", "a cat", "control/preference"), abs=1e-4
    )


def test_an_image_is_decoded_once_and_a_text_asked_about_it_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    asked: list[tuple[int, str]] = []
    real_open = pictures._open

    def open_one(group: pictures.Group, needed: object) -> pictures.Picture:
        opened.append(group.name)
        return real_open(group, needed)  # type: ignore[arg-type]

    def counted(reward: Reward, images: Sequence[Image.Image], texts: Sequence[str]) -> object:
        asked.extend(zip(map(id, images), texts, strict=True))
        return answers(reward, images, texts)

    monkeypatch.setattr(pictures, "_open", open_one)
    monkeypatch.setattr("aes_audit.command.scorers.answers", counted)
    rows = [[name, text] for text in ("a", "b") for name in ("0.png", "./0.png", "1.png", "0.png")]
    run(write_pairs(folder, rows))
    assert sorted(opened) == ["0.png", "1.png"]
    assert len(asked) == 4


def test_only_a_few_images_are_in_memory_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive, most = 0, 0

    class Counted:
        def __init__(self) -> None:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    real = pictures._open

    def open_one(group: pictures.Group, needed: object) -> pictures.Picture:
        found = real(group, needed)  # type: ignore[arg-type]
        assert found.image is not None
        found.image.info["counted"] = Counted()
        return found

    monkeypatch.setattr(pictures, "_open", open_one)
    rows = [[f"copy{index}.png", "a cat"] for index in range(60)]
    for index, (name, _) in enumerate(rows):
        picture(index).save(folder / name)
    code, _ = run(write_pairs(folder, rows), "--batch-size", "4")
    assert code == 0
    assert most <= 4 + 4 + 4 + 1


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "L", "CMYK", "1", "I;16"])
def test_images_reach_the_reward_in_their_own_mode(folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def counted(reward: Reward, images: Sequence[Image.Image], texts: Sequence[str]) -> object:
        seen.extend(image.mode for image in images)
        return answers(reward, images, texts)

    monkeypatch.setattr("aes_audit.command.scorers.answers", counted)
    image = picture(1, mode) if mode != "I;16" else Image.fromarray(np.arange(480, dtype=np.uint16).reshape(20, 24))
    image.save(folder / "odd.tif")
    code, _ = run(write_pairs(folder, [["odd.tif", "a"]]))
    assert (code, seen) == (0, [mode])


class Interrupting:
    """Scores by counting, and is interrupted at a given picture."""

    def __init__(self, stop_at: int) -> None:
        self.stop_at = stop_at
        self.scored = 0

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        if self.scored + len(images) > self.stop_at:
            raise KeyboardInterrupt
        self.scored += len(images)
        return [float(len(text)) for text in texts]


class Resolved:
    """A pinned reward around a loaded one."""

    name = "counting"
    revision = "1"

    def __init__(self, reward: object) -> None:
        self.reward = reward
        self.identity = {"kind": "counting", "recipe": {}}

    def load(self) -> object:
        return self.reward


def resolve_to(reward: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every spec names this reward."""
    monkeypatch.setattr("aes_audit.command.scorers.resolve_reward", lambda spec, **_: Resolved(reward))


def test_an_interrupted_run_goes_on_where_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = write_pairs(folder, [[f"{seed}.png", "x" * (seed + 1)] for seed in range(3)])
    resolve_to(Interrupting(2), monkeypatch)
    code, found = run(pairs, "--batch-size", "1")
    kept = folder / "out.csv.progress"
    assert (code, found, kept.exists()) == (130, [], True)
    assert "2 scores are kept" in capsys.readouterr().err
    # What a killed process left unfinished at the end is not read.
    kept.write_text(kept.read_text() + '{"reward": "cut o')
    second = Interrupting(99)
    resolve_to(second, monkeypatch)
    code, found = run(pairs, "--batch-size", "1")
    assert (code, second.scored, kept.exists()) == (0, 1, False)
    assert [float(row["value"]) for row in found] == [1.0, 2.0, 3.0]


def test_a_changed_image_is_not_taken_for_the_one_that_was_scored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = write_pairs(folder, [["0.png", "a"], ["1.png", "b"]])
    resolve_to(Interrupting(1), monkeypatch)
    run(pairs, "--batch-size", "1")
    picture(50).save(folder / "0.png")
    second = Interrupting(99)
    resolve_to(second, monkeypatch)
    run(pairs, "--batch-size", "1")
    assert second.scored == 2


def test_a_foreign_file_in_the_place_of_the_progress_file_stays(folder: Path) -> None:
    foreign = folder / "out.csv.progress"
    foreign.write_text("my notes\n")
    code, _ = run(write_pairs(folder, [["0.png", "a"]]))
    assert (code, foreign.read_text()) == (2, "my notes\n")


class Picky:
    """Raises on one picture, as a third party's reward may."""

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        if any(image.mode == "L" for image in images):
            raise ValueError("grey pictures are not foreseen")
        return [float("nan") if text == "none" else 1.0 for text in texts]


def test_a_picture_that_the_reward_fails_on_costs_only_its_own_rows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(1, "L").save(folder / "grey.png")
    resolve_to(Picky(), monkeypatch)
    code, found = run(write_pairs(folder, [["0.png", "a"], ["grey.png", "a"], ["1.png", "none"], ["1.png", "a"]]))
    assert code == 0
    assert [row["value"] for row in found] == ["1.0", "", "", "1.0"]
    assert found[1]["error"] == "the reward failed: grey pictures are not foreseen"
    assert found[2]["error"] == "the reward gave nan"


class Detailed:
    """Answers with a spread, as hpsv3 does."""

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        return [1.5] * len(texts)

    def answers(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[object]:
        from aes_audit.rewards.protocol import Answer

        return [
            Answer(None, "refused") if text == "bad" else Answer(1.5, None, {"sigma": 0.25, "truncated": True})
            for text in texts
        ]


def test_sigma_is_a_column_where_the_reward_has_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    resolve_to(Detailed(), monkeypatch)
    _, found = run(write_pairs(folder, [["0.png", "a"], ["0.png", "bad"]]))
    assert [(row["value"], row["error"], row["sigma"]) for row in found] == [("1.5", "", "0.25"), ("", "refused", "")]
    assert "1 of the texts are longer than the reward reads" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_scored(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = write_pairs(folder, [["0.png", "a"]])
    for output in (folder / "no" / "out.csv", folder, pairs):
        assert main(["score", "--pairs", str(pairs), "--output", str(output), "--reward", REWARD]) == 2
        assert str(output) in capsys.readouterr().err


def test_an_earlier_output_is_replaced_whole(folder: Path) -> None:
    (folder / "out.csv").write_text("old")
    code, found = run(write_pairs(folder, [["0.png", "a"]]))
    assert (code, len(found)) == (0, 1)
    assert sorted(file.name for file in folder.iterdir() if "out.csv" in file.name) == ["out.csv"]


def test_the_progress_file_holds_one_json_value_per_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(Interrupting(1), monkeypatch)
    run(write_pairs(folder, [["0.png", "line\u2028break"], ["1.png", "b"]]), "--batch-size", "1")
    lines = io.StringIO((folder / "out.csv.progress").read_text()).readlines()
    assert [json.loads(line).get("text") for line in lines] == [None, "line\u2028break"]
