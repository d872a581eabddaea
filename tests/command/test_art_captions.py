"""`aes-audit art caption`: factual captions by a model behind an endpoint, resumed, within a budget."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from endpoints.hosts import Asked, Host, Sent, serving
from PIL import Image

from aes_audit.command.main import main
from aes_audit.evidence.art_captions import INSTRUCTION
from aes_audit.evidence.artworks import read_art


def said(text: str, finish: str = "stop") -> Sent:
    """A chat completion."""
    return Sent({"choices": [{"message": {"content": text}, "finish_reason": finish}], "model": "m"})


def gallery(folder: Path, count: int = 4) -> Path:
    """So many pictures, each of another grey."""
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (30, 20), (60 * number,) * 3).save(folder / f"{number}.png")
    return folder


def captioned(folder: Path, host: Host, *options: str, model: str = "") -> int:
    """Run the command against a host."""
    return main(["art", "caption", str(folder), f"--model=openai:seer@{host.url}/v1{model}", *options])


def numbered(asked: Asked) -> Sent:
    """Another caption for every request."""
    return said(f' "A grey field,\nnumber {asked.number}." ')


def test_works_without_a_caption_get_one_and_the_folder_can_be_audited(tmp_path: Path) -> None:
    folder = gallery(tmp_path / "art")
    with serving(numbered) as host:
        assert captioned(folder, host) == 0
        content = host.asked[0].body["messages"][0]["content"]
    assert content[0] == {"type": "text", "text": INSTRUCTION}
    assert content[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    works = read_art(str(folder)).works
    assert {work.caption for work in works} == {f"A grey field, number {number}." for number in range(4)}


def test_captions_that_are_there_are_kept_and_the_table_keeps_its_columns(tmp_path: Path) -> None:
    folder = gallery(tmp_path / "art", 3)
    (folder / "list.csv").write_text(
        'image,caption,artist,room\n0.png,"mine, all mine",Ann,4\n1.png,,Bob,5\n2.png, ,,6\n'
    )
    with serving(numbered) as host:
        assert captioned(folder, host) == 0
        assert len(host.asked) == 2
    lines = (folder / "list.csv").read_text().splitlines()
    assert lines[:2] == ["image,caption,artist,room", '0.png,"mine, all mine",Ann,4']
    assert lines[2].startswith('1.png,"A grey field, number ')


def test_a_run_that_broke_asks_only_for_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = gallery(tmp_path / "art")
    breaking: Callable[[Asked], Sent] = lambda asked: numbered(asked) if asked.number < 2 else Sent("", status=401)  # noqa: E731
    with serving(breaking) as host:
        assert captioned(folder, host, model="[concurrency=1]") == 1
        url = host.url
    assert "401" in capsys.readouterr().err
    rows = [json.loads(line) for line in (folder / "works.jsonl").read_text().splitlines()]
    assert sum("caption" in row for row in rows) == 2
    assert url
    with serving(numbered) as host:
        assert captioned(folder, host) == 0
        assert len(host.asked) == 2


def test_what_cannot_be_captioned_is_named_and_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = gallery(tmp_path / "art", 3)
    (folder / "9.png").write_bytes(b"no picture")
    answers = [said("word " * 200), said("", "stop"), said("A grey field.")]
    with serving(lambda asked: answers[asked.number]) as host:
        assert captioned(folder, host, model="[concurrency=1]") == 1
    err = capsys.readouterr().err
    assert "left out: 0.png: the answer has 200 words, more than 90" in err
    assert "left out: 1.png: the answer was empty" in err
    assert "left out: 9.png: not an image in a format that Pillow reads" in err
    assert "1 captions written, 3 works without one" in err


def test_a_budget_ends_the_run_and_keeps_what_was_paid_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = gallery(tmp_path / "art")
    with serving(numbered) as host:
        assert captioned(folder, host, "--budget=0.05", model="[price=0.02,concurrency=1]") == 1
        assert len(host.asked) == 2
    assert "0.05" in capsys.readouterr().err
    assert (folder / "works.jsonl").read_text().count("A grey field") == 2


def test_a_wrong_call_is_refused_before_anything_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(numbered) as host:
        assert captioned(tmp_path / "nowhere", host) == 2
        assert captioned(gallery(tmp_path / "art"), host, "--budget=1") == 2
        assert not host.asked
    assert "price=USD" in capsys.readouterr().err
    assert main(["art", "paint"]) == 2
