"""`aes-audit train-lora`: what it leaves behind, how it goes on, and what it says about a wrong call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from mitigation.small_worlds import write_pairs

from aes_audit.command.main import main

QUICK = ("--steps=2", "--batch-size=2", "--rank=2", "--device=cpu")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three pictures that follow their prompts."""
    return write_pairs(tmp_path / "data")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def train(model: Path | str, data: Path, output: Path, *more: str) -> int:
    """The command, in this process."""
    return main(["train-lora", str(model), f"--data={data}", f"--output={output}", *QUICK, *more])


def test_an_adapter_its_provenance_and_the_next_command_come_out(
    tiny_pipeline: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tiny_pipeline, data, tmp_path / "lora") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"pytest audits/ --model={tiny_pipeline}+lora={tmp_path / 'lora'}" in captured.err
    kept = json.loads((tmp_path / "lora" / "training.json").read_text())
    assert kept["data"]["pairs"] == 3
    assert (kept["recipe"]["steps"], kept["recipe"]["rank"], kept["recipe"]["seed"]) == (2, 2, 0)
    assert {"base", "data", "recipe", "loss", "versions"} == set(kept)


def test_a_finished_training_is_not_overwritten_and_needs_no_second_run(
    tiny_pipeline: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tiny_pipeline, data, tmp_path / "lora") == 0
    capsys.readouterr()
    assert train(tiny_pipeline, data, tmp_path / "lora") == 2
    assert "finished already" in capsys.readouterr().err
    assert train(tiny_pipeline, data, tmp_path / "lora", "--resume") == 0
    assert "is finished already" in capsys.readouterr().err
    assert train(tiny_pipeline, data, tmp_path / "lora", "--resume", "--seed=1") == 2
    assert "recipe.seed is 0 there and 1 now" in capsys.readouterr().err


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(
    tiny_pipeline: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "lora"

    def press() -> None:
        while not (output / ".training" / "checkpoint.pt").is_file():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press, daemon=True)
    presser.start()
    assert train(tiny_pipeline, data, output, "--steps=5000", "--checkpoint-every=1") == 130
    presser.join()
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("aes-audit: interrupted after step ")
    assert line.endswith(" --steps=5000 --checkpoint-every=1 --resume`")
    assert not (output / "pytorch_lora_weights.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--steps=0",), "invalid value '0': give a whole number of 1 or more"),
        (("--learning-rate=fast",), "invalid value 'fast': give a number of 0 or more"),
        (("--size=17",), "size 17x17: both sides must be multiples of 4"),
        (("--targets=to_z",), "no linear layer's name ends with 'to_z'"),
        (("--learning-rate=3",), "learning rate 3 is not between 0 and 1"),
    ],
)
def test_a_wrong_option_is_one_line(
    tiny_pipeline: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    said: str,
) -> None:
    try:
        code = train(tiny_pipeline, data, tmp_path / "lora", *options)
    except SystemExit as error:
        code = int(error.code or 0)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert said in line
    assert not (tmp_path / "lora").exists()


def test_a_model_of_another_kind_is_refused_by_name(
    tiny_pipeline: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    index = json.loads((tiny_pipeline / "model_index.json").read_text())
    (other / "model_index.json").write_text(json.dumps({**index, "_class_name": "StableDiffusionXLPipeline"}))
    assert train(other, data, tmp_path / "lora") == 2
    assert "StableDiffusionXLPipeline: adapters are trained for" in capsys.readouterr().err
    assert not (tmp_path / "lora").exists()


def test_a_folder_of_other_things_is_not_written_into(
    tiny_pipeline: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tiny_pipeline, data, data) == 2
    assert "is not empty and holds no training" in capsys.readouterr().err


def test_help_and_refusals_import_no_model_library(data: Path, tmp_path: Path) -> None:
    watch = (
        "import sys\nfrom aes_audit.command.main import main\ntry:\n    code = main(sys.argv[1:])\n"
        "except SystemExit as error:\n    code = error.code\n"
        "print(code, *sorted({'torch', 'diffusers', 'transformers', 'peft'} & set(sys.modules)))"
    )
    wrong = ["control/faithfool", f"--data={data}", f"--output={tmp_path / 'lora'}"]
    for arguments, code in ((["--help"], "0"), (wrong, "2")):
        command = [sys.executable, "-c", watch, "train-lora", *arguments]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert output.splitlines()[-1] == code
