"""`aes-audit score IMAGES`: the table, and what is said when the call is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from aes_audit.command.main import main

HEAVY = {"torch", "transformers", "pandas", "scipy", "pyarrow", "huggingface_hub"}
REWARD = ("--reward", "control/clip", "--device", "cpu")


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A grey picture."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "grey.png"
    Image.new("L", (30, 20), 120).save(file)
    return str(file)


def test_a_table_has_a_line_per_image_and_prompt(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--prompt", "a cat", image, *REWARD, "--prompt", "", "none.png"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split() == ["image", "prompt", "control/clip"]
    assert [line.split()[0] for line in lines[1:]] == [image, image, "none.png", "none.png"]
    assert "(empty)" in lines[2]
    assert lines[3].endswith("error")
    assert "no such file: none.png" in printed.err
    assert "2 of 4 rows have no value" in printed.err


def test_several_rewards_are_columns_and_their_recipes_are_said(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", image, "--prompt", "x" * 200, *REWARD, "--reward", "control/preference"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0].split() == ["image", "prompt", "control/clip", "control/preference"]
    assert max(map(len, printed.out.splitlines())) < 200
    assert "control/clip: image square-bicubic" in printed.err


def test_nothing_scored_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "none.png", "--prompt", "a", *REWARD]) == 1
    assert "1 of 1 rows have no value" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sore"], "unknown command 'sore'. Did you mean 'score'?"),
        (["report", "verdct"], "unknown command of report 'verdct'. Did you mean 'verdict'?"),
        (["prompts", "chek"], "unknown command of prompts 'chek'. Did you mean 'check'?"),
        (["art", "captions"], "unknown command of art 'captions'. Did you mean 'caption'?"),
        (["score", "a.png", "--prompt", "a"], "required: --reward"),
        (["score", "a.png", *REWARD], "--prompt TEXT"),
        (["score", *REWARD], "--pairs FILE with --output FILE"),
        (["score", "a.png", "--pairs", "p.csv", *REWARD], "one of the two"),
        (["score", "--pairs", "p.csv", *REWARD], "--pairs and --output belong together"),
        (["score", "a.png", "--prompt", "a", "--output", "o.csv", *REWARD], "--pairs and --output belong together"),
        (["score", "--pairs", "p.csv", "--output", "o.csv", "--prompt", "a", *REWARD], "--prompt belongs to"),
        (["score", "--pairs", "p.csv", "--output", "o.csv", *REWARD], "'p.csv' cannot be read: No such file"),
        (["score", "a.png", "--prompt", "a", "--reward", "control/clop"], "Did you mean 'control/clip'?"),
        (["score", "a.png", "--prompt", "a", *REWARD, "--batch-size", "0"], "give a whole number of 1 or more"),
        (["score", "a.png", "--prompt", "a", *REWARD, "--device", "tpu"], "invalid choice: 'tpu'"),
    ],
)
def test_a_wrong_call_is_said_in_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as exit_of_argparse:
        code = int(exit_of_argparse.code or 0)
    error = capsys.readouterr().err
    assert code == 2
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("score", "--help"), 0),
        (("score", "a.png"), 2),
        (("score", "a.png", "--prompt", "a", "--reward", "nothing"), 2),
        (("score", "--pairs", "none.csv", "--output", "o.csv", "--reward", "control/clip"), 2),
    ],
)
def test_help_and_wrong_calls_import_no_model_library(arguments: tuple[str, ...], code: int, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom aes_audit.command.main import main\n"
        "try:\n    code = main(sys.argv[1:])\nexcept SystemExit as error:\n    code = error.code or 0\n"
        "print('loaded:', code, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    found, *loaded = done.stdout.rpartition("loaded:")[2].split()
    assert int(found) == code
    assert HEAVY.isdisjoint(loaded)


def test_the_command_is_installed(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("aes-audit")
    done = subprocess.run([script, "score", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "usage: aes-audit score" in done.stdout
