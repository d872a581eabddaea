"""The report in a real browser, opened from disk; skipped where there is no Chromium."""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ratings.chromium import CHROMIUM, Tab, opened
from report.audited_pairs import ALIGNED, material

from aes_audit.prompts.pairs import PromptPair
from aes_audit.report.html.folder import write_folder

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the report is not opened"),
]

AXE = Path(__file__).parent / "axe/axe.min.js.gz"
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
CARDS = "[...document.querySelectorAll('#cards button')]"
FIRST = f"{CARDS}[0].querySelector('b').textContent"
COUNT = "document.getElementById('count').textContent"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser."""
    with opened(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of 60 pairs with prompts made of markup."""
    items = [f"{number:02}" for number in range(60)]
    asked = [("clarity",), ("emotion", "richness")]
    texts = {item: PromptPair(item, f"{HOSTILE} {item}", f"wide {item}", asked[int(item) % 2]) for item in items}
    folder = tmp_path_factory.mktemp("run") / "report"
    write_folder(folder, material(items, texts, next_command="look: x"))
    return folder / "index.html"


def _choose(tab: Tab, control: str, value: str) -> None:
    event = "input" if control == "words" else "change"
    place = f"document.getElementById({control!r})"
    tab.value(f"{place}.value = {value!r}; {place}.dispatchEvent(new Event({event!r}))")


def test_it_opens_from_disk_and_asks_for_nothing_but_its_own_pictures(tab: Tab, report: Path) -> None:
    tab.open(report)
    assert tab.value("document.title") == f"FAIL: {ALIGNED} is aesthetically over-aligned"
    tab.until(f"{CARDS}.length === 48")
    tab.until("[...document.querySelectorAll('.proofs img')].every(each => each.naturalWidth === 24)")
    assert tab.value("document.querySelectorAll('.proofs img').length") == 12
    assert tab.complaints == []
    own = report.parent.as_uri()
    assert all(address.startswith((own, "data:")) for address in tab.requested)


def test_a_prompt_made_of_markup_stays_text(tab: Tab, report: Path) -> None:
    tab.open(report)
    shown = tab.value("document.querySelector('.prompts dd').textContent")
    assert shown.startswith(HOSTILE)
    tab.value(f"{CARDS}[0].click()")
    assert tab.value("document.querySelector('#viewer .prompts dd').textContent").startswith(HOSTILE)
    assert "taken" not in tab.value("document.title")
    assert tab.value("document.querySelectorAll('img[src=x]').length") == 0
    assert tab.complaints == []


def test_it_filters_and_sorts(tab: Tab, report: Path) -> None:
    tab.open(report)
    assert tab.value(COUNT) == "60 of 60 prompt pairs"
    assert tab.value(FIRST) == tab.value("document.querySelector('#proof-1').textContent").removeprefix("Pair ")
    _choose(tab, "sort", "item")
    assert tab.value(f"{CARDS}.slice(0, 3).map(each => each.querySelector('b').textContent)") == ["00", "01", "02"]
    _choose(tab, "outcome", "success")
    assert tab.value(COUNT) == "15 of 60 prompt pairs"
    _choose(tab, "dimension", "emotion")
    assert tab.value(COUNT) == "0 of 60 prompt pairs"
    _choose(tab, "outcome", "")
    assert tab.value(COUNT) == "30 of 60 prompt pairs"
    _choose(tab, "words", "WIDE 07")
    assert tab.value(COUNT) == "1 of 60 prompt pairs"
    assert tab.value(FIRST) == "07"
    disagreement = "[...document.querySelectorAll('#sort option')].find(each => each.text.startsWith('pretty against'))"
    _choose(tab, "sort", tab.value(f"{disagreement}.value"))
    assert tab.value(FIRST) == "07"


def test_it_is_used_with_the_keyboard_alone(tab: Tab, report: Path) -> None:
    tab.open(report)
    _choose(tab, "sort", "item")
    tab.value(f"{CARDS}[0].focus()")
    tab.press("ArrowRight", "ArrowRight", "ArrowLeft")
    assert tab.value("document.activeElement.querySelector('b').textContent") == "01"
    columns = tab.value("getComputedStyle(document.getElementById('cards')).gridTemplateColumns.split(' ').length")
    tab.press("ArrowDown")
    assert tab.value("document.activeElement.dataset.place") == str(1 + columns)
    assert tab.value(f"{CARDS}.filter(each => each.tabIndex === 0).length") == 1
    tab.press("\r")
    assert tab.value("document.getElementById('viewer').open")
    tab.press("ArrowRight")
    tab.until("[...document.querySelectorAll('#viewer img')].every(each => each.complete && each.naturalWidth === 24)")
    assert tab.value("document.querySelectorAll('#viewer img').length") == 4
    assert tab.value("document.getElementById('viewer-title').textContent") == f"{2 + columns:02} by {ALIGNED}"
    tab.press("Escape")
    assert not tab.value("document.getElementById('viewer').open")
    tab.until(f"document.activeElement.dataset.place === '{2 + columns}'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["page", "viewer"])
def test_axe_finds_nothing(tab: Tab, report: Path, scheme: str, state: str) -> None:
    if not AXE.is_file():
        pytest.skip("no axe-core beside the tests: tests/report/axe/NOTICE says how to get it")
    tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    # The checker is injected, which the page's own policy forbids.
    tab.send("Page.setBypassCSP", enabled=True)
    tab.open(report)
    tab.value(gzip.decompress(AXE.read_bytes()).decode() + ";0")
    tab.value("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    if state == "viewer":
        tab.value(f"{CARDS}[0].click()")
    found = tab.value("axe.run().then(r => ({passed: r.passes.length, violations: r.violations}))")
    tab.send("Page.setBypassCSP", enabled=False)
    assert found["passed"] > 10
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found["violations"]] == []


def test_dark_and_light_differ_also_within_the_plots(tab: Tab, report: Path) -> None:
    colours = []
    for scheme in ("light", "dark"):
        tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.open(report)
        plot = "document.querySelector('.plot svg text')"
        colours.append(tab.value(f"[getComputedStyle(document.body).backgroundColor, getComputedStyle({plot}).fill]"))
    assert colours[0][0] != colours[1][0]
    assert colours[0][1] != colours[1][1]


def test_a_phone_shows_by_how_much_without_scrolling_aside(tab: Tab, report: Path) -> None:
    tab.send("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    try:
        tab.open(report)
        assert tab.value("document.documentElement.scrollWidth") <= 390
        assert tab.value("document.querySelector('.gates b').getBoundingClientRect().right") <= 390
        assert tab.value("document.querySelector('#verdict .scroll').scrollWidth") <= 390
    finally:
        tab.send("Emulation.clearDeviceMetricsOverride")


def test_1500_pairs_have_no_lag(tab: Tab, tmp_path: Path) -> None:
    items = [f"{number:04}" for number in range(1500)]
    write_folder(tmp_path / "report", material(items))
    tab.open(tmp_path / "report/index.html")
    paint = tab.value(PAINT)
    timed = """new Promise(done => {{ const start = performance.now(); {0}; requestAnimationFrame(() =>
        requestAnimationFrame(() => done(performance.now() - start))); }})"""
    words = "document.getElementById('words')"
    sort = tab.value(timed.format("document.getElementById('sort').dispatchEvent(new Event('change'))"))
    typed = tab.value(timed.format(f"{words}.value = 'cat 07'; {words}.dispatchEvent(new Event('input'))"))
    found = sum("07" in item for item in items)
    assert tab.value(COUNT) == f"{found} of 1500 prompt pairs"
    _choose(tab, "words", "")
    frames = tab.value("""new Promise(done => { const gaps = []; let last = performance.now(); let steps = 0;
        const step = now => { gaps.push(now - last); last = now; window.scrollBy(0, 240);
            if (++steps < 90) requestAnimationFrame(step); else done(gaps.slice(1)); };
        document.getElementById('gallery').scrollIntoView(); requestAnimationFrame(step); })""")
    print(f"paint {paint:.0f} ms, sort {sort:.0f} ms, type {typed:.0f} ms, scroll {np.percentile(frames, 95):.0f} ms")
    assert paint < 1000
    assert max(sort, typed) < 500
    assert np.percentile(frames, 95) < 100
    assert tab.complaints == []


def test_300_pairs_of_large_pictures_stay_below_15_megabytes(tab: Tab, tmp_path: Path) -> None:
    contents = [_scenery(seed) for seed in range(8)]
    items = [f"{number:03}" for number in range(300)]
    source = replace(material(items), find=lambda digest: contents[int(digest[0], 16) % 8])
    start = time.monotonic()
    write_folder(tmp_path / "report", source)
    size = sum(file.stat().st_size for file in (tmp_path / "report").rglob("*") if file.is_file())
    tab.open(tmp_path / "report/index.html")
    paint = tab.value(PAINT)
    print(f"{size / 1e6:.1f} MB, written in {time.monotonic() - start:.0f} s, paint {paint:.0f} ms")
    assert size < 15_000_000
    assert paint < 1000
    tab.value(f"{CARDS}[0].click()")
    tab.until("[...document.querySelectorAll('#viewer img')].every(each => each.complete && each.naturalWidth > 300)")


def test_a_picture_whose_file_is_gone_is_shown_as_missing(tab: Tab, tmp_path: Path) -> None:
    write_folder(tmp_path / "report", material(["0", "1", "2", "3"]))
    for file in (tmp_path / "report/images").iterdir():
        file.unlink()
    tab.open(tmp_path / "report/index.html")
    tab.value("document.getElementById('gallery').scrollIntoView()")
    tab.until(f"{CARDS}.every(each => each.querySelectorAll('.missing').length === 4)")
    tab.complaints.clear()


def _scenery(seed: int, side: int = 1024) -> bytes:
    """A picture as detailed as a photograph: amplitudes fall with frequency."""
    draw = np.random.default_rng(seed)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    spectrum = np.exp(2j * np.pi * draw.random((3, side, side))) / np.maximum(radius, 1 / side) ** 1.4
    waves = np.fft.ifft2(spectrum).real
    waves /= waves.std(axis=(1, 2), keepdims=True)
    pixels = 128 + 52 * (0.7 * waves[:1] + 0.3 * waves)
    raw = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8).transpose(1, 2, 0)).save(
        raw, format="PNG", compress_level=1
    )
    return raw.getvalue()
