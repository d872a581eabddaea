"""Model cards: what huggingface_hub reads back from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from huggingface_hub import EvalResult, ModelCard, parse_eval_result_entries
from report.entries import line

from aes_audit.command.main import main
from aes_audit.report.results import Entry

PROMPTS = {"name": "standard", "pairs": 300, "digest": "ab" * 32}
LOST: dict[str, Any] = {"estimate": None, "interval": None, "n": 0, "missing": 300, "reason": "down"}


def results(folder: Path, *entries: Entry, **run: Any) -> str:
    """A results file of a run that measured these."""
    file = folder / "results.json"
    known = {"aes_audit": "0.1.0", "started": "2026-01-02T03:04:05+00:00", "prompts": PROMPTS}
    file.write_text(json.dumps({"schema": 1, "run": {**known, **run}, "measurements": entries}))
    return str(file)


def read(file: Path) -> list[EvalResult]:
    """The results in a card's metadata, as the hub's library reads them."""
    found = ModelCard.load(file).data.eval_results
    assert found is not None
    return list(found)


def test_every_verdict_is_on_the_card_the_failing_ones_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [line("pass"), line("error", metric="wide_quality", **LOST), line("fail", metric="success_rate")]
    file = results(tmp_path, *entries)
    assert main(["report", "hub", file, f"--output={tmp_path / 'out'}"]) == 0
    card = tmp_path / "out" / "flux-dev" / "README.md"
    assert capsys.readouterr().out.split() == [str(card)]
    found = read(card)
    assert [each.metric_args["verdict"] for each in found if each.metric_args] == ["error", "fail", "pass"]
    assert [each.metric_value for each in found] == ["not measured", -1.105, -1.105]
    assert {each.task_type for each in found} == {"text-to-image"}
    assert found[1].metric_args
    assert found[1].metric_args["interval"] == [-1.34, -0.87]
    assert (found[1].dataset_name, found[1].dataset_args) == ("standard", {"pairs": 300, "digest": "ab" * 32})
    assert "over-alignment: fail" in ModelCard.load(card).text
    assert ModelCard.load(card).text.count("**FAIL**") == 1


def test_every_model_has_a_folder_of_its_own_that_no_name_leads_out_of(tmp_path: Path) -> None:
    names = ["../../etc/x", "etc-x", "a/b", "a b", "///"]
    assert (
        main(
            [
                "report",
                "hub",
                results(tmp_path, *(line(subject=name) for name in names)),
                f"--output={tmp_path / 'out'}",
            ]
        )
        == 0
    )
    cards = sorted((tmp_path / "out").rglob("README.md"))
    assert len(cards) == len(names)
    assert {card.parent.parent for card in cards} == {tmp_path / "out"}
    assert {ModelCard.load(card).data.model_name for card in cards} == set(names)


@pytest.mark.parametrize("name", ["a\n---\nlicense: mit", "x: {y: [z", "<script>alert(1)</script>", "- a # b"])
def test_a_hostile_name_stays_a_name(tmp_path: Path, name: str) -> None:
    assert main(["report", "hub", results(tmp_path, line(subject=name)), f"--output={tmp_path / 'out'}"]) == 0
    (file,) = (tmp_path / "out").rglob("README.md")
    card = ModelCard.load(file)
    assert card.data.model_name == name.replace("\n", "\\n")
    assert set(card.data.to_dict()) == {"model-index", "tags"}
    assert "<script" not in card.text


def test_a_benchmark_gets_the_results_that_have_a_number(tmp_path: Path) -> None:
    entries = [line("fail"), line("pass", scorer="other"), line("error", metric="wide_quality", **LOST)]
    typed = [
        results(tmp_path, *entries),
        f"--output={tmp_path / 'out'}",
        "--dataset=me/wide",
        "--source=https://a.org/r",
    ]
    assert main(["report", "hub", *typed]) == 0
    rows = yaml.safe_load((tmp_path / "out/flux-dev/.eval_results/aes_audit.yaml").read_text())
    found = parse_eval_result_entries(rows)
    assert [(each.dataset_id, each.value, each.source_url) for each in found] == 2 * [
        ("me/wide", -1.105, "https://a.org/r")
    ]
    assert len({each.task_id for each in found}) == 2
    assert found[0].notes
    assert found[0].notes.startswith("fail: ")
    (first, *_) = read(tmp_path / "out/flux-dev/README.md")
    assert (first.dataset_type, first.source_url) == ("me/wide", "https://a.org/r")


def test_a_reward_and_an_editor_are_no_text_to_image_models(tmp_path: Path) -> None:
    reward = line(subject="hpsv3", model="a", scorer="hpsv3")
    edits = line(subject="editor", set="edits", metric="edit_shift")
    main(["report", "hub", results(tmp_path, reward, edits), f"--output={tmp_path / 'out'}"])
    tasks = {name: read(tmp_path / "out" / name / "README.md")[0].task_type for name in ("hpsv3", "editor")}
    assert tasks == {"hpsv3": "other", "editor": "image-to-image"}


def test_the_results_join_a_card_of_ones_own_as_the_documentation_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "model_card.md"
    snippet = page.read_text().partition("```python\n")[2].partition("```")[0]
    main(
        ["report", "hub", results(tmp_path, line("fail", subject="./my-model")), f"--output={tmp_path / 'model-cards'}"]
    )
    (tmp_path / "my-model").mkdir()
    mine = tmp_path / "my-model" / "README.md"
    mine.write_text("---\nlicense: mit\n---\n\n# Mine\n")
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, str(page), "exec"), {})
    assert [each.metric_type for each in read(mine)] == ["quality_shift"]
    assert ModelCard.load(mine).data.license == "mit"
    assert "# Mine" in mine.read_text()


def test_what_is_there_already_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "out" / "flux-dev" / "README.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert main(["report", "hub", results(tmp_path, line(), line(subject="b")), f"--output={tmp_path / 'out'}"]) == 2
    assert mine.read_text() == "mine"
    assert not (tmp_path / "out" / "b").exists()
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("typed", [["nowhere"], ["RUN", "--dataset=wide"], ["EMPTY"]])
def test_a_wrong_call_is_said_in_one_line(tmp_path: Path, typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    files = {"RUN": results(tmp_path, line()), "EMPTY": results(tmp_path / "empty")}
    assert main(["report", "hub", *(files.get(word, word) for word in typed)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_verdict_of_a_run_is_one_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verdicts, word in (
        (["pass", "fail", "error"], "fail"),
        (["error", "inconclusive"], "error"),
        (["advisory", "pass"], "pass"),
        (["advisory"], "advisory"),
        ([], "error"),
    ):
        assert main(["report", "verdict", results(tmp_path, *map(line, verdicts))]) == 0
        assert capsys.readouterr().out == f"{word}\n"


def test_an_interrupted_run_has_not_passed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verdict, word in (("pass", "error"), ("fail", "fail")):
        assert main(["report", "verdict", results(tmp_path, line(verdict), interrupted=True)]) == 0
        assert capsys.readouterr().out == f"{word}\n"


@pytest.mark.parametrize("command", ["hub", "verdict"])
@pytest.mark.parametrize("entry", [{"metric": "success_rate"}, {**line(), "verdict": "perfect"}])
def test_what_nobody_could_have_written_is_said_in_one_line(
    tmp_path: Path, entry: Entry, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", command, results(tmp_path, entry)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert f"measurement 1 ({entry['metric']}) has " in said
