"""The step summary: what GitHub renders from it, and how long it may become."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from report.entries import line

from aes_audit.errors import UsageError
from aes_audit.report.step_summary import LIMIT, step_summary, write_step_summary

HOSTILE = [
    "<script>alert(1)</script>",
    "a | b | c",
    "![x](https://example.org/x.png)",
    "[link](javascript:alert(1))",
    "**bold** `code` ~~gone~~ _it_",
    "two\n\n# heading",
    "https://example.org www.example.org a@b.org @someone #1",
    "&lt;b&gt; &#60;",
    "</pre><img src=x onerror=alert(1)>",
    "$x$ :smile: \\| \\",
]


def rendered(markdown: str) -> str:
    """What a reader sees, by an implementation of CommonMark with tables, HTML and links as GitHub has them."""
    return str(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown))


def text_of(markdown: str) -> str:
    """The letters a reader sees."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    return "\n".join(
        "".join(child.content for child in token.children or ()) for token in tokens if token.type == "inline"
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_as_it_is_and_does_nothing(name: str) -> None:
    entries = [line("fail", subject=name, sentence=f"{name} is bad"), line(subject="plain")]
    html = rendered(step_summary(entries, command=f"pytest --model={name}"))
    plain = rendered(step_summary([line("fail", subject="x", sentence="x is bad"), line()], command="pytest --model=x"))
    for tag in ("<script", "<img", "<a ", "<code", "<s>", "<em", "<h1", "<td", "<tr", "<li", "<strong", "<pre", "<b>"):
        assert html.count(tag) == plain.count(tag), tag
    assert name.split("\n")[0] in text_of(step_summary(entries))


@settings(max_examples=60)
@given(name=st.text(min_size=1, max_size=30))
def test_no_name_changes_the_shape_of_the_table(name: str) -> None:
    html = rendered(step_summary([line("fail", subject=name), line(subject="other")]))
    assert html.count("<tr>") == 3
    assert html.count("<td") == 2 * 8


def test_failures_come_first_with_their_reasons_and_the_command_last() -> None:
    summary = step_summary([line("pass"), line("fail", sentence="it is worse")], command="look: pytest -x")
    assert (
        summary.index("**FAIL**") < summary.index("| pass |") < summary.index("- it is worse") < summary.index("<pre>")
    )
    assert summary.startswith("### aes_audit: fail\n\n2 measurements: 1 fail, 1 pass\n")


@pytest.mark.parametrize("limit", [0, 600, 2_000, 20_000])
def test_a_long_summary_stays_below_its_limit_and_says_what_it_leaves_out(limit: int) -> None:
    entries = [line("fail", subject=f"mödel-{number:03}", sentence="é" * 50) for number in range(200)]
    summary = step_summary(entries, limit)
    assert len(summary.encode()) <= limit
    shown = summary.count("**FAIL**")
    if limit >= 2_000:
        assert f"{200 - shown} more measurements are not shown" in summary
        assert f"{200 - summary.count('- ' + 'é')} more reasons are not shown" in summary
        assert "mödel-000" in summary
        rendered(summary)


def test_what_earlier_commands_of_the_step_wrote_counts_towards_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("x" * (LIMIT - 3_000))
    entries = [line("fail", subject=f"model-{number:03}") for number in range(200)]
    write_step_summary({"GITHUB_STEP_SUMMARY": str(file)}, entries)
    assert LIMIT - 3_000 < file.stat().st_size <= LIMIT


def test_without_a_place_or_entries_nothing_is_written(tmp_path: Path) -> None:
    write_step_summary({}, [line()])
    write_step_summary({"GITHUB_STEP_SUMMARY": str(tmp_path / "s.md")}, [])
    assert not list(tmp_path.iterdir())


def test_a_summary_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^step summary .* cannot be written: [^\n]+\.$"):
        write_step_summary({"GITHUB_STEP_SUMMARY": str(tmp_path)}, [line()])


def test_an_interrupted_run_says_so() -> None:
    summary = step_summary([line()], interrupted=True)
    assert summary.startswith("### aes_audit: error\n")
    assert "interrupted" in summary
