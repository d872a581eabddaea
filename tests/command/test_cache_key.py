"""`aes-audit cache-key`: what changes the key of a pipeline's cache, and what does not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aes_audit.command.main import main
from aes_audit.prompts.pairs import read_prompt_set
from aes_audit.resources import control_folder

Key = Callable[..., tuple[str, str]]


@pytest.fixture
def key(capsys: pytest.CaptureFixture[str]) -> Key:
    """The key that a call prints, as its parts."""

    def run(*typed: str) -> tuple[str, str]:
        assert main(["cache-key", *typed]) == 0
        found = re.fullmatch(r"aes-audit-(\w{12})-([\w.+]+)\n", capsys.readouterr().out)
        assert found
        return found[1], found[2]

    return run


def test_the_key_holds_the_digests_of_prompts_and_weights(key: Key, tmp_path: Path) -> None:
    prompts, models = key("--model=control/faithful")
    assert read_prompt_set("control_pairs").digest.startswith(prompts)
    copy = shutil.copytree(control_folder("faithful"), tmp_path / "copy")
    assert key(f"--model={copy}") == (prompts, models), "the name of a folder decides nothing"
    assert key("--model=control/beautified")[1] != models
    assert key("--model=control/beautified", "--base-model=control/faithful")[1].startswith(f"{models}_")
    assert key("--model=control/faithful", "--audit-pairs=10")[0] != prompts
    assert key("--reward=control/clip")[1] not in models


def test_without_subjects_it_is_about_those_of_the_profile(key: Key) -> None:
    assert key() == key("--model=control/faithful", "--reward=control/clip")


def test_many_models_make_no_longer_key_than_github_takes(key: Key) -> None:
    adapter = f"+lora={control_folder('beautified')}"
    few, many = ([f"--model=control/faithful{adapter * number}" for number in range(count)] for count in (2, 9))
    assert "_" in key(*few)[1]
    assert re.fullmatch(r"\w{12}", key(*many)[1])


def test_a_model_that_does_not_exist_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache-key", "--model=control/nothing"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
