"""`aes-audit prompts`: what people type, what they are told, and that an interrupted build goes on where it was."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from endpoints.hosts import Asked, Host, Sent, serving
from prompts.writers import asked_for, captions_file, completion, write

from aes_audit.command.main import main
from aes_audit.prompts.pairs import read_prompt_set


def arguments(folder: Path, url: str, *more: str) -> list[str]:
    """A small build with a host."""
    captions, output = captions_file(folder), folder / "mine.jsonl"
    writer = f"openai:writer@{url}/v1[concurrency=2]"
    return [
        "prompts",
        "build",
        f"--captions={captions}",
        f"--output={output}",
        f"--writer={writer}",
        "--count=12",
        "--seed=3",
        *more,
    ]


def moody(asked: Asked) -> Sent:
    """A writer that takes its time, and is too short for some captions until it is told."""
    caption, _ = asked_for(asked)
    short = len(caption) % 3 == 0 and "turned down" not in asked.prompt
    return replace(completion('{"prompt": "Short."}') if short else write(asked), after=0.05)


def start(folder: Path, url: str, *more: str) -> subprocess.Popen[str]:
    """The same in a process of its own."""
    code = "import sys; from aes_audit.command.main import main; raise SystemExit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments(folder, url, *more)], stderr=subprocess.PIPE, text=True
    )


def wait_for(host: Host, asked: int) -> None:
    """Until the host was asked so often."""
    deadline = time.monotonic() + 60
    while len(host.asked) < asked:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_set_and_a_summary_come_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(moody) as host:
        assert main(arguments(tmp_path, host.url, "--count=24")) == 0
    captured = capsys.readouterr()
    file = tmp_path / "mine.jsonl"
    prompts = read_prompt_set(str(file))
    assert len(prompts.pairs) == 24
    assert captured.out == ""
    short = len(host.asked) - 24
    counts = f"{short} length, {short} unsignalled"
    assert captured.err.startswith(f"aes-audit: {file}: 24 pairs; of {24 + short} answers turned down: {counts}")
    assert main(["prompts", "check", str(file)]) == 0
    assert capsys.readouterr().out == f"mine: 24 pairs, digest {prompts.digest[:12]}, 0 faults\n"


def test_a_killed_build_goes_on_and_ends_as_if_undisturbed(tmp_path: Path) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    for folder in (calm, killed):
        folder.mkdir()
    with serving(moody) as host:
        assert main(arguments(calm, host.url)) == 0
        once = Counter(host.prompts)
        host.asked.clear()
        process = start(killed, host.url)
        wait_for(host, 7)
        process.kill()
        process.communicate()
        assert not (killed / "mine.jsonl").exists()
        with (killed / "mine.jsonl.progress").open("a") as journal:
            journal.write('{"key": "what a kill may leave')
        before = len(host.asked)
        assert main(arguments(killed, host.url)) == 0
    assert before < len(once)
    assert (killed / "mine.jsonl").read_bytes() == (calm / "mine.jsonl").read_bytes()
    assert set(host.prompts) == set(once)
    twice = sum((Counter(host.prompts) - once).values())
    assert twice <= 2, "only what was under way"
    assert sorted(file.name for file in killed.iterdir()) == ["captions.txt", "mine.jsonl", "mine.toml"]


def test_ctrl_c_finishes_what_is_under_way_and_says_how_to_go_on(tmp_path: Path) -> None:
    with serving(lambda asked: replace(moody(asked), after=0.3)) as host:
        process = start(tmp_path, host.url)
        wait_for(host, 5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        asked = len(host.asked)
    first, last = said.strip().splitlines()
    assert process.returncode == 130
    assert first == "aes-audit: waiting for the calls under way; press Ctrl-C again to leave without their answers"
    journal = tmp_path / "mine.jsonl.progress"
    assert last == f"aes-audit: interrupted: {asked} answers are kept in {journal}, the same command goes on"
    assert len(journal.read_text().splitlines()) == 1 + asked < 12


def test_a_second_ctrl_c_ends_the_process_at_once(tmp_path: Path) -> None:
    with serving(lambda asked: replace(moody(asked), after=0.0 if asked.number < 4 else 20.0)) as host:
        process = start(tmp_path, host.url)
        wait_for(host, 6)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert "press Ctrl-C again" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert len((tmp_path / "mine.jsonl.progress").read_text().splitlines()) == 1 + 4


def test_ctrl_c_ends_a_pause_between_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def press() -> None:
        wait_for(host, 2)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    with serving(lambda asked: Sent({"error": {"message": "later"}}, 429, {"retry-after": "250"})) as host:
        presser = threading.Thread(target=press)
        presser.start()
        started = time.monotonic()
        assert main(arguments(tmp_path, host.url)) == 130
        assert time.monotonic() - started < 60
        presser.join()
    assert capsys.readouterr().err.endswith("interrupted: no answer came in, so the same command starts anew\n")
    assert [file.name for file in tmp_path.iterdir()] == ["captions.txt"]


@pytest.mark.parametrize(
    ("file", "writes", "said"),
    [("mine.jsonl.progress", 4, "No space left on device; free some space"), (".tmp", 0, "the disk is full")],
    ids=["answers", "set"],
)
def test_a_full_disk_is_one_line_and_loses_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    writes: int,
    said: str,
) -> None:
    written = Counter[str]()

    def full(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(file):
            written[file] += 1
            if written[file] > writes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with serving(moody) as host:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            assert main(arguments(tmp_path, host.url)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
        assert not (tmp_path / "mine.jsonl").exists()
        asked = len(host.asked)
        assert main(arguments(tmp_path, host.url)) == 0
        assert len(set(host.prompts[:asked]) & set(host.prompts[asked:])) <= (2 if writes else 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--dimensions=clarty,emotion,richness,background",), "unknown dimension 'clarty'. Did you mean 'clarity'?"),
        (("--dimensions=clarity,emotion",), "--dimensions names 2: a pair has up to 4"),
        (("--count=0",), "invalid value '0': give a whole number of 1 or more"),
        (("--budget=-1",), "invalid value '-1': give US dollars, 0 or more"),
        (("--budget=1",), "append [price=USD] to the writer"),
        (("--output=mine.json",), "the name of a prompt set ends in .jsonl"),
        (("--output=absent/mine.jsonl",), "the folder 'absent' is not there"),
        (("--captions=absent.txt",), "captions 'absent.txt' cannot be read: No such file or directory."),
        (("--captions=owner/name",), "give a COCO file captions_*.json"),
        (("--instruction=absent.toml",), "absent.toml: the instruction cannot be read"),
        (("--writer=qwen",), "writer 'qwen': write URL for Qwen/Qwen3-VL-235B-A22B-Instruct there"),
        (("--writer=openai:m@ftp://host",), "endpoint 'ftp://host' is no URL"),
        (("--writer=openai:m@http://user:word@host/v1",), "with a user, a query or a fragment"),
        (("--writer=https://models.example/v1",), "set the environment variable AES_AUDIT_MODELS_EXAMPLE_KEY"),
        (("--writer=http://localhost:1/v1[temprature=1]",), "Did you mean 'temperature'?"),
        (("--writer=http://localhost:1/v1[temperature=hot]",), "option temperature=hot: give a number of 0 or more"),
        (("--extra-effects=maybe",), "invalid choice: 'maybe'"),
        (("--cuont=3",), "unrecognized arguments: --cuont=3"),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    with serving(write) as host:
        try:
            code = main(arguments(tmp_path, host.url, *options))
        except SystemExit as error:
            code = int(error.code or 0)
        assert not host.asked
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert said in line
    assert [file.name for file in tmp_path.iterdir()] == ["captions.txt"]


def test_a_host_that_refuses_the_key_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda asked: Sent({"error": {"message": "Incorrect API key provided"}}, 401)) as host:
        assert main(arguments(tmp_path, host.url)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "writer: HTTP 401: Incorrect API key provided; no answer came in" in line


def test_faults_of_the_whole_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(write) as host:
        assert main(arguments(tmp_path, host.url, "--no-balance")) == 0
    assert f"`aes-audit prompts check {tmp_path / 'mine.jsonl'}` finds faults: " in capsys.readouterr().err


def test_captions_that_ran_out_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = tmp_path / "few.txt"
    few.write_text("".join(captions_file(tmp_path).read_text().splitlines(keepends=True)[:5]))
    with serving(write) as host:
        assert main(arguments(tmp_path, host.url, f"--captions={few}")) == 0
    assert "5 pairs of 12 wanted" in capsys.readouterr().err


def test_checks_print_faults_of_files_and_of_shipped_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prompts", "check", "wide_spectrum_smoke"]) == 0
    line = {"id": "p", "original": "A cat on a mat", "wide": "A dark cat", "dimensions": ["clarity"]}
    (tmp_path / "mine.jsonl").write_text(json.dumps(line))
    assert main(["prompts", "check", str(tmp_path / "mine.jsonl")]) == 1
    assert "p: leak: 'color brightness' is not selected" in capsys.readouterr().out
    (tmp_path / "mine.toml").write_text('language = "de"')
    main(["prompts", "check", str(tmp_path / "mine.jsonl")])
    assert "leak" not in capsys.readouterr().out
    assert main(["prompts", "check", str(tmp_path / "absent.jsonl")]) == 2
    assert main(["prompts", "chek"]) == 2
    assert "unknown command of prompts 'chek'. Did you mean 'check'?" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "diffusers", "pandas", "pyarrow", "openai", "huggingface_hub"}
    watch = (
        "import sys\nfrom aes_audit.command.main import main\ntry:\n    code = main(sys.argv[1:])\n"
        f"except SystemExit as error:\n    code = error.code\nprint(code, *sorted({heavy!r} & set(sys.modules)))"
    )
    for typed in (["prompts", "--help"], ["prompts", "build", "--help"]):
        output = subprocess.run([sys.executable, "-c", watch, *typed], capture_output=True, text=True, check=True)
        assert output.stdout.splitlines()[-1] == "0"
