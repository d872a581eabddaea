"""Pictures of a report: small enough to be sent, whole where they are small, left out where they are lost."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report.audited_pairs import material, picture

from aes_audit.evidence.store import Store
from aes_audit.report.html import pictures
from aes_audit.report.html.folder import stored_pictures, write_folder
from aes_audit.report.html.pictures import write_pictures
from aes_audit.report.run_folder import RunFolder

DIGESTS = [f"{number:064x}" for number in range(4)]


def _noise(side: int) -> bytes:
    raw = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(raw, format="PNG")
    return raw.getvalue()


def test_small_pictures_are_kept_as_they_are(tmp_path: Path) -> None:
    found, size = write_pictures(DIGESTS, 2, picture, tmp_path / "images")
    assert size.side is None
    for digest, about in found.items():
        assert about == {"file": f"images/{digest}.png", "thumb": f"images/{digest}.png", "width": 24, "height": 24}
        assert (tmp_path / about["file"]).read_bytes() == picture(digest)


@pytest.mark.parametrize(("budget", "thumbnail"), [(1_400_000, 224), (250_000, 320)])
def test_large_pictures_shrink_until_they_fit_and_have_thumbnails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int, thumbnail: int
) -> None:
    monkeypatch.setattr(pictures, "BUDGET", budget)
    content = _noise(600)
    found, size = write_pictures(DIGESTS, 2, lambda _: content, tmp_path / "images")
    assert size.side is not None
    assert sum(file.stat().st_size for file in (tmp_path / "images").iterdir()) <= budget
    for about in found.values():
        with Image.open(tmp_path / about["thumb"]) as small:
            assert (small.format, max(small.size)) == ("WEBP", thumbnail)
        assert (about["width"], about["height"]) == (600, 600)


def test_what_is_lost_or_broken_is_left_out(tmp_path: Path) -> None:
    contents = {DIGESTS[0]: picture(DIGESTS[0]), DIGESTS[1]: b"no picture"}
    found, _ = write_pictures(DIGESTS, 2, contents.get, tmp_path / "images")
    assert list(found) == DIGESTS[:1]


def test_a_store_gives_what_it_holds_and_nothing_for_what_is_no_digest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_image("a" * 64, picture("b" * 64), {})
    record = store.image("a" * 64)
    assert record is not None
    assert record.sha256 is not None
    find = stored_pictures(tmp_path)
    assert find(record.sha256) == picture("b" * 64)
    assert find("c" * 64) is None
    assert find("../../etc/passwd") is None


def test_a_report_without_a_single_picture_is_written_and_says_so(tmp_path: Path) -> None:
    source = replace(material(["1", "2", "3", "4"]), find=lambda digest: None)
    write_folder(tmp_path / "report", source)
    text = (tmp_path / "report/index.html").read_text()
    assert "16 of 16 pictures are not in the store any more" in text
    assert "picture is missing: the picture is not in the store any more" in text
    run = RunFolder.read(tmp_path / "report")
    assert run.results == source.results
    assert run.evidence() == source.evidence
    assert {path.suffix for path in (tmp_path / "report/assets").iterdir()} == {".svg"}
