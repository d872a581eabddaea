"""The documentation as a site: built without a warning, complete, and made of nothing that is fetched."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from aes_audit import errors
from aes_audit.measures.names import METRIC_NEEDS
from aes_audit.option_table import OPTIONS

pytest.importorskip("mkdocs", reason="the site is built with the extra `docs`")

from docstrings import public_names
from mkdocs.commands.build import build
from mkdocs.config import load_config
from places import ROOT, rewritten, site_path
from reference import MODULES, REFERENCE, commands, help_text


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; strict, so that a dead link, a lost anchor or a page without a place ends the build."""
    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    return folder


def text_of(page: Path) -> str:
    """What a reader sees of a page."""
    article = re.search(r"<article.*?</article>", page.read_text(encoding="utf-8"), re.DOTALL)
    assert article is not None
    return html.unescape(re.sub(r"<[^>]+>", "", article[0]))


def test_the_first_page_is_the_readme(site: Path) -> None:
    assert "catches this before a release" in text_of(site / "index.html")


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(https?:[^\"> ]+)", page.read_text())
        assert not fetched, page


def test_every_option_stands_in_the_reference_with_default_and_ini_key(site: Path) -> None:
    shown = text_of(site / "reference" / "options.html")
    for option in OPTIONS:
        typed = f"{option.flag}={option.metavar}" if option.metavar else option.flag
        assert f"{typed}: {option.help[0].upper()}{option.help[1:]}." in shown
        assert not option.ini or f"ini: {option.dest}\ndefault: {option.default or 'none'}\n" in shown


def test_every_metric_stands_in_the_reference(site: Path) -> None:
    shown = text_of(site / "reference" / "metrics.html").split()
    assert METRIC_NEEDS.keys() - set(shown) == set()


def test_every_metric_is_explained_where_methods_are() -> None:
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    absent = [name for name in METRIC_NEEDS if f"`{name}`" not in page and not name.startswith("judge_agreement_")]
    assert not absent


def test_every_command_stands_in_the_reference_with_its_help(site: Path) -> None:
    found = list(commands())
    assert {("score",), ("prompts", "build"), ("prompts", "check"), ("ratings", "sheet"), ("train-judge",)} <= set(
        found
    )
    shown = text_of(site / "reference" / "commands.html")
    assert [path for path in found if help_text(path).strip() not in shown] == []


def test_every_public_name_stands_in_the_reference(site: Path) -> None:
    headings = re.findall(r"<h3 id=\"\w+\"><code>(\w+)</code>", (site / "reference" / "python.html").read_text())
    for name, only in MODULES.items():
        wanted = only or public_names(ROOT / "src" / f"{name.replace('.', '/')}.py")
        assert wanted
        assert set(wanted) - set(headings) == set(), name


def test_docstrings_are_what_the_reference_says(site: Path) -> None:
    shown = " ".join(text_of(site / "reference" / "python.html").split())
    for name in errors.__all__:
        assert " ".join(str(getattr(errors, name).__doc__).split()) in shown


def test_links_out_of_the_pages_lead_to_what_is_brought_along(site: Path) -> None:
    assert rewritten("[a](../audits/thresholds.toml#x) [b](art.md)", "docs/art.md") == (
        "[a](repository/audits/thresholds.toml#x) [b](art.md)"
    )
    assert rewritten("```\n[a](docs/art.md)\n```", "README.md") == "```\n[a](docs/art.md)\n```"
    assert site_path("README.md") == "index.md"
    assert (site / "repository" / "audits" / "thresholds.toml").read_bytes() == (
        ROOT / "audits" / "thresholds.toml"
    ).read_bytes()


def test_the_reference_has_a_place_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [name for name in REFERENCE if f"reference/{name}.md" not in navigation] == []
