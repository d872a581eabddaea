"""Where weights come from: what counts as a folder, what as a repository, what as neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.weights.source import Source, parse_source


@pytest.mark.parametrize("text", ["./new", "../up", "/abs/model", ".", ".."])
def test_what_looks_like_a_path_is_a_folder_even_before_it_exists(tmp_path: Path, text: str) -> None:
    assert parse_source(text, tmp_path) == Source(folder=tmp_path / text)


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_source("~/model", Path("/root")) == Source(folder=tmp_path / "model")


def test_a_folder_that_exists_wins_over_a_repository_of_that_name(tmp_path: Path) -> None:
    assert parse_source("owner/name", tmp_path) == Source(repo="owner/name")
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert parse_source("owner/name", tmp_path) == Source(folder=tmp_path / "owner" / "name")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("owner/name", Source(repo="owner/name")),
        ("owner/name@main", Source(repo="owner/name", revision="main")),
        ("owner/name@refs/pr/3", Source(repo="owner/name", revision="refs/pr/3")),
        ("Own-er.1/na_me-2.5", Source(repo="Own-er.1/na_me-2.5")),
        ("owner/name@", Source(repo="owner/name")),
        ("flux-dev", None),
        ("owner/name/more", None),
        ("/".join(["owner", ""]), None),
        ("", Source()),
    ],
)
def test_repositories_have_an_owner_a_name_and_perhaps_a_revision(
    tmp_path: Path, text: str, source: Source | None
) -> None:
    expected = Source(folder=tmp_path) if source == Source() else source
    assert parse_source(text, tmp_path) == expected


@pytest.mark.parametrize("text", ["~nobody-of-this-name/model", "x" * 5000, "a\0b", "o/" + "n" * 300])
def test_names_that_no_file_system_holds_are_answered_like_any_other(tmp_path: Path, text: str) -> None:
    source = parse_source(text, tmp_path)
    assert source is None or source.folder is None or not source.folder.is_dir()


@given(text=st.text())
def test_any_text_is_a_folder_a_repository_or_neither(text: str) -> None:
    source = parse_source(text, Path("/nowhere"))
    assert source is None or (source.folder is None) != (source.repo is None)


REPOSITORY = st.from_regex(r"[A-Za-z0-9][\w.-]{0,8}/[A-Za-z0-9][\w.-]{0,8}", fullmatch=True)


@given(repo=REPOSITORY, revision=st.none() | st.just("v1"))
def test_a_repository_reads_back_from_its_own_spelling(repo: str, revision: str | None) -> None:
    source = Source(repo=repo, revision=revision)
    assert parse_source(str(source), Path("/nowhere")) == source
