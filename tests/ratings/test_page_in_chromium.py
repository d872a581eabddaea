"""The page of a rater in a real browser, opened from disk; skipped where there is no Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ratings.chromium import CHROMIUM, Tab, opened
from ratings.recorded_pairs import Recorded, recorded, records_of

from aes_audit.command.main import main

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page is not opened"),
]

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"> {item}"
WHERE = "document.getElementById('where').textContent"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Sheets of pairs and of dimensions for two raters."""
    made = recorded(tmp_path_factory.mktemp("run"), [1.0, 0.0, 0.5, 1.0], HOSTILE)
    small = ("--number=3", "--raters=2", "--per-rater=3")
    assert made.sheet(*small) == 0
    assert made.run("--dimensions=clarity,richness", *small, output="dimensions") == 0
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tab, Path]]:
    """A browser and its folder of downloads."""
    folder = tmp_path_factory.mktemp("browser")
    with opened(folder) as tab:
        yield tab, folder / "downloads"


def _downloaded(tab: Tab, folder: Path, name: str) -> Path:
    file, ends = folder / name, time.monotonic() + 30
    tab.value("document.getElementById('download').click()")
    while not file.is_file():
        assert time.monotonic() < ends, "nothing was downloaded"
        tab.value("1")
        time.sleep(0.05)
    return file


def test_pairs_are_rated_by_keyboard_kept_and_downloaded(
    run: Recorded, browser: tuple[Tab, Path], tmp_path: Path
) -> None:
    (tab, downloads), key = browser, run.key()
    page = run.folder / "sheet/rater-01/index.html"
    tab.open(page)
    tab.until("[...document.images].length === 2 && [...document.images].every(each => each.naturalWidth === 24)")
    assert tab.value("document.getElementById('text').textContent").startswith("</script><script>")
    assert tab.value("document.title") == "Rating pictures"
    assert tab.value(WHERE) == "Pair 1 of 3. 0 of 3 answers given."
    assert tab.value("document.getElementById('previous').disabled")
    tab.press("1", "ArrowRight", "3", "2", "ArrowRight")
    assert tab.value(WHERE) == "Pair 3 of 3. 2 of 3 answers given."
    tab.open(run.folder / "sheet/rater-02/index.html")
    assert tab.value(WHERE) == "Pair 1 of 3. 0 of 3 answers given."
    tab.open(page)
    assert tab.value(WHERE) == "Pair 3 of 3. 2 of 3 answers given."
    tab.press("3", "ArrowLeft")
    assert tab.value("document.querySelector('input:checked').value") == "neither"
    assert "all done" in tab.value(WHERE)
    file = _downloaded(tab, downloads, f"answers-{key['id']}-rater-01.csv")
    assert tab.complaints == []
    assert all(each.startswith(("file://", "blob:", "data:")) for each in tab.requested)

    output = tmp_path / "people.csv"
    call = ["ratings", "read", str(file), f"--key={run.folder / 'sheet.key.json'}", f"--output={output}"]
    assert main(call) == 0
    people = {row["item"]: row["value"] for row in records_of(output) if row["scorer"] == "preference/people"}
    pages = key["raters"]["rater-01"]
    expected = [float(pages[0]["left"] == "wide"), 0.5, float(pages[2]["left"] != "wide")]
    assert [people[key["units"][page["unit"]]["item"]] for page in pages] == expected


def test_dimensions_are_rated_by_keyboard(run: Recorded, browser: tuple[Tab, Path]) -> None:
    (tab, downloads), key = browser, run.key("dimensions")
    tab.open(run.folder / "dimensions/rater-02/index.html")
    tab.press("2", "0", "ArrowUp", "1", "ArrowRight", "ArrowDown", "2")
    assert tab.value(WHERE) == "Picture 2 of 3. 3 of 6 answers given."
    file = _downloaded(tab, downloads, f"answers-{key['id']}-rater-02.csv")
    answers = [line.split(",")[4].strip('"') for line in file.read_text().splitlines()[1:]]
    assert answers == ["1", "0", "", "2", "", ""]


def test_everything_that_can_be_operated_has_a_name_in_both_colour_schemes(
    run: Recorded, browser: tuple[Tab, Path]
) -> None:
    tab, _ = browser
    tab.open(run.folder / "sheet/rater-02/index.html")
    tree = tab.send("Accessibility.getFullAXTree")["nodes"]
    names = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node.get("ignored", False)
    }
    for role in ("button", "radio", "image", "progressbar"):
        found = [name for kind, name in names if kind == role]
        assert found, role
        assert all(name.strip() for name in found), role
    assert ("group", "Which picture follows the text better?") in names
    grounds = set()
    for scheme in ("light", "dark"):
        tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        grounds.add(tab.value("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
