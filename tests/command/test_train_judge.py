"""`aes-audit train-judge`: what it leaves behind and prints, how it goes on, and what it says about a wrong call."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from judges.training.rated_scenes import SEEN, save_learner, write_scenes

from aes_audit.command.main import main
from aes_audit.evidence.reading import read_evidence
from aes_audit.judges.registry import resolve_judge
from aes_audit.measures.registry import measure

QUICK = ("--epochs=1", "--batch-size=4", "--accumulate=1", "--rank=2", "--held-out=6", "--device=cpu")


@pytest.fixture(scope="session")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3-VL of random weights that is narrow and quick."""
    return save_learner(tmp_path_factory.mktemp("models") / "learner", width=32)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of 14 rated scenes."""
    return write_scenes(tmp_path_factory.mktemp("data") / "scenes", 14)


@pytest.fixture
def judge(learner: Path, scenes: Path) -> str:
    """The judge with short questions and small images."""
    return f"{learner}[size=32,guideline={scenes.parent / 'guideline.toml'}]"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def train(judge: str, scenes: Path | str, output: Path, *more: str) -> int:
    """The command, in this process."""
    return main(["train-judge", judge, f"--data={scenes}", f"--output={output}", *QUICK, *more])


def test_adapter_provenance_ratings_and_a_table_come_out(
    judge: str, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(judge, scenes, tmp_path / "lora") == 0
    captured = capsys.readouterr()
    header, *lines = captured.out.splitlines()
    assert header.split() == ["dimension", "n", "accuracy", "majority", "MAE", "weighted", "F1", "kappa"]
    evidence = read_evidence(tmp_path / "lora-ratings.parquet")
    assert evidence.scorers("ratings", "ratings") == tuple(sorted(f"{w}/{d}" for w in ("judge", "truth") for d in SEEN))
    for line, group in zip(lines, (*SEEN, "used"), strict=False):
        found = measure("judge_agreement_accuracy", evidence, model="ratings", group=group)
        shown = line.removeprefix(group).split()
        assert shown[0] == str(found.details["rows"]) == ("18" if group == "used" else "6")
        assert shown[1].rstrip("*") == f"{found.estimate:.3f}"
        assert shown[1].endswith("*") == found.details["uninformative"]
        assert f" {found.details['majority_baseline']:.3f} " in line
    assert "8 images to learn from and 6 held out" in captured.err
    assert f"gate it with `pytest audits/ --evidence={tmp_path / 'lora-ratings.parquet'}`" in captured.err
    kept = json.loads((tmp_path / "lora" / "training.json").read_text())
    assert {"base", "guideline", "data", "recipe", "loss", "versions"} == set(kept)
    assert kept["data"]["images"] == {"training": 8, "held_out": 6}
    assert (kept["recipe"]["steps"], kept["recipe"]["learning_rate"], kept["recipe"]["targets"][0]) == (
        2,
        2e-5,
        "q_proj",
    )


def test_what_is_written_does_not_change_the_judge(judge: str, scenes: Path, tmp_path: Path) -> None:
    """Ratings lie beside the adapter's folder: its digest is part of every score."""
    assert train(judge, scenes, tmp_path / "lora") == 0
    spec = f"{judge}+lora={tmp_path / 'lora'}"
    before = resolve_judge(spec, device="cpu", root=tmp_path).revision
    (tmp_path / "lora-ratings.parquet").unlink()
    assert train(judge, scenes, tmp_path / "lora", "--resume") == 0
    assert (tmp_path / "lora-ratings.parquet").is_file()
    assert resolve_judge(spec, device="cpu", root=tmp_path).revision == before


def test_evaluating_trains_nothing_and_gives_the_same_ratings(
    judge: str, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(judge, scenes, tmp_path / "lora") == 0
    table = capsys.readouterr().out
    options = [
        f"--data={scenes}",
        "--held-out=6",
        "--evaluate-only",
        f"--evidence={tmp_path / 'new' / 'again.parquet'}",
    ]
    assert main(["train-judge", f"{judge}+lora={tmp_path / 'lora'}", *options, "--device=cpu"]) == 0
    assert capsys.readouterr().out == table
    assert read_evidence(tmp_path / "new" / "again.parquet") == read_evidence(tmp_path / "lora-ratings.parquet")


def test_a_finished_training_is_not_overwritten_and_another_is_told_apart(
    judge: str, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(judge, scenes, tmp_path / "lora") == 0
    capsys.readouterr()
    assert train(judge, scenes, tmp_path / "lora") == 2
    assert "finished already" in capsys.readouterr().err
    assert train(judge, scenes, tmp_path / "lora", "--resume", "--rank=3") == 2
    assert "recipe.rank is 2 there and 3 now" in capsys.readouterr().err
    assert train(judge, scenes, tmp_path / "lora", "--resume", "--dimensions=richness") == 2
    assert "data.dimensions is" in capsys.readouterr().err


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(
    judge: str, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "lora"

    def press() -> None:
        while not (output / ".training" / "checkpoint.pt").is_file():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press, daemon=True)
    presser.start()
    assert train(judge, scenes, output, "--epochs=5000", "--checkpoint-every=1") == 130
    presser.join()
    _, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("aes-audit: interrupted after update ")
    assert line.endswith(" --epochs=5000 --checkpoint-every=1 --resume`")
    assert not (output / "adapter_model.safetensors").exists()


def test_pictures_that_are_in_both_parts_are_told(
    judge: str, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(scenes.parent, tmp_path / "copy"))
    shutil.copy(folder / "0013.png", folder / "0000.png")
    shutil.copy(folder / "0001.png", folder / "0002.png")
    assert train(judge, folder / "ratings.jsonl", tmp_path / "lora", "--dimensions=richness,color brightness") == 0
    captured = capsys.readouterr()
    assert "6 images to learn from and 6 held out" in captured.err
    assert "1 with the picture of an earlier row left out; 1 with a held-out picture not learnt from" in captured.err
    assert "lighting" not in captured.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--epochs=0",), "invalid value '0': give a whole number of 1 or more"),
        (("--learning-rate=3",), "learning rate 3 is not between 0 and 1"),
        (("--held-out=1.5",), "invalid value '1.5': give a number of rows, or a share between 0 and 1"),
        (("--held-out=14",), "--held-out 14 of 14 rated images: none is left to learn from"),
        (("--dimensions=richnes",), "unknown dimension in the guideline 'richnes'. Did you mean 'richness'?"),
        (("--values=classes",), "not from 0 to 2; classes are 0, 1 and 2"),
        (("--targets=to_z",), "no linear layer's name ends with 'to_z'"),
        (("--evaluate-only",), "give --output FOLDER to train, or --evaluate-only and --evidence FILE"),
    ],
)
def test_a_wrong_option_is_one_line(
    judge: str, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    try:
        code = train(judge, scenes, tmp_path / "lora", *options)
    except SystemExit as error:
        code = int(error.code or 0)
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert said in line
    assert not (tmp_path / "lora").exists()


def test_a_judge_of_another_kind_is_refused_by_name(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("control/judge", scenes, tmp_path / "lora") == 2
    assert "control/judge is no Qwen3-VL on this machine" in capsys.readouterr().err
    assert not (tmp_path / "lora").exists()


def test_help_and_refusals_import_no_model_library(scenes: Path, tmp_path: Path) -> None:
    watch = (
        "import sys\nfrom aes_audit.command.main import main\ntry:\n    code = main(sys.argv[1:])\n"
        "except SystemExit as error:\n    code = error.code\n"
        "print(code, *sorted({'torch', 'diffusers', 'transformers', 'peft', 'pandas'} & set(sys.modules)))"
    )
    wrong = ["control/judge", f"--data={scenes}", f"--output={tmp_path / 'lora'}"]
    for arguments, code in ((["--help"], "0"), (wrong, "2")):
        command = [sys.executable, "-c", watch, "train-judge", *arguments]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert output.splitlines()[-1] == code
