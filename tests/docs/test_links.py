"""Every link of README, CONTRIBUTING and docs/ leads to a file and a heading that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.blocks import PAGES, ROOT

# Made when the site is built, and checked there.
REFERENCE = ROOT / "docs" / "reference"

_FENCED = re.compile(r"^(```+).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The names that headings of a page get, on the hub of the code and in the site alike."""
    headings = re.findall(r"^#+ +(.+)$", _FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        place = (page.parent / target).resolve() if target else page
        if place.parent == REFERENCE:
            continue
        if not place.is_relative_to(ROOT) or not place.exists() or (anchor and anchor not in anchors(place)):
            lost.append(link)
    assert not lost


def test_every_page_of_docs_can_be_reached_from_the_readme_or_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[2:] if f" {page.name}\n" not in navigation] == []
