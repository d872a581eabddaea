"""A difference as people read it: in a terminal, in a pull request and on a page, where no name becomes markup."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from report.audited_pairs import picture
from report.test_report_page import HOSTILE, Read
from report.two_runs import compared, drawn_runs, edited, release, write_release

from aes_audit.report.diff.difference import Difference
from aes_audit.report.diff.folder_texts import Texts, pictures_of, texts_of
from aes_audit.report.diff.markdown import markdown_text
from aes_audit.report.diff.page import diff_page
from aes_audit.report.diff.terminal import terminal_lines
from aes_audit.report.run_folder import PAGE


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Difference:
    """A release that follows less, draws prettier and was measured with another gate."""
    folder = tmp_path_factory.mktemp("runs")
    a = write_release(folder / "a", release("v1"))
    b = write_release(folder / "b", release("v2", success=0.3, shift=0.0, seed=1))
    return compared(a, edited(b, threshold={"at_least": 0.1}))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Difference:
    """Two run folders with pages, prompts made of markup and pictures."""
    return drawn_runs(tmp_path_factory.mktemp("drawn"), HOSTILE[0])


def _hostile(found: Difference, text: str) -> Difference:
    """The same difference in which everything that anyone else could have written is this text."""
    changes = [
        replace(
            change,
            before={**change.before, "subject": text, "scorer": text},
            after={**change.after, "subject": f"{text} 2", "scorer": text, "group": text},
            obstacles=() if change.paired else (text,),
            note=text,
            paired=change.paired and replace(change.paired, items=tuple(f"{text} {x}" for x in change.paired.items)),
        )
        for change in found.changes
    ]
    new = ({**found.changes[0].after, "subject": text},)
    return replace(found, changes=tuple(changes), new=new, vanished=new, notes=(text,))


def test_the_terminal_says_what_is_worse_first_and_why(found: Difference) -> None:
    lines = list(terminal_lines(found, {("pairs", "000"): Texts("plain", "asked")}))
    assert lines[0].endswith("a (v1)")
    assert "note: v1 is matched with v2, because each run audits one generator" in lines
    rows = [line for line in lines if line.startswith(("WORSE", "better", "no evidence"))]
    assert len(rows) == 3
    assert ["pass -> FAIL" in row for row in rows] == [True, True, False]
    assert "success_rate" in rows[0] + rows[1]
    assert any(line.startswith("3 measurements in both runs: 3 worse") for line in lines)
    assert any("verdicts not comparable because of another threshold" in line for line in lines)


def test_a_narrow_terminal_gets_paragraphs(found: Difference) -> None:
    lines = list(terminal_lines(found, {}, width=70))
    table = lines[: next(place for place, line in enumerate(lines) if line.startswith("3 measurements"))]
    assert max(len(line) for line in table[3:]) <= 70
    assert any("item by item" in line for line in table)


def test_prompts_are_shown_where_the_page_of_a_run_has_them(drawn: Difference) -> None:
    texts = texts_of(drawn.before, drawn.after)
    assert texts["pairs", "05"] == Texts("a cat 05", f"{HOSTILE[0]} 05")
    assert any(HOSTILE[0] in line for line in terminal_lines(drawn, texts))
    page = drawn.before.folder.path / PAGE
    whole = page.read_text()
    for broken in ("", '<script type="application/json" id="data">{"items": 3}</script>', "<script"):
        page.write_text(broken)
        assert texts_of(drawn.before) == {}
    page.write_text(whole)


@pytest.mark.parametrize(
    "text", [*HOSTILE, "    code", "1. one", "- two", "@everyone", "|a|b|", "a\n::error::b", "# h"]
)
def test_nothing_in_markdown_is_anybodys_markup(found: Difference, text: str) -> None:
    shown = markdown_text(_hostile(found, text), {("pairs", f"{text} 000"): Texts(text, text)})
    usual = markdown_text(_hostile(found, "plain"), {("pairs", "plain 000"): Texts("plain", "plain")})
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    kinds = [[token.type for token in parser.parse(each)] for each in (shown, usual)]
    assert kinds[0] == kinds[1]
    inside = [child for token in parser.parse(shown) for child in token.children or ()]
    assert {child.content for child in inside if child.type == "html_inline"} == {"<br>"}
    assert not any(child.type in ("link_open", "image", "code_inline") for child in inside)
    assert "\n::" not in shown


def test_markdown_fits_a_comment_and_says_what_it_left_out(found: Difference) -> None:
    many = replace(found, notes=tuple(f"note {number} " + "é" * 200 for number in range(300)))
    shown = markdown_text(many, {})
    assert 60_000 < len(shown.encode()) <= 65_536
    assert shown.rstrip().splitlines()[-1].endswith("`--format html` has all.")
    assert "### aes_audit diff: 3 worse" in shown
    assert markdown_text(found, {}).count("not shown") == 0


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_on_the_page_is_anybodys_markup(found: Difference, text: str) -> None:
    texts = {("pairs", f"{text} 000"): Texts(text, text)}
    plain = {("pairs", "plain 000"): Texts("plain", "plain")}
    named, usual = Read(diff_page(_hostile(found, text), texts)), Read(diff_page(_hostile(found, "plain"), plain))
    assert named.elements == usual.elements
    assert named.elements["img"] == named.elements["script"] == 0
    assert not [name for name, _ in named.attributes if name.startswith("on")]


def test_the_page_needs_no_other_file_and_runs_nothing(drawn: Difference) -> None:
    html = diff_page(drawn, texts_of(drawn.before, drawn.after))
    read = Read(html)
    policy = next(value for name, value in read.attributes if name == "content" and value and "default-src" in value)
    assert "script-src 'none'" in policy
    assert "img-src data:;" in policy
    sources = [value or "" for name, value in read.attributes if name in ("src", "href")]
    assert all(value.startswith(("data:", "#")) for value in sources)
    # Both pictures of both runs, for each of the pairs that are shown.
    assert read.elements["img"] == 6 * 4
    assert f"{HOSTILE[0]} 01" in read.text


def test_a_page_has_room_for_so_many_pictures_only(drawn: Difference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aes_audit.report.diff.pictures._BUDGET", 1)
    read = Read(diff_page(drawn, {}))
    assert read.elements["img"] == 1
    assert read.text.count("no room is left on this page") == 6 * 4 - 1


def test_a_digest_of_somebody_elses_table_names_no_file_elsewhere(tmp_path: Path) -> None:
    rows = [{**row, "image_sha256": "../secret"} for row in release(items=2)]
    run = write_release(tmp_path / "a", rows)
    (run / "images").mkdir()
    (run / "secret.png").write_bytes(picture("ff00ff"))
    (run / "images" / "x.png").write_bytes(picture("ff00ff"))
    assert pictures_of(compared(run, run).before) == {}


def test_a_picture_that_cannot_be_read_is_shown_as_missing(drawn: Difference) -> None:
    for path in sorted((drawn.after.folder.path / "images").iterdir())[:40]:
        path.write_bytes(b"no picture")
    read = Read(diff_page(drawn, {}))
    assert read.elements["img"] < 6 * 4
    assert "the picture cannot be read" in read.text


def test_an_effect_is_told_with_the_unit_of_its_items(found: Difference) -> None:
    plot = json.dumps(diff_page(found, {}))
    assert "Every tested measurement, item by item" in plot
    assert "B is worse" in plot
