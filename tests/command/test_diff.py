"""`aes-audit diff`: what it prints and writes, how it exits, and that it starts without a model library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from report.two_runs import release, write_release

from aes_audit.command.main import main

HEAVY = {"torch", "transformers", "diffusers", "matplotlib"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A release, and one that follows less."""
    folder = tmp_path_factory.mktemp("runs")
    a = write_release(folder / "a", release("v1"))
    b = write_release(folder / "b", release("v2", success=0.3))
    return str(a), str(b)


def test_it_exits_with_1_only_when_asked_to_and_something_is_worse(
    runs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = runs
    assert main(["diff", before, after]) == 0
    assert "WORSE" in capsys.readouterr().out
    assert main(["diff", before, after, "--fail-on", "worse"]) == 1
    assert main(["diff", after, before, "--fail-on=worse"]) == 0
    assert main(["diff", before, before, "--fail-on=worse"]) == 0


@pytest.mark.parametrize(
    ("form", "beginning"), [("markdown", "### aes_audit diff: 1 worse"), ("html", "<!doctype html>")]
)
def test_it_writes_what_was_asked_for(
    runs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, beginning: str
) -> None:
    output = tmp_path / "new" / "diff.out"
    assert main(["diff", *runs, "--format", form, "--output", str(output)]) == 0
    assert output.read_text().lstrip().startswith(beginning)
    assert [path.name for path in output.parent.iterdir()] == ["diff.out"]
    assert capsys.readouterr().out == ""


def test_a_wrong_call_is_one_sentence_and_exits_with_2(
    runs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = runs
    assert main(["diff", before, str(tmp_path)]) == 2
    assert "is no run" in capsys.readouterr().err
    assert main(["diff", before, after, "--model", "v3=v2"]) == 2
    assert "A has v1; B has v2" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["diff", before, after, "--output", str(tmp_path / "file" / "below")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "results.json").write_text('{"schema": 1, "run": {}, "measurements": []}')
    assert main(["diff", before, str(tmp_path)]) == 2
    assert "holds no measurement" in capsys.readouterr().err


def test_it_starts_without_a_model_library(runs: tuple[str, str]) -> None:
    script = (
        "import sys; from aes_audit.command.main import main; code = main(sys.argv[1:]); "
        "print('loaded:', *sorted({name.partition('.')[0] for name in sys.modules})); sys.exit(code)"
    )
    command = [sys.executable, "-c", script, "diff", *runs]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    loaded = set(output.rpartition("loaded:")[2].split())
    assert "aes_audit" in loaded
    assert loaded.isdisjoint(HEAVY)
