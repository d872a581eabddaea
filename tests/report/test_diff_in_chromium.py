"""The page of a difference in a real browser; skipped where there is no Chromium."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from ratings.chromium import CHROMIUM, Tab, opened
from report.test_report_page import HOSTILE
from report.two_runs import drawn_runs

from aes_audit.report.diff.folder_texts import texts_of
from aes_audit.report.diff.page import diff_page

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page is not opened"),
]

AXE = Path(__file__).parent / "axe/axe.min.js.gz"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser."""
    with opened(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two runs with pictures, whose prompts are markup."""
    folder = tmp_path_factory.mktemp("page")
    drawn, path = drawn_runs(folder / "runs", HOSTILE[0]), folder / "diff.html"
    path.write_text(diff_page(drawn, texts_of(drawn.before, drawn.after)))
    return path


def test_it_opens_alone_shows_its_pictures_and_runs_nothing(tab: Tab, page: Path) -> None:
    tab.open(page)
    assert tab.value("document.title") == "1 worse"
    tab.until("[...document.querySelectorAll('img')].every(each => each.naturalWidth > 0)")
    assert tab.value("document.querySelectorAll('img').length") == 24
    assert tab.value("document.querySelector('.prompts dd:last-of-type').textContent").startswith(HOSTILE[0])
    assert tab.complaints == []
    assert {address for address in tab.requested if not address.startswith("data:")} == {page.as_uri()}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(tab: Tab, page: Path, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip("no axe-core beside the tests: tests/report/axe/NOTICE says how to get it")
    tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.send("Page.setBypassCSP", enabled=True)
    tab.open(page)
    tab.value(gzip.decompress(AXE.read_bytes()).decode() + ";0")
    tab.value("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    found = tab.value("axe.run().then(r => ({passed: r.passes.length, violations: r.violations}))")
    tab.send("Page.setBypassCSP", enabled=False)
    assert found["passed"] > 10
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found["violations"]] == []
